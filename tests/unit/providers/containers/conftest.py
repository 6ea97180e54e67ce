from __future__ import annotations

from tests.unit.providers.containers.fake_machines import site, up

__all__ = ["site", "up"]
