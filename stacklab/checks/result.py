"""A check, and the result of trying it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from stacklab.checks.kinds import CheckKind, ExplainedBy, Layer
from stacklab.checks.reasons import Reason
from stacklab.model.cause import Cause
from stacklab.nodes.protocol import OUTPUT_MAX

__all__ = [
    "ALL",
    "HOST",
    "Check",
    "CheckKind",
    "CheckResult",
    "CheckStatus",
    "Layer",
    "Reason",
    "Selection",
    "Verdict",
    "checks_of_kind",
]

HOST = "host"  # who does it, where no node does
# A cause is added to the sentence of what sends packets, and of a login.
_TELLS_CAUSE = (ExplainedBy.PACKETS, ExplainedBy.LOGIN)


class CheckStatus(StrEnum):
    """The outcome of a check: `failed` is an answer, `error` means that no answer came."""

    PASSED = "passed"
    WARNED = "warned"  # not as it should be, and not the lab's fault
    FAILED = "failed"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must hold: `node` does it, to `target` at `address`, out of its own `device`.

    What does not apply is "". `subject` tells checks of one kind apart that share the
    rest: a URL, a custom check's name.
    """

    kind: CheckKind
    node: str
    target: str = ""
    network: str = ""
    address: str = ""
    device: str = ""
    subject: str = ""

    @property
    def title(self) -> str:
        """The check in one line, the same in every report."""
        if self.kind is CheckKind.LOGIN:
            return f"host -> {self.node} {self.address} ({self.network}): login"
        words = [self.node, self.device, self._goal]
        if self.network:
            words.append(f"({self.network})")
        where = " ".join(filter(None, words))
        what = " ".join(filter(None, [self.kind, self.subject]))
        return f"{where}: {what}"

    @property
    def _goal(self) -> str:
        """The other node with its address, behind an arrow; or the address alone."""
        if self.target in ("", self.node):
            return self.address
        return f"-> {self.target} {self.address}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """A check with its outcome.

    `reason` is what programs decide by, `detail` the sentence that people read; no
    program may look into the sentence. `about` names what the reason is about, where
    that is not in the check itself: a program, a device. `command` is what to type
    again on the node and `output` what it wrote; of a check that passed they may be "".
    `cause` and `clues` are added to a failure by the search for causes.
    """

    check: Check
    status: CheckStatus
    reason: Reason
    detail: str
    about: str = ""
    elapsed_s: float = 0.0
    command: str = ""
    output: str = ""
    rtt_ms: float | None = None  # of a ping: its slowest round trip
    cause: Cause | None = None  # None: nobody knows, or there is nothing to explain
    clues: str = ""  # what was found out about a failure, a fact a line

    @property
    def is_passed(self) -> bool:
        """True if the check passed, be it with a warning."""
        return self.status in (CheckStatus.PASSED, CheckStatus.WARNED)

    @property
    def cause_text(self) -> str:
        """The cause as a sentence; "" if nobody knows it."""
        if self.cause is None:
            return ""
        return self.cause.text

    @property
    def sentence(self) -> str:
        """The detail, followed by the cause where both belong together."""
        if self.cause is None or not self.is_cause_in_sentence:
            return self.detail
        return f"{self.detail}: {self.cause}"

    @property
    def is_cause_in_sentence(self) -> bool:
        """True if `sentence` has the cause: a node that is off is in the detail already."""
        if self.reason in (Reason.NODE_OFF, Reason.NOT_REACHED):
            return False
        return self.check.kind.traits.explained_by in _TELLS_CAUSE

    @property
    def evidence(self) -> str:
        """The cause and the clues, as the reports have them."""
        lines = [self.clues] if self.clues else []
        if self.cause is not None:
            lines.insert(0, f"cause: {self.cause}")
        return "\n".join(lines)

    def explained(self, cause: Cause | None, clues: Iterable[str]) -> CheckResult:
        """Return the result with its cause and clues; what is not given stays as it was."""
        lines = "\n".join(clues)
        return dataclasses.replace(
            self,
            cause=cause or self.cause,
            clues=lines or self.clues,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a check, before it is known what to type to see it again."""

    status: CheckStatus
    reason: Reason
    detail: str
    about: str = ""

    @classmethod
    def passed(cls, detail: str) -> Verdict:
        """Return the verdict on what is as it should be."""
        return cls(CheckStatus.PASSED, Reason.OK, detail)

    @classmethod
    def warned(cls, reason: Reason, detail: str) -> Verdict:
        """Return the verdict on what is not as it should be, and not the lab's fault."""
        return cls(CheckStatus.WARNED, reason, detail)

    @classmethod
    def failed(cls, reason: Reason, detail: str, about: str = "") -> Verdict:
        """Return the verdict on what is wrong."""
        return cls(CheckStatus.FAILED, reason, detail, about)

    @classmethod
    def error(cls, reason: Reason, detail: str, about: str = "") -> Verdict:
        """Return the verdict on what did not get an answer."""
        return cls(CheckStatus.ERROR, reason, detail, about)

    def of(
        self, check: Check, *, command: str = "", output: str = "", rtt_ms: float | None = None
    ) -> CheckResult:
        """Make the check's result; one that passed needs neither a command nor an output."""
        if self.status is CheckStatus.PASSED:
            # A large lab has hundreds of thousands of these: they are kept small.
            command = output = ""
        return CheckResult(
            check=check,
            status=self.status,
            reason=self.reason,
            detail=self.detail,
            about=self.about,
            command=command,
            output=output[-OUTPUT_MAX:],
            rtt_ms=rtt_ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The checks to try; an empty set is all of them. A login is always among them."""

    layers: frozenset[Layer] = frozenset()
    nodes: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()

    def wants(self, check: Check) -> bool:
        """Return True if a check is to be tried.

        A node's name selects what it does and what is done to it; a network's selects
        what happens on it.
        """
        if self.layers:
            if check.kind.layer not in self.layers:
                return False
        elif check.kind.traits.is_on_request:  # nobody has named its layer
            return False
        its_nodes = {check.node, check.target}
        if self.nodes and not self.nodes & its_nodes:
            return False
        return not self.networks or check.network in self.networks


ALL = Selection()


def checks_of_kind(checks: Iterable[Check], kind: CheckKind) -> list[Check]:
    """Return the checks of one kind, in their order."""
    return [check for check in checks if check.kind is kind]
