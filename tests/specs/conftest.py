"""`pytest tests/specs --update-golden` writes what is expected anew; review the diff."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def compare(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with the file that holds the expected one."""
    update = request.config.getoption("--update-golden")

    def compare(golden: Path, text: str) -> None:
        if update:
            golden.write_text(text)
        assert golden.is_file(), f"{golden} is missing: pytest tests/specs --update-golden"
        assert text == golden.read_text()

    return compare
