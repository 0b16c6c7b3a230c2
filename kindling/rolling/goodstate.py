"""When a good state is kept, and how the way back to it is offered."""

from __future__ import annotations

from typing import Protocol

from kindling.errors import KindlingError, RollError
from kindling.models.cluster import Cluster
from kindling.rolling.interfaces import Teller
from kindling.rolling.machines import Fleet
from kindling.rolling.record import GoodState, committed, good_now, present, record, recorded
from kindling.rolling.rollback import WayBack, way_back
from kindling.rolling.stackfile import StackFile
from kindling.stores.base import Store


class Described(Protocol):
    """The stack, as far as its description goes."""

    @property
    def name(self) -> str:
        """As the boot server knows it."""

    @property
    def file(self) -> StackFile:
        """Its files."""

    def cluster(self) -> Cluster:
        """What they say."""

    def unpublished(self) -> str:
        """What a preview would change; empty: nothing."""


class GoodStates:
    """The last good state of one stack. Trouble with it is said and never ends a roll."""

    def __init__(self, stack: Described, store: Store, teller: Teller) -> None:
        self._stack = stack
        self._store = store
        self._say = teller.say

    def keep(self, fleet: Fleet) -> None:
        """Record what runs now, if everybody is as published and ready."""
        installed = [each for each in fleet if each.installed is not None]
        good = all(each.ready and not (each.raised or each.outdated) for each in installed)
        if not (installed and good):
            return
        try:
            state = present(self._stack.file, self._stack.name, good_now())
            if state.same_as(self._recorded()):
                return
            if changes := self._stack.unpublished():  # what is only written is not what runs
                raise RollError(f"there are changes that are not published ({changes})")
            record(self._store, state)
        except KindlingError as error:
            self._say(f"This good state was not recorded: {error}")

    def offer_way_back(self) -> None:
        """Write the patch and say what it does; nothing is applied."""
        try:
            good = self._recorded() or committed(self._stack.file, self._stack.name)
            found = way_back(self._stack.file, good) if good else None
        except KindlingError as error:
            self._say(f"The way back could not be written: {error}")
            return
        if good is None:
            self._say("No earlier versions are known, neither in the store nor in git's history.")
        elif found is None:
            self._say(
                f"The versions are those that were {good.origin}: what changed is elsewhere in the"
                " stack file. Take that back there, then publish and roll."
            )
        else:
            self._write(good, found)

    def _write(self, good: GoodState, found: WayBack) -> None:
        path = self._stack.file.path.parent / f"rollback-{self._stack.name}.patch"
        path.write_text(found.patch, encoding="utf-8")
        raised = ", ".join(found.raised) or "nobody"
        self._say(
            f"The way back to the versions that were {good.origin} is in {path.name}; generations"
            f" rise for: {raised}. Review it, then in {found.folder}: git apply {path};"
            f" publish and roll as for every change."
        )

    def _recorded(self) -> GoodState | None:
        nodes = self._stack.cluster().nodes
        generations = {node.hostname: node.generation for node in nodes}
        return recorded(self._store, self._stack.name, generations)
