"""The real Vagrant reads our Vagrantfile, and what the provider writes for it.

Nothing is started.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.model.lab import Lab, NetworkMode
from stacklab.paths import HostPaths, LabPaths
from stacklab.paths.project import PROJECT
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


def domains(paths: LabPaths) -> dict[str, ET.Element]:
    """The lab's domains as vagrant-libvirt would define them, by the names of their nodes."""
    command = Path(__file__).with_name("domain_of_vagrant.rb")
    with paths.vagrantfile.open("a") as vagrantfile:
        vagrantfile.write(command.read_text())
    done = run(paths, "domains")
    assert done.returncode == 0, done.stderr
    elements = ET.fromstring(f"<all>{done.stdout}</all>")
    return {element.findtext("name", ""): element for element in elements}


def disks_of(domain: ET.Element) -> dict[str, dict[str, str | None]]:
    """The disks of a domain by their device; each with what was said of it."""
    found = {}
    for disk in domain.iterfind("devices/disk"):
        target, source, driver = (disk.find(name) for name in ("target", "source", "driver"))
        assert target is not None
        assert source is not None
        assert driver is not None
        found[target.get("dev", "")] = {
            "bus": target.get("bus"),
            "file": source.get("file"),
            "type": driver.get("type"),
            "cache": driver.get("cache"),
            "serial": disk.findtext("serial"),
            "shared": "no" if disk.find("shareable") is None else "yes",
        }
    return found


def scsi_models(domain: ET.Element) -> list[str | None]:
    return [one.get("model") for one in domain.iterfind("devices/controller[@type='scsi']")]


def test_further_disks_are_in_the_domains_that_vagrant_libvirt_makes(tmp_path: Path) -> None:
    lab = spec.load(PROJECT / "tests" / "specs" / "good" / "disks.yaml")
    made = domains(write(lab, tmp_path))
    first, old = disks_of(made["storage1"]), disks_of(made["old"])
    assert list(first) == ["vda", "vdb", "vdc", "sda", "vdd"]
    assert first["vdc"] == {
        "bus": "virtio",
        "file": "/volumes/disks_storage1.disk1.qcow2",
        "type": "qcow2",
        "cache": "unsafe",
        "serial": "disk1",
        "shared": "no",
    }
    assert (first["sda"]["bus"], first["sda"]["serial"]) == ("scsi", "JOURNAL_1")
    assert first["vdd"] == {
        "bus": "virtio",
        "file": "/volumes/disks.shared.quorum.raw",
        "type": "raw",
        "cache": "none",
        "serial": "quorum",
        "shared": "yes",
    }
    assert disks_of(made["storage2"])["vdd"] == first["vdd"]
    assert {device: disk["bus"] for device, disk in old.items()} == {
        "vda": "virtio",
        "vdb": "virtio",
        "hda": "ide",
        "sda": "sata",
        "vdc": "virtio",
    }
    assert old["vdc"] == {**first["vdd"], "serial": "0815"}
    # Without a model, libvirt's would be one that the kernels of images have no driver for.
    assert scsi_models(made["storage1"]) == ["virtio-scsi"]
    assert scsi_models(made["old"]) == []


@pytest.mark.skipif(shutil.which("virsh") is None, reason="no virsh")
def test_libvirt_s_schema_takes_domains_with_further_disks(tmp_path: Path) -> None:
    lab = spec.load(PROJECT / "tests" / "specs" / "good" / "disks.yaml")
    for name, domain in domains(write(lab, tmp_path)).items():
        for empty in ("kernel", "initrd", "cmdline"):  # libvirt takes them, its schema does not
            system = domain.find("os")
            assert system is not None
            system.remove(next(system.iterfind(empty)))
        domain.set("type", "test")
        file = tmp_path / f"{name}.xml"
        ET.ElementTree(domain).write(file)
        done = subprocess.run(
            ["virsh", "-c", "test:///default", "define", "--validate", str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


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


def test_an_interface_of_the_host_is_shared_by_macvtap(tmp_path: Path, bridge: str) -> None:
    lab = load("contrail-3node")
    # Any interface will do, for what Vagrant and we look at.
    fabric = dataclasses.replace(lab.network("fabric"), mode=NetworkMode.MACVTAP, bridge=bridge)
    lab = dataclasses.replace(lab, networks=(lab.networks[0], fabric))
    done = run(write(lab, tmp_path), "validate")
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
