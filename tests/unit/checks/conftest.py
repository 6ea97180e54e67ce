from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def every_clock_stands_still(still_clock: None) -> None:
    """Simulated nodes tell the host's own time."""
