"""Defaults, filled in once."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import releases
from stacklab.errors import SpecError
from stacklab.model.checks import CheckPolicy
from stacklab.model.lab import Lab, NetworkMode, NodeKind, Size
from stacklab.model.stack import Installer, NetworkingMode, Role, Stack
from stacklab.spec import load
from stacklab.spec.rules.whole import NESTED_DEFAULT

NETWORKS = """\
image: debian-12
networks:
  mgmt: {cidr: 10.0.0.0/24, mode: nat}
  fabric: {cidr: 10.0.1.0/24, mode: isolated}
"""
NODES = "nodes: {node: {nics: [{network: mgmt}, {network: fabric}]}}\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def resolve(directory: Path, text: str, name: str = "lab") -> Lab:
    path = directory / f"{name}.yaml"
    path.write_text(text)
    return load(path)


def test_every_default_is_filled_in(directory: Path) -> None:
    lab = resolve(directory, NETWORKS + NODES)
    (node,) = lab.nodes
    assert (node.name, node.role, node.cpus) == ("node", Role.NODE, 1)
    assert (node.memory, node.disk) == (Size.parse("1GiB"), Size.parse("48GiB"))
    assert [network.mtu for network in lab.networks] == [1500, 1500]
    assert lab.checks == CheckPolicy(retries=2, interval_s=2.0, boot_timeout_s=300.0)
    assert lab.stack == Stack(installer=Installer.NONE, network="fabric")
    assert (lab.name, lab.description, lab.images) == ("lab", "", ("debian-12",))
    assert lab.source == (directory / "lab.yaml").resolve()


def test_devices_follow_the_order_of_the_nics(directory: Path) -> None:
    lab = resolve(
        directory, NETWORKS + "nodes: {node: {nics: [{network: fabric}, {network: mgmt}]}}\n"
    )
    assert [(nic.device, nic.network) for nic in lab.nodes[0].nics] == [
        ("eth0", "fabric"),
        ("eth1", "mgmt"),
    ]
    assert lab.nodes[0].access.network == "fabric"


def test_a_count_numbers_the_nodes_from_1(directory: Path) -> None:
    lab = resolve(
        directory,
        NETWORKS + "nodes: {n: {count: 3, nics: [{network: mgmt, address: 10.0.0.20}]}}\n",
    )
    assert [(node.name, str(node.access.address)) for node in lab.nodes] == [
        ("n1", "10.0.0.20/24"),
        ("n2", "10.0.0.21/24"),
        ("n3", "10.0.0.22/24"),
    ]


def test_a_count_of_1_is_a_number_too(directory: Path) -> None:
    lab = resolve(directory, NETWORKS + "nodes: {n: {count: 1, nics: [{network: mgmt}]}}\n")
    assert [node.name for node in lab.nodes] == ["n1"]


def test_a_network_gives_its_mtu_to_its_nics(directory: Path) -> None:
    text = NETWORKS.replace("mode: isolated", "mode: isolated, mtu: 9000")
    assert [nic.mtu for nic in resolve(directory, text + NODES).nodes[0].nics] == [1500, 9000]


def test_our_bridges_have_short_names_of_their_own(directory: Path) -> None:
    one, other = (resolve(directory, NETWORKS + NODES, name) for name in ("one", "other"))
    names = [network.bridge for lab in (one, other) for network in lab.networks]
    assert len(set(names)) == 4
    assert all(name.startswith("sl-") and len(name) == 13 for name in names)


def test_a_bridged_network_is_on_the_bridge_that_is_named(directory: Path) -> None:
    text = NETWORKS.replace("mode: isolated", "mode: bridged, bridge: br0")
    network = resolve(directory, text + NODES).network("fabric")
    assert (network.mode, network.bridge) == (NetworkMode.BRIDGED, "br0")


CONTRAIL = NETWORKS.replace("debian-12", "ubuntu-14.04") + NODES.replace(
    "{nics", "{role: controller, nics"
)


@pytest.mark.parametrize("release", releases.of(Installer.CONTRAIL))
def test_contrail_brings_the_devstack_that_worked_with_it(directory: Path, release: str) -> None:
    lab = resolve(directory, f"{CONTRAIL}stack: {{installer: contrail, release: {release}}}\n")
    assert lab.stack.devstack_branch == releases.find(Installer.CONTRAIL, release).pairs[0]


def test_contrail_is_master_with_mitaka_when_nothing_is_said(directory: Path) -> None:
    lab = resolve(directory, f"{CONTRAIL}stack: {{installer: contrail}}\n")
    assert lab.stack == Stack(
        installer=Installer.CONTRAIL,
        network="fabric",
        api_network="fabric",
        data_network="fabric",
        release="master",
        devstack_branch="mitaka",
        network_mode=NetworkingMode.VROUTER,
    )


@pytest.mark.parametrize("written", ["mitaka", "stable/mitaka", "mitaka-eol"])
def test_a_release_may_be_called_by_its_branch_or_tag(directory: Path, written: str) -> None:
    stack = f"stack: {{installer: devstack, release: {written}, fixed_range: 10.11.0.0/24}}\n"
    lab = resolve(directory, CONTRAIL + stack)
    assert lab.stack.release == "mitaka"


def test_with_one_network_that_one_carries_the_cloud(directory: Path) -> None:
    text = (
        "image: a\n"
        "networks: {net: {cidr: 10.0.0.0/24, mode: nat}}\n"
        "nodes: {n: {nics: [{network: net}]}}\n"
    )
    assert resolve(directory, text).stack.network == "net"


def test_zero_is_no_default(directory: Path) -> None:
    lab = resolve(directory, NETWORKS + NODES + "checks: {interval: 0}\n")
    assert lab.checks.interval_s == 0.0


def test_an_unused_network_is_allowed(directory: Path) -> None:
    lab = resolve(directory, NETWORKS + "nodes: {node: {nics: [{network: mgmt}]}}\n")
    assert lab.members("fabric") == ()


def test_a_lab_without_computes_may_use_libvirts_default_range(directory: Path) -> None:
    text = NETWORKS.replace("10.0.0.0/24", "192.168.122.0/24")
    assert resolve(directory, text + NODES).networks[0].cidr == NESTED_DEFAULT
    with pytest.raises(SpecError, match="which libvirt on a compute uses itself"):
        resolve(directory, text + NODES.replace("{nics", "{role: compute, nics"))


def test_a_lab_may_need_more_memory_than_any_host_has(directory: Path) -> None:
    path = directory / "lab.yaml"
    path.write_text(NETWORKS + "nodes: {n: {count: 9, memory: 900GiB, nics: [{network: mgmt}]}}\n")
    assert load(path).memory == Size.parse("8100GiB")


def test_images_are_compared_only_when_the_catalogue_is_given(directory: Path) -> None:
    path = directory / "lab.yaml"
    path.write_text(NETWORKS + NODES)
    assert load(path).images == ("debian-12",)
    with pytest.raises(SpecError, match="no image 'debian-12'"):
        load(path, known_images=())


@pytest.mark.parametrize(
    ("stack", "is_privileged"),
    [("", False), ("stack: {installer: devstack, fixed_range: 10.11.0.0/24}\n", True)],
)
def test_containers_are_privileged_if_an_installer_needs_it(
    directory: Path, stack: str, is_privileged: bool
) -> None:
    node = NODES.replace("{nics", "{role: controller, nics")
    as_written = resolve(directory, NETWORKS + "kind: container\n" + node + stack)
    as_typed = resolve(directory, NETWORKS + node + stack).all_as(NodeKind.CONTAINER)
    assert as_written.nodes == as_typed.nodes
    assert as_written.nodes[0].is_privileged is is_privileged


def test_what_a_spec_says_of_a_container_outlives_the_word_for_all(directory: Path) -> None:
    text = NETWORKS + "kind: container\nprivileged: true\n" + NODES
    lab = resolve(directory, text)
    assert lab.all_as(NodeKind.CONTAINER) == lab


def test_a_vm_is_as_it_was_before_there_were_containers(directory: Path) -> None:
    lab = resolve(directory, NETWORKS + NODES)
    assert lab.all_as(NodeKind.CONTAINER).all_as(NodeKind.VM) == lab
