"""Status reports, said to be simulated, repeated until the server has stored them."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from kindling.simulator.console import Console, redact
from kindling.simulator.faults import Faults
from kindling.simulator.patience import Patience, may_pass
from kindling.simulator.transport import Network, TransferFailed


@dataclass(frozen=True)
class Answer:
    """The server's last word on a report; ``status`` is None when none came in time."""

    status: int | None
    reason: str
    reboot: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the server said that it has stored the report."""
        return self.status == HTTPStatus.OK


@dataclass(frozen=True)
class Reporter:
    """Posts the states of one machine to one URL with one generation's token."""

    network: Network
    console: Console
    patience: Patience
    faults: Faults
    url: str
    token: str

    def post(
        self,
        state: str,
        generation: int,
        digest: str | None,
        message: str = "",
        *,
        incarnation: int | None = None,
    ) -> Answer:
        """Report a state; tried again while a later attempt may be answered better.

        ``incarnation`` is of the cluster, where the state is a stage of it.
        """
        body: dict[str, object] = {
            "state": state,
            "generation": generation,
            "digest": digest,
            "message": redact(f"[simulated] {message or state}")[:1000],
            "log": self.console.tail() if state == "failed" else "",
            "simulated": True,
        }
        if incarnation is not None:
            body["incarnation"] = incarnation
        answer = Answer(None, "not sent")
        for attempt in range(self.patience.attempts):
            answer = self._attempt(state, body)
            if answer.accepted or not may_pass(answer.status):
                break
            if attempt + 1 < self.patience.attempts:
                self.patience.pause(attempt)
        verdict = "accepted" if answer.accepted else f"not accepted: {answer.reason}"
        self.console.line(f"status {state} (generation {generation}): {verdict}")
        return answer

    def _attempt(self, state: str, body: dict[str, object]) -> Answer:
        if state == "installed" and self.faults.lose_reports > 0:
            self.faults.lose_reports -= 1
            return Answer(None, "the report was lost (fault)")
        try:
            status, answer = self.network.post(self.url, body, self.token)
        except TransferFailed as failure:
            return Answer(None, str(failure))
        if state == "installed" and self.faults.lose_answers > 0:
            self.faults.lose_answers -= 1
            return Answer(None, "the answer was lost (fault)")
        reason = f"HTTP {status}: {answer.get('error', answer.get('state', 'no reason given'))}"
        return Answer(status, reason, reboot=answer.get("reboot") is True)
