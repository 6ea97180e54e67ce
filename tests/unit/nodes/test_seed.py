from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile
from ipaddress import IPv4Interface
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.model.lab import Disk, DiskBus, Lab, NetworkMode, NetworkStyle, Size
from stacklab.model.stack import Installer
from stacklab.nodes import access, archive, seed
from stacklab.nodes.access import KeyPair, Keys
from stacklab.nodes.archive import Entry
from tests.unit.checks.fake_lab import make_lab
from tests.unit.installers.contrail.labs import make_lab as make_contrail

ANSWERS = {
    PurePosixPath("/opt/stack/devstack/localrc"): "HOST_IP=1\n",
    PurePosixPath("/opt/stack/contrail-installer/localrc"): "INSTALL_PROFILE=ALL\n",
}


def make_keys(lab: Lab) -> Keys:
    def pair(name: str) -> KeyPair:
        return KeyPair(private=f"PRIVATE {name}\n", public=f"ssh-ed25519 AAAA{name} {name}")

    return Keys(lab=pair("lab"), hosts={node.name: pair(node.name) for node in lab.nodes})


def entries(
    style: NetworkStyle = NetworkStyle.NETWORKD, *, lab: Lab | None = None, node: str = "compute1"
) -> dict[str, Entry]:
    lab = lab or make_lab()
    return dict(seed.entries(lab, lab.node(node), make_keys(lab), style, ANSWERS))


def text(found: dict[str, Entry], path: str) -> str:
    written = found[path].text
    assert written is not None
    return written


def with_mtu(lab: Lab, mtu: int) -> Lab:
    nodes = tuple(
        dataclasses.replace(
            node, nics=tuple(dataclasses.replace(nic, mtu=mtu) for nic in node.nics)
        )
        for node in lab.nodes
    )
    return dataclasses.replace(lab, nodes=nodes)


