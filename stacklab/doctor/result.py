"""Results of probes, and the error that the failed ones make together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from stacklab.errors import HostError, LabError, ProviderError, ToolError, ToolNotFound


class ProbeStatus(StrEnum):
    """Outcome of a probe: a lab can still start unless it failed."""

    OK = "ok"
    INFO = "info"  # this host is so, and most labs do well on it
    WARNING = "warning"
    FAILED = "failed"


class ProbeArea(StrEnum):
    """Subject of a probe: for a failed one it decides the exit code."""

    TOOL = "tool"
    PROVIDER = "provider"
    HOST = "host"


# Each type has an exit code of its own.
_ERROR_TYPES: Mapping[ProbeArea, type[LabError]] = {
    ProbeArea.TOOL: ToolError,
    ProbeArea.PROVIDER: ProviderError,
    ProbeArea.HOST: HostError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One assumption: whether it holds, a sentence about it, and the command that fixes it."""

    name: str
    area: ProbeArea
    status: ProbeStatus
    sentence: str
    fix: str = ""
    is_not_installed: bool = False  # a program is missing
    is_said: bool = False  # lab.up says it, too, although the lab can start

    @property
    def is_failed(self) -> bool:
        """Return True if a lab cannot start like this."""
        return self.status is ProbeStatus.FAILED


def raise_for(results: Iterable[ProbeResult]) -> None:
    """Raise one error with all that failed; the first one decides its type and its hint."""
    failed = [result for result in results if result.is_failed]
    if failed:
        raise _combined_error(failed)


def _combined_error(failed: list[ProbeResult]) -> LabError:
    first = failed[0]
    hint = first.fix or None
    if len(failed) == 1 and first.is_not_installed:
        return ToolNotFound(first.name, hint=hint)
    sentences = [result.sentence for result in failed]
    error_type = _ERROR_TYPES[first.area]
    return error_type("\n".join(sentences), hint=hint)
