"""Results of the probes for containers: they are all of the host itself."""

from __future__ import annotations

import dataclasses

from stacklab.doctor.result import ProbeArea, ProbeResult, ProbeStatus

USE_VMS = "make the nodes VMs: leave out --as containers and kind: container"


def result_of(name: str, status: ProbeStatus, sentence: str, fix: str = "") -> ProbeResult:
    """Return a result of any status."""
    return ProbeResult(name=name, area=ProbeArea.HOST, status=status, sentence=sentence, fix=fix)


def ok(name: str, sentence: str) -> ProbeResult:
    """Return the result of a probe that found all as it should be."""
    return result_of(name, ProbeStatus.OK, sentence)


def failed(name: str, sentence: str, fix: str) -> ProbeResult:
    """Return the result of a probe with which no lab of containers can start."""
    return result_of(name, ProbeStatus.FAILED, sentence, fix)


def note(name: str, sentence: str) -> ProbeResult:
    """Return what is not a mistake, but is to be known: lab.up says it, too."""
    return dataclasses.replace(result_of(name, ProbeStatus.INFO, sentence), is_said=True)