def members(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as packed:
        return packed.getmembers()


def test_a_node_gets_its_own_name_and_everybody_s_addresses() -> None:
    found = entries()
    assert text(found, "etc/hostname") == "compute1\n"
    assert text(found, "etc/hosts").splitlines() == [
        "# lab trio, node compute1",
        "127.0.0.1 localhost",
        "::1 localhost ip6-localhost ip6-loopback",
        "10.10.0.11 controller",
        "10.20.0.11 controller-net1",
        "10.10.0.12 compute1",
        "10.20.0.12 compute1-net1",
        "10.10.0.13 compute2",
        "10.20.0.13 compute2-net1",
    ]
    assert text(found, "etc/resolv.conf") == "nameserver 10.10.0.1\n"


def test_a_node_gets_its_own_host_key_and_nobody_else_s() -> None:
    found = entries()
    assert found["etc/ssh/ssh_host_ed25519_key"] == Entry(text="PRIVATE compute1\n", mode=0o600)
    assert text(found, "etc/ssh/ssh_host_ed25519_key.pub") == "ssh-ed25519 AAAAcompute1 compute1\n"
    assert not any("PRIVATE controller" in (each.text or "") for each in found.values())


def test_the_lab_s_key_opens_stack_and_is_stack_s_own() -> None:
    found = entries()
    ours = {path: each for path, each in found.items() if path.startswith("home/stack")}
    assert {each.owner for each in ours.values()} == {"stack"}
    assert ours.pop("home/stack/.ssh") == Entry(text=None, mode=0o700, owner="stack")
    assert {each.mode for each in ours.values()} == {0o600}
    assert ours["home/stack/.ssh/authorized_keys"].text == "ssh-ed25519 AAAAlab lab\n"
    assert ours["home/stack/.ssh/id_ed25519"].text == "PRIVATE lab\n"
    assert ours["home/stack/.ssh/known_hosts"].text == access.known_hosts(
        make_lab(), make_keys(make_lab())
    )


def test_a_node_that_asks_by_dhcp_is_told_neither_mtu_nor_dns_by_it() -> None:
    found = entries(lab=with_mtu(make_lab(), 1400))
    assert text(found, "etc/systemd/network/10-eth0.network") == (
        "[Match]\nName=eth0\n\n[Link]\nMTUBytes=1400\n\n"
        "[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n\n"
        "[DHCPv4]\nClientIdentifier=mac\nUseMTU=no\nUseDNS=no\n"
    )
    assert text(found, "etc/systemd/network/10-eth1.network") == (
        "[Match]\nName=eth1\n\n[Link]\nMTUBytes=1400\n\n"
        "[Network]\nAddress=10.20.0.12/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
    )


def test_ifupdown_has_one_file_for_all_nics() -> None:
    found = entries(NetworkStyle.IFUPDOWN, lab=with_mtu(make_lab(), 1400))
    assert text(found, "etc/network/interfaces") == (
        "auto lo\niface lo inet loopback\n"
        "\nauto eth0\niface eth0 inet dhcp\n    post-up ip link set eth0 mtu 1400\n"
        "\nauto eth1\niface eth1 inet static\n    address 10.20.0.12\n    netmask 255.255.255.0\n"
        "    mtu 1400\n"
    )
    assert not any("systemd" in path for path in found)


def test_ifcfg_has_a_file_per_nic_by_its_mac() -> None:
    found = entries(NetworkStyle.IFCFG, lab=with_mtu(make_lab(), 1400))
    assert text(found, "etc/sysconfig/network-scripts/ifcfg-eth0") == (
        "DEVICE=eth0\nHWADDR=52:54:00:00:00:01\nONBOOT=yes\nMTU=1400\nPEERDNS=no\nIPV6INIT=no\n"
        "BOOTPROTO=dhcp\nDEFROUTE=yes\n"
    )
    assert text(found, "etc/sysconfig/network-scripts/ifcfg-eth1") == (
        "DEVICE=eth1\nHWADDR=52:54:00:00:01:01\nONBOOT=yes\nMTU=1400\nPEERDNS=no\nIPV6INIT=no\n"
        "BOOTPROTO=none\nIPADDR=10.20.0.12\nPREFIX=24\nDEFROUTE=no\n"
    )


def test_on_an_isolated_network_there_is_no_way_out() -> None:
    found = entries(NetworkStyle.IFCFG, lab=make_lab(mode=NetworkMode.ISOLATED))
    assert "DEFROUTE=no\n" in text(found, "etc/sysconfig/network-scripts/ifcfg-eth0")


def test_a_prefix_other_than_24_is_written_as_it_is() -> None:
    lab = make_lab()
    nic = dataclasses.replace(lab.nodes[1].nics[1], address=IPv4Interface("10.20.1.2/22"))
    node = dataclasses.replace(lab.nodes[1], nics=(lab.nodes[1].nics[0], nic))
    lab = dataclasses.replace(lab, nodes=(lab.nodes[0], node, lab.nodes[2]))
    assert "Address=10.20.1.2/22\n" in text(entries(lab=lab), "etc/systemd/network/10-eth1.network")
    assert "netmask 255.255.252.0\n" in text(
        entries(NetworkStyle.IFUPDOWN, lab=lab), "etc/network/interfaces"
    )
    ifcfg = text(entries(NetworkStyle.IFCFG, lab=lab), "etc/sysconfig/network-scripts/ifcfg-eth1")
    assert "PREFIX=22\n" in ifcfg


@pytest.mark.parametrize("style", NetworkStyle)
def test_every_style_names_every_device(style: NetworkStyle) -> None:
    found = entries(style)
    texts = "".join(each.text or "" for path, each in found.items() if "network" in path)
    assert "eth0" in texts
    assert "eth1" in texts


def test_answers_lie_in_directories_of_stack_s_own_which_come_first() -> None:
    found = seed.answer_entries(make_lab(), ANSWERS)
    assert list(found) == [
        "opt/stack",
        "opt/stack/contrail-installer",
        "opt/stack/contrail-installer/localrc",
        "opt/stack/devstack",
        "opt/stack/devstack/localrc",
    ]
    assert {each.owner for each in found.values()} == {"stack"}
    assert found["opt/stack/devstack"] == Entry(text=None, mode=0o755, owner="stack")
    assert found["opt/stack/devstack/localrc"] == Entry(
        text="HOST_IP=1\n", mode=0o600, owner="stack"
    )


def test_a_node_without_answers_gets_no_directory_for_them() -> None:
    assert seed.answer_entries(make_lab(), {}) == {}


def test_the_archive_keeps_modes_and_names_owners() -> None:
    found = {member.name: member for member in members(archive.image(entries()))}
    key, directory = found["etc/ssh/ssh_host_ed25519_key"], found["home/stack/.ssh"]
    assert (key.mode, key.uname, key.gname, key.uid, key.gid) == (0o600, "root", "root", 0, 0)
    assert (directory.mode, directory.uname, directory.gname, directory.uid) == (
        0o700,
        "stack",
        "stack",
        1000,
    )
    assert directory.isdir()
    assert not any(name.startswith(("/", ".")) for name in found)


def test_the_mark_stands_first_and_is_the_digest_of_the_rest() -> None:
    content = entries()
    first, *rest = members(archive.image(content))
    assert (
        first.name
        == f"var/lib/stacklab/seed-{hashlib.sha256(archive.tar(content)).hexdigest()[:32]}"
    )
    assert first.size == 0
    assert [member.name for member in rest] == list(content)


@pytest.mark.parametrize(
    "changed",
    [
        Entry(text="other\n"),
        Entry(text="controller\n", mode=0o600),
        Entry(text="controller\n", owner="stack"),
        Entry(text=None),
    ],
)
def test_any_change_gives_another_mark(changed: Entry) -> None:
    before = {"etc/hostname": Entry(text="controller\n")}
    marks = [
        members(archive.image(content))[0].name for content in (before, {"etc/hostname": changed})
    ]
    assert marks[0] != marks[1]


def test_a_disk_is_whole_mebibytes_of_ustar() -> None:
    data = archive.image(entries())
    assert data[257:265] == b"ustar\x0000"  # what busybox's and every other tar reads
    assert len(data) % (1024 * 1024) == 0
    assert len(data) > 0


def test_two_nodes_never_share_a_seed() -> None:
    found = {archive.image(entries(node=node)) for node in ("controller", "compute1", "compute2")}
    assert len(found) == 3


PATHS = st.lists(
    st.from_regex(r"[a-z][a-z0-9._-]{0,20}", fullmatch=True), min_size=1, max_size=4
).map("/".join)
CONTENT = st.dictionaries(
    PATHS,
    st.builds(
        Entry,
        text=st.none() | st.text(st.characters(codec="utf-8"), max_size=2000),
        mode=st.integers(0, 0o777),
        owner=st.sampled_from(["root", "stack"]),
    ),
    max_size=6,
)


@given(content=CONTENT)
@settings(deadline=None, max_examples=100)
def test_whatever_goes_in_comes_out_and_the_same_again_is_the_same_bytes(
    content: dict[str, Entry],
) -> None:
    data = archive.image(content)
    assert archive.image(dict(content)) == data
    with tarfile.open(fileobj=io.BytesIO(data)) as packed:
        read = {}
        for member in packed.getmembers()[1:]:
            file = packed.extractfile(member)
            read[member.name] = Entry(
                text=file.read().decode() if file else None, mode=member.mode, owner=member.uname
            )
    assert read == content


def test_where_kolla_installs_a_name_is_the_address_of_the_apis() -> None:
    lab = make_contrail(installer=Installer.KOLLA)
    lines = text(entries(lab=lab), "etc/hosts").splitlines()
    assert "10.150.0.10 controller" in lines
    assert "192.168.150.10 controller-mgmt" in lines


def test_files_of_the_system_are_roots_and_readable_those_with_secrets_are_the_users_alone() -> (
    None
):
    found = seed.answer_entries(
        make_contrail(installer=Installer.KOLLA),
        {
            PurePosixPath("/etc/pip.conf"): "[global]\n",
            PurePosixPath("/etc/kolla/passwords.yml"): "a: b\n",
            PurePosixPath("/etc/kolla/config/nova.conf"): "[DEFAULT]\n",
        },
    )
    assert found["etc/pip.conf"] == Entry(text="[global]\n", mode=0o644, owner="root")
    assert found["etc/kolla/passwords.yml"] == Entry(text="a: b\n", mode=0o600, owner="stack")
    assert (
        found["etc/kolla"]
        == found["etc/kolla/config"]
        == Entry(text=None, mode=0o755, owner="stack")
    )
    assert "etc" not in found


def test_a_node_loads_the_drivers_of_disks_that_its_udev_does_not_find() -> None:
    def lab_with(*buses: DiskBus) -> Lab:
        lab = make_lab()
        disks = tuple(
            Disk(name=f"disk{number}", size=Size(1), bus=bus, serial=f"{number}")
            for number, bus in enumerate(buses)
        )
        nodes = tuple(dataclasses.replace(node, disks=disks) for node in lab.nodes)
        return dataclasses.replace(lab, nodes=nodes)

    path = "etc/modules-load.d/stacklab-disks.conf"
    assert path not in entries(lab=lab_with(DiskBus.VIRTIO, DiskBus.SCSI))
    found = entries(lab=lab_with(DiskBus.SATA, DiskBus.IDE, DiskBus.IDE, DiskBus.VIRTIO))
    assert text(found, path) == "ahci\nata_piix\n"
