"""Comments that have findings left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.installers import linting as lint

TEXT = """HOST_IP=10.0.0.1
ADMIN_PASSWORD=a
DATABASE_PASSWORD=b
RABBIT_PASSWORD=c
SERVICE_PASSWORD=d
DEST=/home/stack{on_line}
NOVA_VNC_ENABLED=maybe
{on_file}
"""


def rules(tmp_path: Path, *, on_line: str = "", on_file: str = "") -> list[str]:
    path = tmp_path / "localrc"
    path.write_text(TEXT.format(on_line=on_line, on_file=on_file))
    return [finding.rule for finding in lint.lint_files([path])]


@pytest.mark.parametrize(
    ("on_line", "on_file", "left"),
    [
        ("", "", ["devstack-dest", "devstack-bool"]),
        (" # stacklab: ignore=devstack-dest", "", ["devstack-bool"]),
        (" # stacklab: ignore=devstack-bool", "", ["devstack-dest", "devstack-bool"]),
        ("", "# stacklab: ignore=devstack-bool", ["devstack-dest"]),
        ("", "#stacklab: ignore = devstack-bool, devstack-dest", []),
    ],
    ids=["none", "its line", "another line's rule", "the file", "two for the file"],
)
def test_a_comment_is_for_its_line_or_alone_for_the_file(
    tmp_path: Path, on_line: str, on_file: str, left: list[str]
) -> None:
    assert rules(tmp_path, on_line=on_line, on_file=on_file) == left


def test_a_rule_that_there_is_not_is_told(tmp_path: Path) -> None:
    found = rules(tmp_path, on_file="# stacklab: ignore=devstack-dst")
    assert found == ["devstack-dest", "devstack-bool", "file-ignore"]
