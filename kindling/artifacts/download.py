"""Getting artifacts: every source in turn, verified, into the cache, several at once."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kindling.artifacts.cache import Cache
from kindling.artifacts.checksums import Checksum
from kindling.artifacts.parts import Part
from kindling.artifacts.progress import Report, Silent, megabytes
from kindling.artifacts.sources import Source, sources_of
from kindling.artifacts.transfer import Manner, Stopped, Transfer, Wanted
from kindling.artifacts.web import Patience, SourceFailed
from kindling.errors import (
    ArtifactError,
    DigestMismatch,
    DownloadExhausted,
    KindlingError,
    LockError,
    NoSpace,
)
from kindling.models.assets import AssetFile

WORKERS = 4  # files at once
_SPARE = 64 * 1024 * 1024  # bytes that are left free on the disk


@dataclass(frozen=True)
class Obtained:
    """A file in the cache; ``source`` is None when it was there already."""

    path: Path
    sha256: str
    size: int
    source: Source | None = None


def fetch(
    file: AssetFile,
    *,
    mirrors: Sequence[str] = (),
    cache: Cache | None = None,
    report: Report | None = None,
    patience: Patience | None = None,
) -> Path:
    """A pinned file as a verified, read-only file of the cache.

    Mirrors are tried before the file's own URL. Raises `LockError` for a file that is not pinned,
    `DownloadExhausted` with every source and its reason, and `NoSpace`.
    """
    manner = Manner(report or Silent(), patience or Patience())
    return _fetch(file, tuple(mirrors), cache or Cache(), manner)


def fetch_all(
    files: Iterable[AssetFile],
    *,
    mirrors: Sequence[str] = (),
    cache: Cache | None = None,
    report: Report | None = None,
    patience: Patience | None = None,
    workers: int = WORKERS,
) -> dict[str, Path]:
    """`fetch` for many files, several at once, after a check of the space; by store path.

    Every file is tried. When some failed, raises one error that holds all their reasons; the
    others are in the cache for the next run.
    """
    cache, wanted = cache or Cache(), {file.path: file for file in files}
    manner = Manner(report or Silent(), patience or Patience(), threading.Event())
    check_space(wanted.values(), cache)
    with ThreadPoolExecutor(workers, thread_name_prefix="fetch") as pool:
        futures = {
            path: pool.submit(_fetch, file, tuple(mirrors), cache, manner)
            for path, file in wanted.items()
        }
        _wait(futures.values(), manner.stop)
    failures = [error for future in futures.values() if (error := future.exception())]
    if failures:
        raise _together(failures)
    return {path: future.result() for path, future in futures.items()}


def check_space(files: Iterable[AssetFile], cache: Cache, directories: Iterable[Path] = ()) -> None:
    """Refuse early when the files do not fit: into the cache and into each of ``directories``.

    What the cache has already is not counted for it; files of unknown size are not counted at
    all. Places on one file system share its room. Raises `NoSpace`.
    """
    pinned = [file for file in files if file.size is not None]
    claims = [(cache.root, sum(_missing_bytes(file, cache) for file in pinned))]
    claims += [(directory, sum(file.size or 0 for file in pinned)) for directory in directories]
    needed: dict[int, int] = defaultdict(int)
    for place, size in claims:
        existing = _existing(place)
        needed[existing.stat().st_dev] += size
        free = shutil.disk_usage(existing).free
        total = needed[existing.stat().st_dev]
        if size and total + _SPARE > free:
            raise NoSpace(
                f"{place}: the artifacts need {megabytes(total)} there, {megabytes(free)} are "
                "free; make room, or set KINDLING_CACHE to a larger place"
            )


def obtain(wanted: Wanted, sources: Sequence[Source], cache: Cache, manner: Manner) -> Obtained:
    """The file from the first source that gives the right bytes.

    Raises `DownloadExhausted` with every source and its reason, and `NoSpace`.
    """
    key = _key_of(wanted, sources)

    def waiting() -> None:
        manner.report.note(f"{wanted.path}: another run is fetching it; waiting for that")

    with cache.locked(key, waiting):
        if found := _in_cache(wanted, cache):
            return found
        cache.sweep()
        with Part(cache.part_of(key), wanted.algorithms) as part:
            return _from_any(wanted, sources, cache, manner, part)


def _fetch(file: AssetFile, mirrors: tuple[str, ...], cache: Cache, manner: Manner) -> Path:
    if file.sha256 is None:
        raise LockError(f"{file.path} is not pinned; run `python -m kindling lock` for its stack")
    wanted = Wanted(file.path, file.size, Checksum("sha256", file.sha256))
    if found := _in_cache(wanted, cache):
        return found.path
    return obtain(wanted, sources_of(file, mirrors), cache, manner).path


def _from_any(
    wanted: Wanted, sources: Sequence[Source], cache: Cache, manner: Manner, part: Part
) -> Obtained:
    transfer = Transfer(wanted, part, manner)
    failures: list[str] = []
    for source in sources:
        _check_room(wanted, part)
        try:
            digests = transfer.run(source)
        except (SourceFailed, DigestMismatch) as error:
            failures.append(f"{source}: {error}")
            manner.report.note(f"{wanted.path}: {failures[-1]}")
            continue
        size, path = part.position, cache.adopt(part.path, digests["sha256"])
        part.forget_origin()
        manner.report.finished(wanted.path)
        return Obtained(path, digests["sha256"], size, source)
    if not part.position:
        part.drop()
    reasons = "".join(f"\n  - {failure}" for failure in failures)
    raise DownloadExhausted(f"{wanted.path}: downloading options exhausted:{reasons}")


def _in_cache(wanted: Wanted, cache: Cache) -> Obtained | None:
    if wanted.checksum is None or wanted.checksum.algorithm != "sha256":
        return None
    path = cache.find(wanted.checksum.value, wanted.size)
    return Obtained(path, wanted.checksum.value, path.stat().st_size) if path else None


def _key_of(wanted: Wanted, sources: Sequence[Source]) -> str:
    """What the file's lock and part are called: two files with one key must be the same file."""
    if wanted.checksum is None:
        told = "\n".join((wanted.path, *(source.url or str(source) for source in sources)))
        return f"unpinned-{hashlib.sha256(told.encode()).hexdigest()}"
    if wanted.checksum.algorithm == "sha256":
        return wanted.checksum.value
    return f"{wanted.checksum.algorithm}-{wanted.checksum.value}"


