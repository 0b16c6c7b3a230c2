"""The cluster's part of a simulated node: no Kubernetes runs, only its order of events.

A machine knows of a cluster by ``/etc/kindling/cluster.env``, as its Ignition wrote it. Claims and
stages go to the real boot server. Instead of an API there is a place in memory that the machines
of one simulation share: once one of them has initialised the cluster, the others find it there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kindling.errors import SimulationError
from kindling.simulator.outcome import State, Stopped
from kindling.simulator.patience import may_pass
from kindling.simulator.running import Running
from kindling.simulator.statuses import Answer, Reporter
from kindling.simulator.system import System
from kindling.simulator.transport import TransferFailed

ENVIRONMENT = "/etc/kindling/cluster.env"

_PLANE, _WORKER, _ETCD = "control-plane", "worker", "etcd"


@dataclass(frozen=True)
class Place:
    """What ``cluster.env`` says of the machine's place in the cluster."""

    role: str
    cluster: str
    endpoint: str
    incarnation: int
    etcd: str
    claim_url: str

    @classmethod
    def read(cls, system: System) -> Place:
        """Read it. Raises `SimulationError` for what is missing or odd."""
        values = system.environment(ENVIRONMENT)
        names = {name: f"KINDLING_{name.upper()}" for name in cls.__dataclass_fields__}
        if missing := [name for name in names.values() if name not in values]:
            raise SimulationError(f"{ENVIRONMENT}: {', '.join(missing)} missing")
        given = {name: values[variable] for name, variable in names.items()}
        if not given["incarnation"].isdigit():
            raise SimulationError(f"{ENVIRONMENT}: KINDLING_INCARNATION is not a number")
        return cls(**{**given, "incarnation": int(given["incarnation"])})  # type: ignore[arg-type]


@dataclass
class Membership:
    """One machine on its way into the cluster; `enter` is the way."""

    running: Running
    place: Place
    reporter: Reporter
    generation: int
    stage: str = ""
    _told: tuple[str, str] = ("", "")
    _answer: Answer = field(default=Answer(None, "nothing was reported"))

    def enter(self) -> Answer:
        """The answer to the last report; ``stage`` says how far the machine came.

        Raises `Stopped` when a report is refused.
        """
        if self.place.role in (_PLANE, _ETCD) and self.place.etcd == "local":
            self._etcd()
        if self.place.role == _PLANE:
            self._control_plane()
        elif self.place.role == _WORKER:
            self._worker()
        else:
            self._become_member()
            self._tell("ready", f"what a node of role {self.place.role} runs answers")
        return self._answer

    def _etcd(self) -> None:
        """Begin the etcd cluster by its claim, or be one of its members."""
        if not self._is_member and self._claim("etcd") == "":
            self._claim("etcd", done=True)

    def _control_plane(self) -> None:
        if self._is_member:
            self._serve("its part of the cluster is on the disk")
            return
        for attempt in range(self.running.patience.attempts):
            if self._found():
                self._join()
                self._serve("joined")
                return
            refused = self._claim("kubernetes")
            if refused == "":
                self._tell("initialising", "kubeadm init")
                self._become_member()
                self._claim("kubernetes", done=True)
                self._serve("initialised")
                return
            self._wait(attempt, f"waits for the API at {self.place.endpoint} ({refused})")

    def _worker(self) -> None:
        for attempt in range(self.running.patience.attempts):
            if self._found():
                if not self._is_member:
                    self._join()
                self._tell("ready", "the node is ready")
                return
            self._wait(attempt, f"waits for the API at {self.place.endpoint}")

    def _wait(self, attempt: int, why: str) -> None:
        self._tell("joined" if self._is_member else "joining", why)
        if attempt + 1 < self.running.patience.attempts:
            self.running.patience.pause(attempt)

    def _join(self) -> None:
        self._tell("joining", "kubeadm join")
        self._become_member()
        self._tell("joined", "kubeadm is through")

    def _serve(self, why: str) -> None:
        self.running.endpoints.serve(self._key)
        self._tell("ready", f"its API answers: {why}")

    def _found(self) -> bool:
        return self.running.endpoints.answers(self._key)

    @property
    def _key(self) -> str:
        return f"{self.place.cluster} {self.place.endpoint} {self.place.incarnation}"

    @property
    def _is_member(self) -> bool:
        return self.running.disk.state.member == self.place.incarnation

    def _become_member(self) -> None:
        self.running.disk.change(member=self.place.incarnation)

    def _tell(self, stage: str, message: str) -> None:
        """Report a stage, unless that was the last thing said."""
        if self._told == (stage, message):
            return
        self._told, self.stage = (stage, message), stage
        self._answer = self.reporter.post(
            stage, self.generation, None, message, incarnation=self.place.incarnation
        )
        if not self._answer.accepted:
            raise Stopped(State.UNREPORTED, f"`{stage}` was not accepted: {self._answer.reason}")

    def _claim(self, purpose: str, *, done: bool = False) -> str:
        """Empty when the claim, or its end, is granted; else why not."""
        body = {
            "purpose": purpose,
            "generation": self.generation,
            "incarnation": self.place.incarnation,
            "done": done,
            "simulated": True,
        }
        try:
            status, answer = self.running.network.post(
                self.place.claim_url, body, self.reporter.token
            )
        except TransferFailed as failure:
            return str(failure)
        if status != 200 and not may_pass(status):
            raise Stopped(State.UNREPORTED, f"the claim was refused: {answer.get('error', status)}")
        granted = status == 200 and answer.get("granted") is True
        reason = "" if granted else str(answer.get("reason", f"HTTP {status}"))
        what = f"end of the claim of {purpose}" if done else f"claim of {purpose}"
        self.running.console.line(f"{what}: {reason or 'granted'}")
        return reason
