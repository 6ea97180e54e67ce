"""`pytest tests/specs --update-golden` writes what is expected anew; review the diff."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the expected texts of tests/specs anew"
    )


@pytest.fixture
def compare(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with the file that holds the expected one."""
    # A run of all tests loads this file too late for its option to be known.
    update = request.config.getoption("--update-golden", default=False)

    def compare(golden: Path, text: str) -> None:
        if update:
            golden.write_text(text)
        assert golden.is_file(), f"{golden} is missing: pytest tests/specs --update-golden"
        assert text == golden.read_text()

    return compare
