"""What a user may name for answers.lint, and what is chosen of the findings."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from stacklab.errors import LabError
from stacklab.installers import linting as lint
from stacklab.lint.finding import Finding, Severity
from stacklab.paths.project import PROJECT
from stacklab.views import judgement as views
from stacklab.workflow import linting as workflow
from stacklab.workflow.linting import LintWishes

LABS = PROJECT / "labs"
LOCALRC = "HOST_IP = 10.0.0.1\nDEST=/home/stack\n"


def judge(*words: str, **wishes: str) -> lint.Judgement:
    return workflow.judge(words, LABS, LintWishes(**wishes))


def rules(*words: str, **wishes: str) -> list[str]:
    return [finding.rule for finding in judge(*words, **wishes).findings]


def finding(severity: Severity, line: int = 3) -> Finding:
    return Finding(
        file="localrc", line=line, rule="shell-x", severity=severity, effect="x", fix="y"
    )


def test_lint_wants_something_to_lint() -> None:
    with pytest.raises(LabError, match="nothing to lint"):
        judge()


def test_a_lab_s_spec_anywhere_is_linted_as_a_lab(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text((LABS / "devstack-aio.yaml").read_text())
    assert not judge(str(mine)).findings


def test_an_error_is_a_failure_that_counts_and_a_warning_is_none() -> None:
    workflow.raise_for_findings(())
    workflow.raise_for_findings((finding(Severity.WARNING),))
    with pytest.raises(LabError, match=r"^2 errors, 1 warning") as caught:
        workflow.raise_for_findings(
            (finding(Severity.WARNING), finding(Severity.ERROR, 7), finding(Severity.ERROR))
        )
    assert caught.value.hint == "mend localrc:7, then the same again"


def test_a_word_is_a_labs_name_unless_there_is_such_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rules("contrail-3node", "devstack-aio") == []
    assert rules(str(LABS / "devstack-aio.yaml")) == []
    with pytest.raises(LabError, match="a lab says itself"):
        judge("devstack-aio", release="yoga")
    with pytest.raises(LabError, match="no lab 'contrail-3nod'"):
        judge("contrail-3nod")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "localrc").write_text(LOCALRC)
    assert "shell-blank-around-equals" in rules("localrc")


def test_a_directory_is_every_file_below_it_that_an_installer_reads(tmp_path: Path) -> None:
    for node in ("one", "two"):
        (tmp_path / node / ".git").mkdir(parents=True)
        (tmp_path / node / "localrc").write_text(f"HOST_IP=10.0.0.1\nREGION_NAME={node}\n")
        (tmp_path / node / ".git" / "localrc").write_text("HOST_IP=10.0.0.1\n")
        (tmp_path / node / "script.sh").write_text("A=1\nB=2\n")
    judged = judge(str(tmp_path))
    assert [file.source.name for file in judged.files] == [
        str(tmp_path / "one" / "localrc"),
        str(tmp_path / "two" / "localrc"),
    ]
    assert "across-host-ip" in [finding.rule for finding in judged.findings]


def test_a_directory_without_an_answer_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("Hello\n")
    with pytest.raises(LabError, match="no installer reads"):
        judge(str(tmp_path))


@pytest.mark.parametrize("word", ["-", "/dev/stdin"])
def test_stdin_is_linted_by_its_text(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"[general]\nCONFIG_FOO=y\n")))
    (found,) = judge(word).findings
    assert (found.file, found.rule) == ("<stdin>", "packstack-unknown-key")


def test_stdin_may_be_said_to_be_of_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"A=1\n")))
    assert "devstack-password-missing" in rules("-", kind="localrc")


def test_rules_are_selected_and_ignored_by_patterns(tmp_path: Path) -> None:
    path = tmp_path / "localrc"
    path.write_text(LOCALRC)
    every = set(rules(str(path)))
    assert {"shell-blank-around-equals", "devstack-dest"} < every
    assert set(rules(str(path), select="shell-*")) == {"shell-blank-around-equals"}
    assert set(rules(str(path), ignore="shell-*, devstack-dest")) == every - {
        "shell-blank-around-equals",
        "devstack-dest",
    }
    with pytest.raises(LabError, match=r"no rule 'shel-crlf' \(did you mean shell-crlf\?\)"):
        rules(str(path), select="shel-crlf")


def test_a_file_is_held_against_a_lab(tmp_path: Path) -> None:
    path = tmp_path / "local.conf"
    path.write_text("[[local|localrc]]\nHOST_IP=10.1.2.3\n")
    assert "devstack-host-ip-foreign" not in rules(str(path))
    judged = judge(str(path), lab="devstack-3node", node="compute1")
    assert "devstack-host-ip-foreign" in [finding.rule for finding in judged.findings]
    (file,) = judged.files
    assert file.scope.node is not None
    assert file.scope.node.name == "compute1"


def test_the_node_is_told_by_a_directory_or_by_an_address(tmp_path: Path) -> None:
    (tmp_path / "compute2").mkdir()
    path = tmp_path / "compute2" / "local.conf"
    path.write_text("[[local|localrc]]\n")
    (by_directory,) = judge(str(path), lab="devstack-3node").files
    lab = by_directory.scope.lab
    assert lab is not None
    address = next(node for node in lab.nodes if node.name == "compute1").nics[0].address.ip
    other = tmp_path / "local.conf"
    other.write_text(f"[[local|localrc]]\nHOST_IP={address}\n")
    (by_address,) = judge(str(other), lab="devstack-3node").files
    names = [file.scope.node.name for file in (by_directory, by_address) if file.scope.node]
    assert names == ["compute2", "compute1"]


def test_a_node_without_a_lab_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="--node is a node of a lab"):
        judge(str(tmp_path / "x"), node="one")


def test_json_has_the_era_and_sarif_has_what_reviews_need(tmp_path: Path) -> None:
    path = tmp_path / "localrc"
    path.write_text(LOCALRC)
    judged = judge(str(path))
    data = json.loads(json.dumps(views.as_json(judged)))
    assert data["files"][0]["era"]["known_by"] == "assumed"
    assert data["errors"] + data["warnings"] == len(data["findings"]) == len(judged.findings)
    (run,) = json.loads(json.dumps(views.sarif(judged)))["runs"]
    ids = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in run["results"]} == ids
    for result in run["results"]:
        assert result["level"] in ("error", "warning")
        (location,) = result["locations"]
        region = location["physicalLocation"].get("region", {"startLine": 1})
        assert region["startLine"] >= 1


def test_the_first_line_says_what_a_file_is_judged_by(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "localrc").write_text(LOCALRC)
    (one,) = views.era_lines(judge(str(tmp_path / "a")))
    assert one.plain.startswith("judged as DevStack")
    (tmp_path / "b" / "localrc").write_text(LOCALRC + "NOVA_BRANCH=stable/zed\n")
    several = [line.plain for line in views.era_lines(judge(str(tmp_path)))]
    assert len(several) == 2
    assert all(str(tmp_path) in line for line in several)


def test_the_hooks_packages_are_the_projects_own() -> None:
    def pins(name: str) -> set[str]:
        lines = (PROJECT / "requirements" / name).read_text().splitlines()
        return {line.split()[0] for line in lines if "==" in line}

    assert pins("lint.txt") < pins("all.txt")
