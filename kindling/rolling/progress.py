"""How far a machine is on its way back: a pure function of what the boot server says."""

from __future__ import annotations

from dataclasses import dataclass

from kindling.bootserver.client import NodeView
from kindling.rolling.machines import Machine

FAILED_STAGE = 300.0  # seconds that a machine may say `failed` while its units try again


@dataclass(frozen=True)
class Progress:
    """Where a machine is: ``text`` for people, and whether that is an end."""

    text: str
    done: bool = False
    failure: str = ""
    doubtful: bool = False  # a failure unless it passes within `FAILED_STAGE`


def progress_of(machine: Machine, target: int) -> Progress:
    """Where the machine is on its way to the generation ``target``."""
    view = machine.view
    if view is None:
        return Progress("", failure="the boot server does not know it any more")
    if view.held:
        return Progress("held", failure=f"it is held: {view.held}")
    if view.installed_generation != target:
        return _before_installation(view)
    return Progress("ready", done=True) if machine.ready else _after_installation(view)


def _before_installation(view: NodeView) -> Progress:
    if view.state == "failed":
        return Progress("failed", failure=view.reason or "its installation failed")
    return Progress(view.state if view.reboot_requested is None else "asked to restart")


def _after_installation(view: NodeView) -> Progress:
    stage = view.stage
    if stage is None or stage.state != "failed":
        return Progress(stage.state if stage else view.state)
    reason = f"it did not get into the cluster: {stage.message or 'it gave no reason'}"
    return Progress("failed, tries again", failure=reason, doubtful=True)
