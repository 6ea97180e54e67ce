"""The real Vagrant reads our Vagrantfile, and what the provider writes for it.

Nothing is started.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.model.lab import Lab, NetworkMode
from stacklab.paths import PROJECT, HostPaths, LabPaths
from stacklab.progress import Progress
from stacklab.providers import registry
from stacklab.tools import ssh, vagrant
from stacklab.tools.host.accelerator import Accelerator
from tests.unit.providers.libvirt.fake_libvirt import make_provider

pytestmark = pytest.mark.skipif(shutil.which("vagrant") is None, reason="vagrant is not installed")

TCG = Accelerator(name="TCG", reason="a test")
KVM = Accelerator(name="KVM", reason="a test")


def load(name: str) -> Lab:
    return spec.load(PROJECT / "labs" / f"{name}.yaml")


def write(lab: Lab, root: Path, accelerator: Accelerator = TCG) -> LabPaths:
    """What lab.up writes before it calls vagrant; but a libvirt that is no machine's."""
    paths = HostPaths(root).lab(lab.name)
    kept = registry.new_record(lab, paths, image="debian-12-abc", passed_over={}, now=0)
    provider = make_provider(paths.host, None, Progress(), accelerator=accelerator)
    paths.keys.mkdir(parents=True)
    paths.private_key.touch()  # Vagrant wants to see both
    paths.ssh_config.write_text(ssh.render_config(lab, paths))
    for path, text in provider.files(lab, paths, kept).items():
        path.write_text(text)
    machines = json.loads(paths.machines.read_text())
    machines["libvirt"]["uri"] = "test:///default"
    paths.machines.write_text(json.dumps(machines))
    return paths


def run(paths: LabPaths, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **vagrant.environment(paths.root),
        "VAGRANT_HOME": str(paths.host.root / "vagrant.d"),
    }
    environment |= {"HOME": str(paths.host.root), "PATH": os.environ["PATH"]}
    return subprocess.run(
        ["vagrant", *words],
        cwd=paths.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def change(paths: LabPaths, **node: object) -> None:
    machines = json.loads(paths.machines.read_text())
    machines["nodes"][0].update(node)
    paths.machines.write_text(json.dumps(machines))


@pytest.mark.parametrize(
    ("name", "accelerator"), [("contrail-3node", TCG), ("contrail-3node", KVM), ("mini-2node", TCG)]
)
def test_vagrant_finds_nothing_wrong_with_a_lab_of_ours(
    tmp_path: Path, name: str, accelerator: Accelerator
) -> None:
    done = run(write(load(name), tmp_path, accelerator), "validate")
    assert (done.returncode, done.stdout.strip()) == (0, "Vagrantfile validated successfully."), (
        done.stderr
    )


def test_vagrant_s_validation_sees_what_is_in_lab_json(tmp_path: Path) -> None:
    paths = write(load("contrail-3node"), tmp_path)
    nic = json.loads(paths.machines.read_text())["nodes"][0]["nics"][1]
    change(paths, nics=[nic, {**nic, "mac": "no mac at all"}])
    done = run(paths, "validate")
    assert done.returncode == 1
    assert "Configured NIC MAC 'no mac at all' is not in" in done.stdout + done.stderr


def test_vagrant_knows_every_node_and_says_nothing_but_csv(tmp_path: Path) -> None:
    lab = load("contrail-3node")
    done = run(write(lab, tmp_path), "status", "--machine-readable")
    assert done.returncode == 0, done.stderr
    rows = [line.split(",") for line in done.stdout.splitlines()]
    assert [row for row in rows if len(row) < 4 or not row[0].isdigit()] == []
    states = {row[1]: row[3] for row in rows if row[2] == "state"}
    assert states == {node.name: "not_created" for node in lab.nodes}
    providers = {row[3] for row in rows if row[2] == "provider-name"}
    assert providers == {"libvirt"}


def test_the_pattern_for_several_nodes_means_these_and_no_other(tmp_path: Path) -> None:
    paths = write(load("contrail-3node"), tmp_path)
    done = run(paths, "status", "--machine-readable", vagrant.pattern(["controller", "compute2"]))
    rows = [line.split(",") for line in done.stdout.splitlines()]
    assert {row[1] for row in rows if row[2] == "state"} == {"controller", "compute2"}, done.stderr


@pytest.fixture
def bridge() -> Iterator[str]:
    """A bridge of the host's own: Vagrant wants to see one when it validates."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a bridge for this test")
    name = f"slt{os.getpid()}"[:15]
    subprocess.run(("ip", "link", "add", name, "type", "bridge"), check=True)
    yield name
    subprocess.run(("ip", "link", "del", name), check=True)


def test_a_network_of_the_host_s_own_is_joined_by_its_bridge(tmp_path: Path, bridge: str) -> None:
    lab = load("contrail-3node")
    fabric = dataclasses.replace(lab.network("fabric"), mode=NetworkMode.BRIDGED, bridge=bridge)
    done = run(
        write(dataclasses.replace(lab, networks=(lab.networks[0], fabric)), tmp_path), "validate"
    )
    assert (done.returncode, done.stdout.strip()) == (0, "Vagrantfile validated successfully."), (
        done.stderr
    )


def test_a_bridge_that_the_host_has_not_is_refused_by_vagrant_too(tmp_path: Path) -> None:
    lab = load("contrail-3node")
    fabric = dataclasses.replace(
        lab.network("fabric"), mode=NetworkMode.BRIDGED, bridge="nobridge0"
    )
    done = run(
        write(dataclasses.replace(lab, networks=(lab.networks[0], fabric)), tmp_path), "validate"
    )
    assert done.returncode == 1
    assert "nobridge0" in done.stdout + done.stderr
