from __future__ import annotations

from tests.contract.libvirt_driver.driver import ours, raw

__all__ = ["ours", "raw"]
