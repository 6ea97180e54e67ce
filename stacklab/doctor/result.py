"""What a probe found, and the error that several of them make together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from stacklab.errors import HostError, LabError, ProviderError, ToolError, ToolNotFound


class ProbeStatus(StrEnum):
    """How it stands: a warning does not keep a lab from starting."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class ProbeArea(StrEnum):
    """What a failed probe is about: it decides the exit code."""

    TOOL = "tool"
    PROVIDER = "provider"
    HOST = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One assumption: how it stands, in a sentence, and what to type when it does not hold."""

    name: str
    area: ProbeArea
    status: ProbeStatus
    sentence: str
    fix: str = ""

    @property
    def is_failed(self) -> bool:
        """Whether no lab can start like this."""
        return self.status is ProbeStatus.FAILED


def raise_for(results: Iterable[ProbeResult]) -> None:
    """Raise one error with all that failed; the first of them decides its type, its fix is the hint."""
    failed = [result for result in results if result.is_failed]
    if not failed:
        return
    raise _error(failed)


def _error(failed: list[ProbeResult]) -> LabError:
    first = failed[0]
    hint = first.fix or None
    if (
        len(failed) == 1
        and first.area is ProbeArea.TOOL
        and first.sentence == f"{first.name} is not installed"
    ):
        return ToolNotFound(first.name, hint=hint)
    message = "\n".join(result.sentence for result in failed)
    match first.area:
        case ProbeArea.TOOL:
            return ToolError(message, hint=hint)
        case ProbeArea.PROVIDER:
            return ProviderError(message, hint=hint)
        case ProbeArea.HOST:
            return HostError(message, hint=hint)
