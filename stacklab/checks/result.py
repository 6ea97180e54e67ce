"""What a check is, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from stacklab.errors import CheckFailed

_LINES_SHOWN = 20


class CheckKind(StrEnum):
    """What is tried."""

    LOGIN = "login"  # host to node, ssh
    HOSTNAME = "hostname"  # the node goes by its own name
    NAME = "name"  # node resolves node
    PING = "ping"  # node to node, per network
    SSH = "ssh"  # node to node, as stack


class CheckStatus(StrEnum):
    """How it ended: `failed` is an answer, `error` says that there was none."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must hold: `node` does it, to `target` at `address`, out of its own `device`."""

    kind: CheckKind
    node: str
    target: str
    network: str
    address: str
    device: str

    @property
    def title(self) -> str:
        """The check in one line, the same in every report."""
        match self.kind:
            case CheckKind.LOGIN:
                return f"host -> {self.node} {self.address} ({self.network}): login"
            case CheckKind.HOSTNAME:
                return f"{self.node}: hostname"
            case CheckKind.PING:
                return f"{self.node} {self.device} -> {self.target} {self.address} ({self.network}): ping"
            case _:
                return f"{self.node} -> {self.target} {self.address}: {self.kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """A check with its outcome; `command` is what to type again, `output` what it wrote."""

    kind: CheckKind
    node: str
    target: str
    network: str
    address: str
    device: str
    status: CheckStatus
    detail: str
    elapsed_s: float = 0.0
    command: str = ""
    output: str = ""
    rtt_ms: float | None = None  # of a ping: its slowest round trip

    @property
    def check(self) -> Check:
        """The check that this is the outcome of."""
        return Check(
            kind=self.kind,
            node=self.node,
            target=self.target,
            network=self.network,
            address=self.address,
            device=self.device,
        )

    @property
    def is_passed(self) -> bool:
        """Whether it holds."""
        return self.status is CheckStatus.PASSED


def outcome(
    check: Check,
    status: CheckStatus,
    detail: str,
    *,
    elapsed_s: float = 0.0,
    command: str = "",
    output: str = "",
    rtt_ms: float | None = None,
) -> CheckResult:
    """Put a check and what came of it together."""
    return CheckResult(
        kind=check.kind,
        node=check.node,
        target=check.target,
        network=check.network,
        address=check.address,
        device=check.device,
        status=status,
        detail=detail,
        elapsed_s=elapsed_s,
        command=command,
        output=output,
        rtt_ms=rtt_ms,
    )


def raise_for(results: Iterable[CheckResult], *, hint: str | None = None) -> None:
    """Raise CheckFailed, naming what failed by address and interface, unless all passed."""
    listed = tuple(results)
    bad = [result for result in listed if not result.is_passed]
    if not bad:
        return
    # What has an answer says more than what never ran for want of it.
    bad.sort(key=lambda result: result.status is CheckStatus.ERROR)
    lines = [f"{len(bad)} of {len(listed)} checks did not pass:"]
    lines += [f"  {result.check.title}: {result.detail}" for result in bad[:_LINES_SHOWN]]
    if len(bad) > _LINES_SHOWN:
        lines.append(f"  and {len(bad) - _LINES_SHOWN} more")
    raise CheckFailed("\n".join(lines), hint=hint)
