"""The rules of what an installed system tells of the cluster: pure functions like `transitions`.

Stages are about the generation that is installed, so they go on while a newer one is armed. They
are repeated every two minutes; a repetition changes nothing, and gives the very same record.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from kindling.bootserver.states import Record, Stage, may_install
from kindling.bootserver.transitions import Refusal, Report, running
from kindling.models.documents import NodeDocument

SILENT_AFTER = 10 * 60.0  # seconds without a report; machines repeat theirs every two minutes
JOIN_PATIENCE = 7 * 86_400.0  # seconds for which a machine that tries to join is waited for

_STAGES: dict[str, Stage] = {stage: stage for stage in get_args(Stage) if stage}
_IN_THE_CLUSTER = ("joined", "ready")


def is_stage(told: Report) -> bool:
    """Whether a report is about the cluster."""
    return told.of_cluster or (told.state in _STAGES and told.state != "failed")


def staged(
    record: Record, document: NodeDocument, told: Report, now: float, *, incarnation: int
) -> Record | Refusal:
    """A stage of the cluster. ``incarnation`` is the published one, for machines that say none."""
    known = running(record, document, told, now)
    if isinstance(known, Refusal):
        return known
    stage = _STAGES[told.state]
    again = known.stage_generation == told.generation
    remembered = known.stage_incarnation if again else 0
    return replace(
        known,
        stage=stage,
        stage_at=known.stage_at if known.stage == stage else now,
        stage_message=told.message,
        stage_log=told.log,
        stage_generation=told.generation,
        stage_incarnation=told.incarnation or remembered or incarnation,
        joined_at=_joined_at(known, stage, now),
    )


def may_join(record: Record, document: NodeDocument, now: float) -> bool:
    """Whether the node may need a credential to join: control planes keep one alive for it.

    It may be installed, is being installed, is installed since less than its arming lasts, or
    tries to join, and was not in the cluster since.
    """
    if may_install(record, document, now) or record.phase == "installing":
        return True
    new = record.installed_at is not None and now - record.installed_at < document.arm_for
    # Installed long before it was switched on, or kept waiting for a long time.
    trying = record.stage in ("joining", "failed") and now - (record.stage_at or 0) < JOIN_PATIENCE
    return record.joined_at is None and (new or trying)


def silent_since(
    record: Record, reported_at: float | None, started: float, now: float
) -> float | None:
    """When a machine that reports stages was last heard of, if that is too long ago; else None.

    ``started`` is when this server was: what it did not hear before says nothing.
    """
    if not record.stage_generation or reported_at is None or record.phase != "idle":
        return None
    return reported_at if now - max(reported_at, started) > SILENT_AFTER else None


def _joined_at(record: Record, stage: Stage, now: float) -> float | None:
    if record.joined_at is None and stage in _IN_THE_CLUSTER:
        return now
    return record.joined_at
