"""What `lab.up` and `lab.rebuild` return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stacklab.checks.result import CheckResult
from stacklab.model.lab import Lab
from stacklab.model.snapshot import SnapshotManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class LabUp:
    """A lab that is up."""

    lab: Lab
    image: str
    passed_over: Mapping[str, str]
    accelerator: str
    results: tuple[CheckResult, ...]
    lacks_stack: bool = False  # it has an installer, which did not run
    still_listed: tuple[str, ...] = ()  # computes that are gone, and that its cloud did not forget
    came_from: SnapshotManifest | None = None  # the pristine snapshot that was restored
    comes_back: bool = False  # destroyed, it comes back from its pristine snapshot
