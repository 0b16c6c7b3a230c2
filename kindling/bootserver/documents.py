"""The published documents as the boot server sees them: all of them in memory, never stale.

What is in memory: every ``nodes/*.json`` as a parsed `NodeDocument`, the index from every MAC
(aliases included) to its document, ``sites/*.json``, and the bodies of recently used
``nodes/*.ign``. A look-up costs one ``stat`` (a few microseconds) and no read, so a handler may
ask at every request. The disk is the truth: a stack with a directory store, or another worker of
the same server, may write beside this process, so nothing needs to be announced. Stores replace
files, which changes the directory and is noticed at once; an editor that writes in place changes
only the file, which is noticed within a second.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson
from pydantic import ValidationError

from kindling.bootserver.addresses import normalise_mac
from kindling.bootserver.memory import SmallFile, SmallFiles
from kindling.models.documents import NodeDocument, SiteDocument, path_of_ignition, path_of_node

log = logging.getLogger(__name__)

# The clock of file times ticks every few milliseconds: two changes within one tick leave the
# same directory time. A directory that changed so recently is read again at the next look-up.
_TICK_NS = 50_000_000
_LOOK_AT_FILES = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class _Entry:
    document: NodeDocument | None  # None: the file does not hold a valid document
    mtime_ns: int
    inode: int
    size: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _State:
    """What was read. Replaced as a whole: another thread sees old or new, never a mixture."""

    entries: dict[str, _Entry]  # file name -> document
    by_mac: dict[str, str]  # MAC with colons -> file name
    by_address: dict[str, NodeDocument]  # the installer's static address -> its node
    documents: tuple[NodeDocument, ...]


class Documents:
    """The node documents and the site document below a store's directory."""

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._read_at = 0.0
        self._nodes = str(root / "nodes")
        self._files = SmallFiles(root, largest=8 * 1024 * 1024)
        self._state = _State({}, {}, {}, ())
        self._directory_time = -1
        self._sites = str(root / "sites")
        self._parsed_sites: tuple[tuple[SmallFile, ...], tuple[SiteDocument, ...]] | None = None
        self._revision = 0

    @property
    def revision(self) -> int:
        """A number that rises whenever a change of any node document was noticed."""
        self._refresh()
        return self._revision

    def node(self, mac: str) -> NodeDocument | None:
        """The node that any of whose MACs is ``mac`` (colons or hyphens, any case), or None."""
        found = self._find(mac)
        return found[1].document if found else None

    def at(self, address: str) -> NodeDocument | None:
        """The node whose boot script gives its installer that static address, or None."""
        self._refresh()
        return self._state.by_address.get(address)

    def ignition(self, mac: str) -> bytes | None:
        """The installer's Ignition of that node, or None when it is not published."""
        file = self.ignition_file(mac)
        return file.body if file else None

    def ignition_file(self, mac: str) -> SmallFile | None:
        """The same with its digest, which was computed when the file was read, not now."""
        found = self._find(mac)
        if found is None:
            return None
        return self._files.get(f"nodes/{found[0].removesuffix('.json')}.ign")

    def published_at(self, mac: str) -> float | None:
        """When the node's document was last written to the store (seconds since the epoch)."""
        found = self._find(mac)
        return found[1].mtime_ns / 1e9 if found else None

    def all(self) -> tuple[NodeDocument, ...]:
        """Every valid node document, sorted by host name."""
        self._refresh()
        return self._state.documents

    def problems(self) -> dict[str, str]:
        """Store path -> why that node document is unusable (written past the server's checks)."""
        self._refresh()
        entries = self._state.entries
        return {f"nodes/{name}": e.problem for name, e in entries.items() if e.problem}

    def sites(self) -> tuple[SiteDocument, ...]:
        """The site document of every stack that publishes here, sorted by stack."""
        try:
            names = sorted(n for n in os.listdir(self._sites) if _is_document(n))  # noqa: PTH208
        except FileNotFoundError:
            return ()
        found = tuple(file for name in names if (file := self._files.get(f"sites/{name}")))
        held = self._parsed_sites
        if held is None or held[0] != found:
            parsed = (_parse_site(file.body) for file in found)
            held = self._parsed_sites = (found, tuple(site for site in parsed if site))
        return held[1]

    @property
    def public(self) -> bool:
        """Whether the page needs no token: only if no stack that publishes here wants one."""
        sites = self.sites()
        return bool(sites) and all(site.public_page for site in sites)

    def changed(self) -> None:
        """Read the directory again at the next look-up, whatever its time says."""
        self._directory_time = -1

    def _find(self, mac: str) -> tuple[str, _Entry] | None:
        self._refresh()
        key = mac.lower().replace("-", ":")
        state = self._state
        name = state.by_mac.get(key)
        return (name, state.entries[name]) if name else None

    def _refresh(self) -> None:
        try:
            seen = os.stat(self._nodes).st_mtime_ns  # noqa: PTH116 - on every request
        except FileNotFoundError:
            seen = 0
        if seen != self._directory_time or self._clock() - self._read_at > _LOOK_AT_FILES:
            self._read_all()

    def _read_all(self) -> None:
        before, self._read_at = time.time_ns(), self._clock()
        try:
            seen = Path(self._nodes).stat().st_mtime_ns
            names = sorted(f.name for f in Path(self._nodes).iterdir() if _is_document(f.name))
        except FileNotFoundError:
            seen, names = 0, []
        entries = {name: entry for name in names if (entry := self._entry(name)) is not None}
        self._directory_time = seen if before - seen > _TICK_NS else -1
        if entries != self._state.entries:
            self._state = _index(entries)
            self._revision += 1

    def _entry(self, name: str) -> _Entry | None:
        path = f"{self._nodes}/{name}"
        known = self._state.entries.get(name)
        if known is not None and _is_still(known, path):
            return known
        try:
            with Path(path).open("rb") as file:
                return _parse_node(name, file.read(), os.fstat(file.fileno()))
        except FileNotFoundError:  # deleted since the directory was listed
            return None


