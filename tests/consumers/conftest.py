"""Consumers: the real programs that read our answer files, each in a venv of its own.

    def test_packstack_reads_it(consumer: Consumer) -> None:
        python = consumer("packstack")  # from requirements/consumers-packstack.txt
        subprocess.run([python, DRIVERS / "packstack.py", answers], ...)

Deselected by default: `./invoke test.consumers`, or `pytest -m consumers tests/consumers`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab.dev import consumers
from stacklab.process import SubprocessRunner

Consumer = Callable[[str], Path]


@pytest.fixture(scope="session")
def consumer() -> Consumer:
    """Make a consumer's venv when it is first asked for; skip the test without requirements."""
    runner = SubprocessRunner()

    def python(name: str) -> Path:
        if not consumers.requirements(name).is_file():
            pytest.skip(f"consumer {name}: no requirements/consumers-{name}.txt")
        return consumers.prepare(name, runner)

    return python