def _check_room(wanted: Wanted, part: Part) -> None:
    rest = (wanted.size or 0) - part.position
    free = shutil.disk_usage(part.path.parent).free
    if rest > 0 and rest > free:
        raise NoSpace(
            f"{part.path.parent}: {wanted.path} needs {megabytes(rest)} more, {megabytes(free)} "
            "are free; make room, or set KINDLING_CACHE to a larger place"
        )


def _missing_bytes(file: AssetFile, cache: Cache) -> int:
    if file.size is None or (file.sha256 and cache.find(file.sha256, file.size)):
        return 0
    part = cache.part_of(file.sha256) if file.sha256 else None
    there = part.stat().st_size if part is not None and part.exists() else 0
    return max(0, file.size - there)


def _existing(place: Path) -> Path:
    return next(path for path in (place, *place.absolute().parents) if path.exists())


def _wait(futures: Iterable[Future[Path]], stop: threading.Event) -> None:
    try:
        for future in futures:
            future.exception()
    except BaseException:  # an interrupt ends the others, too, and keeps what has arrived
        stop.set()
        for future in futures:
            future.cancel()
        raise


def _together(failures: Sequence[BaseException]) -> BaseException:
    for error in failures:
        if not isinstance(error, KindlingError) or isinstance(error, LockError | NoSpace | Stopped):
            return error
    if len(failures) == 1:
        return failures[0]
    kind = DownloadExhausted if any(isinstance(e, DownloadExhausted) for e in failures) else None
    return (kind or ArtifactError)("\n".join(str(error) for error in failures))
