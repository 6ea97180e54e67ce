from __future__ import annotations

from tests.unit.workflow.faults.faulty_lab import up

__all__ = ["up"]
