from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacklab.process import Command
from stacklab.tools import packer

# As Packer 1.6.6 writes it with -machine-readable; a comma and a new line are escaped.
RECORDED = r"""
1605852101,,ui,say,==> qemu.disk: Retrieving ISO
1605852101,,ui,message,    qemu.disk: Copied 100%%!(PACKER_COMMA) all of it\nwell done
1605852102,,ui,error,==> qemu.disk: Timeout waiting for SSH.
1605852103,qemu.disk,artifact,0,id,VM
1605852103,qemu.disk,ui,say,Build 'qemu.disk' finished.
1605852104,,ui,say,
not machine readable at all
"""


def test_what_packer_says_is_read_without_its_ornaments() -> None:
    steps = [packer.parse_step(line) for line in RECORDED.splitlines(keepends=True)]
    assert [step for step in steps if step] == [
        "Retrieving ISO",
        "Copied 100%, all of it well done",
        "Timeout waiting for SSH.",
        "Build 'qemu.disk' finished.",
    ]


@given(st.text())
def test_any_line_can_be_read(line: str) -> None:
    step = packer.parse_step(line)
    assert step is None or step.strip() == step != ""


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Packer v1.6.6\n", (1, 6)),
        ("Packer v1.11.2\n\nYour version of Packer is out of date!\n", (1, 11)),
        ("Packer v1.10.0-dev (abc)", (1, 10)),
        ("what?", (0, 0)),
    ],
)
def test_the_version_is_read(text: str, version: tuple[int, int]) -> None:
    assert packer.parse_version(text) == version


@pytest.mark.parametrize(
    ("version", "needs"), [((1, 6), False), ((1, 7), True), ((1, 11), True), ((2, 0), True)]
)
def test_packer_1_7_and_later_load_the_builder_from_a_plugin(
    version: tuple[int, int], needs: bool
) -> None:
    assert packer.needs_plugins(version) is needs


def test_variables_are_json_with_lists() -> None:
    assert json.loads(packer.variables_json({"a": "b", "scripts": ["x", "y"]})) == {
        "a": "b",
        "scripts": ["x", "y"],
    }


def test_a_build_is_machine_readable_logged_bounded_and_keeps_to_its_directory() -> None:
    command = packer.build(
        Path("/t"), Path("/v.json"), log=Path("/l"), cache=Path("/c"), timeout_s=60
    )
    assert command.argv[-1] == "."
    assert "-machine-readable" in command.argv
    assert "-var-file=/v.json" in command.argv
    assert (command.cwd, command.log, command.timeout_s) == (Path("/t"), Path("/l"), 60)
    assert (command.env["PACKER_CACHE_DIR"], command.env["TMPDIR"]) == ("/c", "/c")


def test_a_build_does_not_outlive_us() -> None:
    command = packer.build(
        Path("/t"), Path("/v.json"), log=Path("/l"), cache=Path("/c"), timeout_s=60
    )
    assert command.argv[:4] == ("setpriv", "--pdeathsig", "TERM", "packer")


@pytest.mark.parametrize(
    "command",
    [
        packer.version(),
        packer.init(Path("/t")),
        packer.validate(Path("/t"), Path("/v")),
        packer.build(Path("/t"), Path("/v"), log=Path("/l"), cache=Path("/c"), timeout_s=1),
    ],
    ids=["version", "init", "validate", "build"],
)
def test_packer_never_calls_home_nor_fills_stderr(command: Command) -> None:
    assert command.env["CHECKPOINT_DISABLE"] == "1"
    assert command.env["PACKER_LOG"] is None
    assert command.what
