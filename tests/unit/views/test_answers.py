from __future__ import annotations

import dataclasses
import re
from pathlib import PurePosixPath

import pytest
from rich.console import Console

from stacklab import releases
from stacklab.installers import rendering as answers
from stacklab.installers.rendering import Step
from stacklab.lint.finding import Finding, Severity
from stacklab.lint.kinds import Judgement
from stacklab.model.stack import Installer
from stacklab.views import answers as views
from stacklab.views import judgement
from stacklab.workflow.placing import Difference
from tests.unit.installers.contrail.labs import SECRETS, make_lab


def text(*renderables: object) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(*renderables, sep="\n")
    return capture.get()


def test_files_are_told_by_node_the_node_once() -> None:
    shown = text(views.files_table(answers.render(make_lab(), SECRETS)))
    assert shown.count("compute1") == 1
    assert shown.count("/opt/stack/devstack/localrc") == 3


def test_steps_are_numbered_through_all_nodes() -> None:
    lines = text(views.steps_table(answers.steps(make_lab()))).splitlines()
    assert lines[1].split()[:3] == ["1", "controller", "root"]
    assert lines[-1].split()[1] == "compute2"


def test_the_script_has_every_command_behind_its_place() -> None:
    steps = (
        Step(node="compute1", title="say so", command="echo so", done="test -e so"),
        Step(node="compute2", title="end it", command="true", user="root"),
    )
    assert "\n".join(views.script_lines(steps)) == (
        "# 1. compute1, as stack: say so\n"
        "#    there is nothing to do if this succeeds: test -e so\n"
        "echo so\n\n"
        "# 2. compute2, as root: end it\n"
        "true\n"
    )


def test_texts_name_their_file() -> None:
    rendered = {"n1": {PurePosixPath("/b"): "B\n", PurePosixPath("/a"): "A\n"}}
    assert list(views.file_texts(rendered)) == ["==> n1:/a <==", "A\n", "==> n1:/b <==", "B\n"]


def test_a_difference_is_coloured_as_diffs_are() -> None:
    lines = ("--- n1:/a", "+++ from the spec", "@@ -1 +1 @@", "-old", "+new", " same")
    found = Difference(node="n1", path=PurePosixPath("/a"), lines=lines)
    shown = list(views.difference_lines((found,)))
    assert [line.plain for line in shown] == list(lines)
    assert [str(line.style) for line in shown] == ["bold", "bold", "cyan", "red", "green", ""]


def finding(line: int, fix: str = "HOST_IP=10.0.0.1") -> Finding:
    return Finding(
        file="localrc",
        line=line,
        rule="shell-x",
        severity=Severity.ERROR,
        effect="[bold] is no markup",
        fix=fix,
    )


def test_a_finding_is_a_line_and_its_fix_below() -> None:
    shown = text(*judgement.finding_lines((finding(3), finding(0, ""))))
    assert shown.splitlines() == [
        "localrc:3: error: shell-x: [bold] is no markup",
        "    HOST_IP=10.0.0.1",
        "localrc: error: shell-x: [bold] is no markup",
    ]


def test_a_long_value_is_shown_by_how_it_begins_and_ends() -> None:
    value = f"10.0.0.0/{'2' * 300}end"
    long = dataclasses.replace(finding(3, value), effect=f"DevStack cannot use {value}, as is")
    whole = dataclasses.replace(finding(4), effect=f"cannot use {'x' * 120}")
    shown = [line.plain for line in judgement.finding_lines((long, whole))]
    effect, fix = shown[0].splitlines()
    assert re.fullmatch(
        r"localrc:3: error: shell-x: DevStack cannot use 10\.0\.0\.0/2{50}…2{55}end, as is", effect
    )
    assert fix == f"    {value}", "it is to be copied"
    assert shown[1].splitlines()[0].endswith("x" * 120)
    verdict = judgement.as_json(Judgement(files=(), findings=(long,)))
    assert value in verdict["findings"][0]["effect"]


def test_a_release_is_told_with_its_fate() -> None:
    lines = text(views.releases_table(tuple(releases.of(Installer.CONTRAIL).values()))).splitlines()
    assert any(
        "R2.20" in line and "ended 2016" in line and "ubuntu-14.04" in line for line in lines
    )
    assert "alive" in text(views.releases_table((releases.find(Installer.KOLLA, "2025.2"),)))


def test_notes_do_not_get_between_a_program_and_its_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    views.print_notes(["one", "two"])
    assert capsys.readouterr() == ("", "note: one\nnote: two\n")
