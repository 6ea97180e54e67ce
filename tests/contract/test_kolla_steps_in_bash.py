"""Steps of a kolla lab, run by the real bash, awk, sed and git on files of ours."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stacklab.installers import rendering as answers
from stacklab.installers.rendering import Step
from stacklab.model.lab import Lab
from tests.unit.installers.kolla.kolla_labs import FOUR, load, secrets


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
    subprocess.run(
        ["bash", "-ec", command.replace("/etc/kolla/inventory/services", str(made))], check=True
    )
    assert (
        made.read_text()
        == "# comment\n[baremetal:children]\ncontrol\ncompute\n\n[compute-x:children]\ncompute\n"
    )


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
            subprocess.run(
                ["bash", "-ec", line.replace("/opt/stack/", f"{here}/")],
                check=True,
                capture_output=True,
            )
    head = subprocess.run(
        ["git", "-C", str(here / "nova"), "log", "-1", "--format=%s"],
        capture_output=True,
        text=True,
    )
    assert head.stdout == "the change\n"


def test_every_command_and_every_done_test_is_bash(tmp_path: Path) -> None:
    lab = load(tmp_path, refs={"nova": "refs/changes/12/345612/3"})
    for step in answers.steps(lab):
        for line in (step.command, step.done):
            assert "\n" not in line
            subprocess.run(["bash", "-nc", line], check=True)


def _unit(lab: Lab) -> str:
    rendered = answers.render(lab, secrets(lab))["controller"]
    return next(text for path, text in rendered.items() if path.name == "stacklab-external.service")


EXTERNAL = {
    "networks": FOUR,
    "external_network": "external",
    "controller_nics": ("mgmt", "fabric", "external"),
}


@pytest.mark.parametrize("stack", [{}, EXTERNAL])
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_itself_finds_nothing_wrong_with_the_unit(
    tmp_path: Path, stack: dict[str, Any]
) -> None:
    unit = tmp_path / "stacklab-external.service"
    unit.write_text(_unit(load(tmp_path, **stack)))
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False
    )
    assert not [line for line in done.stderr.splitlines() if unit.name in line]


def test_the_unit_writes_what_networkd_and_networkmanager_read(tmp_path: Path) -> None:
    """With the first one, and a file of the seed's below it, the real networkd 252 left the device
    up and bare.
    """
    for line in _unit(load(tmp_path, **EXTERNAL)).splitlines():
        if line.startswith("ExecStart=") and "/run/" in line:
            command = line.removeprefix("ExecStart=").replace("/run/", f"{tmp_path}/run/")
            subprocess.run(shlex.split(command), check=True)
    network = (tmp_path / "run/systemd/network/05-stacklab-external.network").read_text()
    assert (
        network == "[Match]\nName=eth2\n[Link]\nMTUBytes=1500\n[Network]\nLinkLocalAddressing=no\n"
        "IPv6AcceptRA=no\n"
    )
    manager = (tmp_path / "run/NetworkManager/conf.d/stacklab-external.conf").read_text()
    assert manager == "[keyfile]\nunmanaged-devices=interface-name:eth2\n"
