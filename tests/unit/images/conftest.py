from __future__ import annotations

from tests.unit.images.builds import downloaded, fake

__all__ = ["downloaded", "fake"]
