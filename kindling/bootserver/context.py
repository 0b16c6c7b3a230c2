"""What the handlers share: made once per worker, closed when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from starlette.types import Scope

from kindling.bootserver.addresses import client_address
from kindling.bootserver.claimstore import Claims
from kindling.bootserver.database import Database, keep_secret
from kindling.bootserver.documents import Documents
from kindling.bootserver.mirror import Mirror
from kindling.bootserver.observer import Observer
from kindling.bootserver.records import Records
from kindling.bootserver.settings import Settings
from kindling.bootserver.states import Record
from kindling.bootserver.tickets import Tickets
from kindling.bootserver.transitions import published
from kindling.models.documents import NodeDocument, SiteDocument


@dataclass(frozen=True, slots=True)
class Context:
    """The handlers' tools. ``clock`` gives seconds since the epoch, ``started`` is its first."""

    settings: Settings
    documents: Documents
    database: Database
    records: Records
    mirror: Mirror
    observer: Observer
    claims: Claims
    tickets: Tickets
    clock: Callable[[], float]
    started: float
    stack: ExitStack

    def __enter__(self) -> Self:
        self.stack.enter_context(self.observer)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stack.close()

    def address(self, scope: Scope) -> str:
        """Who asks; behind proxies that the settings trust, who asked them."""
        return client_address(scope, self.settings.trusted_proxies)

    def published_at(self, document: NodeDocument) -> float:
        """When the document was published, as its file says; never in the future."""
        at = self.documents.published_at(document.macs[0])
        now = self.clock()
        return min(at, now) if at is not None else now

    def record_of(self, document: NodeDocument) -> Record:
        """The node's record as last committed, speaking of the document's generation."""
        record = self.mirror.get(document.stack, document.hostname)
        if record is not None and record.generation == document.generation:
            return record
        return published(record, document, self.published_at(document))

    def find(self, name: str) -> NodeDocument | None:
        """A published node by host name or by any of its MACs."""
        by_mac = self.documents.node(name)
        if by_mac is not None:
            return by_mac
        wanted = name.lower()
        return next((d for d in self.documents.all() if d.hostname.lower() == wanted), None)

    def cluster_of(self, document: NodeDocument) -> list[NodeDocument]:
        """Every published node of the same cluster, itself included."""
        key = (document.stack, document.cluster)
        return [d for d in self.documents.all() if (d.stack, d.cluster) == key]

    def site(self, stack: str) -> SiteDocument | None:
        """What a stack published of itself."""
        return next((site for site in self.documents.sites() if site.stack == stack), None)

    def store_changed(self, path: str, size: int) -> None:
        """Something was published or deleted through this process."""
        self.documents.changed()
        self.records.changes += 1

    def check(self) -> None:
        """Raises `BootServerError` when the records cannot be read and written."""
        self.database.check()

    def publish(self) -> None:
        """Let the stored records speak of what is published now."""
        behind = [d for d in self.documents.all() if self._is_behind(d)]
        if behind:
            self.records.publish([(d, self.published_at(d)) for d in behind])

    def _is_behind(self, document: NodeDocument) -> bool:
        record = self.mirror.get(document.stack, document.hostname)
        return record is None or record.generation != document.generation


def make_context(settings: Settings, clock: Callable[[], float] = time.time) -> Context:
    """Open the database and everything that hangs on it. Raises `BootServerError`."""
    with ExitStack() as stack:
        database = Database(settings.database_url)
        stack.callback(database.close)
        records = Records(database)
        mirror = Mirror(records)
        stack.callback(mirror.close)
        return Context(
            settings=settings,
            documents=Documents(settings.directory),
            database=database,
            records=records,
            mirror=mirror,
            observer=Observer(database),
            claims=Claims(database, settings.private / "claims"),
            tickets=Tickets(keep_secret(database, "secret")),
            clock=clock,
            started=clock(),
            stack=stack.pop_all(),
        )
