"""The real ssh reads what we render."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stacklab.paths import HostPaths
from stacklab.tools import ssh
from tests.unit.checks.fake_lab import make_lab


def effective(directory: Path, node: str = "compute1") -> dict[str, str]:
    """What `ssh -G` makes of a rendered config: option to value."""
    paths = HostPaths(directory).lab("trio")
    paths.root.mkdir(parents=True)
    paths.ssh_config.write_text(ssh.render_config(make_lab(), paths), encoding="utf-8")
    done = subprocess.run(
        ["ssh", "-G", "-F", str(paths.ssh_config), node], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return {
        name: value for name, _, value in (line.partition(" ") for line in done.stdout.splitlines())
    }


def test_ssh_takes_every_option(tmp_path: Path) -> None:
    options = effective(tmp_path)
    wanted = {
        "hostname": "10.10.0.12",
        "hostkeyalias": "compute1",
        "user": "stack",
        "port": "22",
        "stricthostkeychecking": "true",
        "globalknownhostsfile": "/dev/null",
        "batchmode": "yes",
        "identitiesonly": "yes",
        "passwordauthentication": "no",
        "kbdinteractiveauthentication": "no",
        "updatehostkeys": "false",
        "loglevel": "ERROR",
    }
    assert {name: options.get(name) for name in wanted} == wanted


@pytest.mark.parametrize(
    "name", ["plain", "with blank", "100%", 'quo"te', "back\\slash", "ümlaut", "hash#mark", "it's"]
)
def test_paths_survive_whatever_is_in_them(tmp_path: Path, name: str) -> None:
    options = effective(tmp_path / name)
    root = str(tmp_path / name / "labs" / "trio")
    # -G prints the words before tokens are expanded: %% is a percent sign.
    assert options["userknownhostsfile"].replace("%%", "%") == f"{root}/known_hosts"
    assert options["identityfile"].replace("%%", "%") == f"{root}/keys/id_ed25519"


def test_the_socket_is_named_by_the_node() -> None:
    # A short path on purpose: pytest's own are too long for a socket.
    lab, paths = make_lab(), HostPaths(Path("/nonexistent/a b%")).lab("trio")
    assert ssh.can_share(lab, paths)
    config = ssh.render_config(lab, paths)
    done = subprocess.run(
        ["ssh", "-G", "-F", "/dev/stdin", "compute1"],
        input=config,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "controlpath /nonexistent/a b%/labs/trio/ctl/compute1\n" in done.stdout


def test_an_unreachable_node_is_told_apart_from_a_refusing_one(tmp_path: Path) -> None:
    lab = make_lab(nodes=("controller",), cidrs=("127.3.0.0/24",))
    paths = HostPaths(tmp_path).lab("trio")
    paths.root.mkdir(parents=True)
    text = ssh.render_config(lab, paths).replace("Port 22", "Port 1")
    paths.ssh_config.write_text(text, encoding="utf-8")
    command = ssh.script_command(paths, "controller", "true\n", timeout_s=10)
    done = subprocess.run(command.argv, input=command.stdin, capture_output=True, check=False)
    assert done.returncode == ssh.UNREACHED
    assert ssh.classify(done.stderr.decode()) == "refused"
