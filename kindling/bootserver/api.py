"""``/api/nodes`` and more: what the page shows, as JSON, and what an operator orders of a node."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from pydantic.alias_generators import to_camel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from kindling.bootserver.answers import json_answer, refusal
from kindling.bootserver.artifacts import list_artifacts
from kindling.bootserver.clusters import claim_json
from kindling.bootserver.context import Context
from kindling.bootserver.operator import who_of
from kindling.bootserver.orders import arm, ask_reboot, cancel_reboot, disarm
from kindling.bootserver.records import Audit, Event
from kindling.bootserver.states import Record, State, state_of
from kindling.bootserver.transitions import Refusal, published
from kindling.bootserver.views import NodeView, Pictures
from kindling.models.documents import NodeDocument

Action = Literal["arm", "disarm", "reboot", "cancel"]


class Api:
    """The handlers below ``/api``."""

    def __init__(self, context: Context, pictures: Pictures) -> None:
        self._context = context
        self._pictures = pictures

    async def nodes(self, request: Request) -> Response:
        """Every published node."""
        picture = await run_in_threadpool(self._pictures.newest)
        return _fresh([node_json(view) for view in picture.nodes])

    async def node(self, request: Request) -> Response:
        """One node, by host name or MAC, with its timeline and audit trail."""
        document = self._context.find(request.path_params["name"])
        picture = await run_in_threadpool(self._pictures.newest)
        for view in picture.nodes:
            if document is not None and view.document.macs[0] == document.macs[0]:
                return _fresh({**node_json(view), **_details(view)})
        return _no_such_node()

    async def unknown(self, request: Request) -> Response:
        """Machines that no published node claims."""
        picture = await run_in_threadpool(self._pictures.newest)
        return _fresh([_camel(machine) for machine in picture.unknown])

    async def artifacts(self, request: Request) -> Response:
        """The published artifacts with sizes and digests."""
        found = await run_in_threadpool(list_artifacts, self._context.settings)
        return _fresh([_camel(asdict(artifact)) for artifact in found])

    async def arm(self, request: Request) -> Response:
        """Arm one node, which also ends a hold; who did it is kept in the audit trail."""
        return await self._operate(request, "arm")

    async def disarm(self, request: Request) -> Response:
        """Take a node's arming back; who did it is kept in the audit trail."""
        return await self._operate(request, "disarm")

    async def reboot(self, request: Request) -> Response:
        """Ask a machine to restart; it hears of it in the answer to its next report."""
        return await self._operate(request, "reboot")

    async def cancel_reboot(self, request: Request) -> Response:
        """Take that back. Without a request nothing happens: the machine may have followed it."""
        return await self._operate(request, "cancel")

    async def _operate(self, request: Request, action: Action) -> Response:
        document = self._context.find(request.path_params["name"])
        if document is None:
            return _no_such_node()
        decided = await run_in_threadpool(self._decide, document, action, who_of(request))
        if isinstance(decided, Refusal):
            return refusal(decided.status, decided.reason)
        state = state_of(decided, document, self._context.clock())
        return json_answer(
            {
                "host": document.hostname,
                "state": str(state),
                "rebootRequested": decided.reboot_at,
            }
        )

    def _decide(self, document: NodeDocument, action: Action, who: str) -> Record | Refusal:
        context, now = self._context, self._context.clock()
        since = context.published_at(document)
        key = (document.stack, document.hostname)

        def decide(stored: Record | None) -> Record | Refusal:
            record = published(stored, document, since)
            match action:
                case "arm":
                    return arm(record, document, who, now)
                case "disarm":
                    return disarm(record, document, who)
                case "reboot":
                    return ask_reboot(record, document, who, now)
                case "cancel":
                    return cancel_reboot(record)

        before = context.record_of(document)
        if action == "cancel" and before.reboot_at is None:
            return before
        entry = Audit(*key, now, who, action, _detail(before, document, action, now))
        return context.records.change(*key, decide, entry=entry, now=now)


def _detail(record: Record, document: NodeDocument, action: Action, now: float) -> str:
    """What the audit trail says beside who did what."""
    if action in ("reboot", "cancel"):
        return f"restart of generation {record.installed_generation}"
    held = action == "arm" and state_of(record, document, now) is State.HELD
    return f"generation {document.generation}" + (f"; was held: {record.held}" if held else "")


def node_json(view: NodeView) -> dict[str, Any]:
    """A node as one object; times are seconds since the epoch, digests SHA-256 in hex."""
    document, record, sighting = view.document, view.record, view.sighting
    return {
        "host": document.hostname,
        "stack": document.stack,
        "cluster": document.cluster,
        "macs": list(document.macs),
        "role": document.role,
        "pool": document.pool,
        "arch": str(document.arch),
        "os": document.os,
        "state": str(view.state),
        "since": view.since,
        "reason": view.reason,
        "diagnosis": view.diagnosis,
        "armed": view.armed,
        "armedUntil": view.armed_until if view.armed else None,
        "drift": view.drift,
        "generation": document.generation,
        "digest": document.digest,
        "installedGeneration": record.installed_generation or None,
        "installedDigest": record.installed_digest or None,
        "installedAt": record.installed_at,
        "runningDigest": view.running or None,
        "bootedAt": record.booted_at,
        "failures": record.failures,
        "held": record.held or None,
        "simulated": view.simulated,
        "stage": _stage(record),
        "silentSince": view.silent_since,
        "rebootRequested": record.reboot_at,
        "claims": [claim_json(claim) for claim in view.claims],
        "lastSeen": sighting.at if sighting else None,
        "address": sighting.address if sighting else None,
    }


def _stage(record: Record) -> dict[str, Any] | None:
    """Where the installed system is in the cluster; null until it said so since its boot."""
    if not record.stage:
        return None
    return {
        "state": record.stage,
        "at": record.stage_at,
        "message": record.stage_message,
        "generation": record.stage_generation,
        "incarnation": record.stage_incarnation,
    }


def _details(view: NodeView) -> dict[str, Any]:
    record, sighting = view.record, view.sighting
    return {
        "failure": record.failure or None,
        "failureLog": record.failure_log or None,
        "stageLog": record.stage_log or None,
        "machine": _camel(asdict(sighting)) if sighting else None,
        "boots": [[_line(event) for event in boot] for boot in view.boots],
        "audit": [
            {"at": e.at, "who": e.who, "what": e.what, "detail": e.detail} for e in view.audit
        ],
    }


def _line(event: Event) -> dict[str, Any]:
    return {"at": event.at, "kind": event.kind, "text": event.text, "address": event.address}


def _camel(values: dict[str, Any]) -> dict[str, Any]:
    return {to_camel(name): value for name, value in values.items()}


def _fresh(data: Any) -> Response:
    return json_answer(data, headers={"Cache-Control": "no-store"})


def _no_such_node() -> Response:
    return refusal(404, "no published node has this name or MAC address; /api/nodes lists them")
