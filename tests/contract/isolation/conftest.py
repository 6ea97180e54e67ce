from __future__ import annotations

from tests.contract.isolation.segments import net

__all__ = ["net"]
