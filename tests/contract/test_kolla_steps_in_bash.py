"""Steps of a kolla lab, run by the real bash, awk, sed and git on files of ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

from stacklab import answers
from stacklab.answers import Step
from stacklab.model import Lab
from tests.unit.answers.kolla_labs import load


def _with(lab: Lab, words: str) -> Step:
    found = [step for step in answers.steps(lab) if words in step.title or words in step.command]
    assert found, f"no step with {words!r}"
    return found[0]


def test_the_services_groups_lose_the_hosts_of_the_shipped_inventory(tmp_path: Path) -> None:
    step = _with(load(tmp_path), "awk")
    shipped, made = tmp_path / "multinode", tmp_path / "services"
    shipped.write_text(
        "# comment\n[control]\ncontrol01\n\n[compute]\nc01\n\n[deployment]\nlocalhost\n\n"
        "[baremetal:children]\ncontrol\ncompute\n\n[compute-x:children]\ncompute\n"
    )
    command = step.command.replace(
        "/opt/stack/kolla-ansible/share/kolla-ansible/ansible/inventory/multinode", str(shipped)
    )
    subprocess.run(["bash", "-ec", command.replace("/etc/kolla/inventory/services", str(made))], check=True)
    assert made.read_text() == "# comment\n[baremetal:children]\ncontrol\ncompute\n\n[compute-x:children]\ncompute\n"


def test_the_step_that_clones_a_change_really_does(tmp_path: Path) -> None:
    upstream, here = tmp_path / "openstack" / "nova", tmp_path / "stack"
    git = ["git", "-c", "user.email=a@example.org", "-c", "user.name=a", "-C", str(upstream)]
    subprocess.run(["git", "init", "-q", str(upstream)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "the change"], check=True)
    subprocess.run([*git, "update-ref", "refs/changes/12/345612/3", "HEAD"], check=True)
    here.mkdir()
    lab = load(tmp_path, git_base=f"file://{tmp_path}", refs={"nova": "refs/changes/12/345612/3"})
    step = _with(lab, "refs/changes")
    for _again in range(2):
        for line in (step.command, step.done):
            subprocess.run(["bash", "-ec", line.replace("/opt/stack/", f"{here}/")], check=True, capture_output=True)
    head = subprocess.run(["git", "-C", str(here / "nova"), "log", "-1", "--format=%s"], capture_output=True, text=True)
    assert head.stdout == "the change\n"


def test_every_command_and_every_done_test_is_bash(tmp_path: Path) -> None:
    lab = load(tmp_path, refs={"nova": "refs/changes/12/345612/3"})
    for step in answers.steps(lab):
        for line in (step.command, step.done):
            assert "\n" not in line
            subprocess.run(["bash", "-nc", line], check=True)
