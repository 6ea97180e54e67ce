"""bash itself, asked about the texts that the reader is tested with."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lint.scripts import SCRIPTS

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")


def in_bash(text: str, tmp_path: Path) -> tuple[str | None, ...]:
    (tmp_path / "localrc").write_text(text)
    show = (
        "source ./localrc 2>/dev/null; for n in A B C; do [ -v $n ] && printf '%s' \"=${!n}\";"
        " printf '\\0'; done"
    )
    done = subprocess.run(
        ["bash", "-c", show],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
        timeout=10,
    )
    return tuple(part[1:] if part else None for part in done.stdout.decode().split("\0")[:3])


@pytest.mark.parametrize("name", SCRIPTS)
def test_bash_sets_what_the_reader_says(name: str, tmp_path: Path) -> None:
    text, expected = SCRIPTS[name]
    assert in_bash(text, tmp_path) == expected
