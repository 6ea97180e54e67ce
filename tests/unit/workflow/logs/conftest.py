from __future__ import annotations

from tests.unit.workflow.logs.logged_lab import stage

__all__ = ["stage"]