def check_node(path: str, body: bytes) -> NodeDocument:
    """The document in ``body``, fit for the store path ``nodes/<mac>.json``.

    Raises `ValueError` with ``field: reason``, which never shows the document's values.
    """
    try:
        document = NodeDocument.model_validate_json(body)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None
    if not document.macs or path_of_node(document.macs[0]) != path:
        raise ValueError(f"macs: the first MAC must be the one in the file's name ({path})")
    return document


def check_site(body: bytes) -> SiteDocument:
    """The site document in ``body``; raises `ValueError` as `check_node` does."""
    try:
        return SiteDocument.model_validate_json(body)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None


def check_ignition(path: str, body: bytes) -> None:
    """Raise `ValueError` when ``body`` is no Ignition for the store path ``nodes/<mac>.ign``."""
    name = path.removeprefix("nodes/").removesuffix(".ign")
    mac = normalise_mac(name)
    if mac is None or path_of_ignition(mac) != path:
        raise ValueError(f"{name!r} must be a MAC address in lower case with hyphens")
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValueError("document: Invalid JSON") from None
    about = found.get("ignition") if isinstance(found, dict) else None
    if not isinstance(about, dict) or not isinstance(about.get("version"), str):
        raise ValueError("ignition.version: missing; this is no Ignition")


def first_problem(error: ValidationError) -> str:
    """The first problem of a document as ``field: reason``, without the document's values."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(part) for part in problem["loc"]) or "document"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{field}: {problem['msg']}{more}"


def _index(entries: dict[str, _Entry]) -> _State:
    by_mac: dict[str, str] = {}
    documents = [(name, e.document) for name, e in entries.items() if e.document]
    for name, document in documents:
        for mac in document.macs:
            by_mac.setdefault(mac, name)
    for name, document in documents:  # the MAC in a file's name wins over another's alias
        by_mac[document.macs[0]] = name
    by_host = sorted((document for _, document in documents), key=lambda d: d.hostname)
    by_address = {d.boot.address: d for d in by_host if d.boot.address}
    return _State(entries, by_mac, by_address, tuple(by_host))


def _is_document(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


def _is_still(entry: _Entry, path: str) -> bool:
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return False
    seen = (found.st_mtime_ns, found.st_ino, found.st_size)
    return seen == (entry.mtime_ns, entry.inode, entry.size)


def _parse_node(name: str, body: bytes, found: os.stat_result) -> _Entry:
    place = (found.st_mtime_ns, found.st_ino, found.st_size)
    try:
        return _Entry(check_node(f"nodes/{name}", body), *place)
    except ValueError as error:
        log.error("nodes/%s is not a node document: %s", name, error)
        return _Entry(None, *place, problem=str(error))


def _parse_site(body: bytes) -> SiteDocument | None:
    try:
        return check_site(body)
    except ValueError as error:
        log.error("a document below sites/ is no site document: %s", error)
        return None
