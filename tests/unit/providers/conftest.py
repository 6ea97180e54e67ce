from __future__ import annotations

from tests.unit.workflow.fake_host import host

__all__ = ["host"]
