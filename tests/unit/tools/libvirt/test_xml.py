from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from stacklab.model.lab import NetworkMode
from stacklab.tools.libvirt import xml as libvirt_xml
from tests.unit.checks.fake_lab import make_lab

UUID = "11111111-2222-3333-4444-555555555555"


def network(number: int = 0, *, mode: NetworkMode = NetworkMode.NAT) -> ET.Element:
    lab = make_lab(mode=mode)
    return ET.fromstring(
        libvirt_xml.network(lab, lab.networks[number], UUID, name=f"trio_net{number}")
    )


def test_a_network_has_our_name_uuid_bridge_and_address() -> None:
    top = network()
    assert top.findtext("name") == "trio_net0"
    assert top.findtext("uuid") == UUID
    assert top.find("bridge").attrib == {"name": "sl-trio0", "stp": "off", "delay": "0"}  # type: ignore[union-attr]
    address = top.find("ip")
    assert address is not None
    assert address.attrib == {"address": "10.10.0.1", "prefix": "24"}


def test_the_mtu_is_the_network_s() -> None:
    lab = make_lab()
    small = dataclasses.replace(lab.networks[0], mtu=1400)
    top = ET.fromstring(
        libvirt_xml.network(
            dataclasses.replace(lab, networks=(small,)), small, UUID, name="trio_net0"
        )
    )
    assert top.find("mtu").attrib == {"size": "1400"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("mode", "forwards"), [(NetworkMode.NAT, ["nat"]), (NetworkMode.ISOLATED, [])]
)
def test_only_a_nat_network_reaches_outside(mode: NetworkMode, forwards: list[str]) -> None:
    assert [each.get("mode") for each in network(mode=mode).iter("forward")] == forwards


def test_the_access_network_leases_each_node_its_own_address_and_nobody_else_any() -> None:
    top = network(0)
    hosts = [
        (each.get("mac"), each.get("name"), each.get("ip")) for each in top.iterfind("ip/dhcp/host")
    ]
    assert hosts == [
        ("52:54:00:00:00:00", "controller", "10.10.0.11"),
        ("52:54:00:00:00:01", "compute1", "10.10.0.12"),
        ("52:54:00:00:00:02", "compute2", "10.10.0.13"),
    ]
    assert top.find(".//range") is None
    assert {(e.get("expiry"), e.get("unit")) for e in top.iter("lease")} == {("10080", "minutes")}


def test_the_access_network_resolves_each_node_s_name() -> None:
    names = {each.get("ip"): each.findtext("hostname") for each in network(0).iterfind("dns/host")}
    assert names == {"10.10.0.11": "controller", "10.10.0.12": "compute1", "10.10.0.13": "compute2"}


def test_a_network_that_is_nobody_s_access_has_no_dhcp() -> None:
    top = network(1)
    assert top.find("ip/dhcp") is None
    assert top.find("dns/host") is None


def test_where_the_host_is_apart_the_bridge_has_no_address_and_nobody_listens() -> None:
    lab = make_lab(mode=NetworkMode.ISOLATED)
    apart = dataclasses.replace(lab.networks[1], has_host=False)
    top = ET.fromstring(
        libvirt_xml.network(
            dataclasses.replace(lab, networks=(lab.networks[0], apart)),
            apart,
            UUID,
            name="trio_net1",
        )
    )
    assert {each.tag for each in top} == {"name", "uuid", "bridge", "mtu"}
    assert network(1, mode=NetworkMode.ISOLATED).find("ip") is not None


def test_a_pool_is_read_back() -> None:
    directory = Path("/var/lib/a & b/<volumes>")
    xml = libvirt_xml.pool("stacklab", directory)
    assert ET.fromstring(xml).get("type") == "dir"
    assert ET.fromstring(xml).findtext("name") == "stacklab"
    assert libvirt_xml.pool_path(xml) == directory


def test_a_pool_without_a_directory_has_no_path() -> None:
    assert libvirt_xml.pool_path("<pool type='rbd'><name>x</name><target/></pool>") is None


def test_a_domain_s_nics_are_told_by_mac_network_and_tap() -> None:
    xml = """<domain><devices><disk/>
      <interface type='network'><mac address='aa'/><source network='trio_net0' bridge='sl-0'/>\
<target dev='vnet0'/>
      </interface>
      <interface type='bridge'><mac address='bb'/><source bridge='br0'/></interface>
      <interface type='user'/></devices></domain>"""
    assert libvirt_xml.interfaces(xml) == (
        ("aa", "trio_net0", "vnet0"),
        ("bb", "br0", ""),
        ("", "", ""),
    )


def test_a_save_file_s_word_on_what_lies_below_its_disks_is_dropped() -> None:
    xml = """<domain><devices>
      <disk type='file'><source file='/v/node1.qcow2'/>
        <backingStore type='file'>
          <format type='qcow2'/><source file='/i/debian-12.qcow2'/><backingStore/>
        </backingStore>
        <target dev='vda'/></disk>
      <disk type='file'><source file='/v/node1.seed.img'/><backingStore/><target dev='vdb'/></disk>
    </devices></domain>"""
    disks = list(ET.fromstring(libvirt_xml.without_backing_stores(xml)).iterfind("devices/disk"))
    assert [[child.tag for child in disk] for disk in disks] == [["source", "target"]] * 2


@pytest.mark.parametrize(
    ("secmodel", "uid"),
    [
        (
            "<secmodel><model>apparmor</model><doi>0</doi></secmodel>"
            "<secmodel><model>dac</model><doi>0</doi>"
            "<baselabel type='kvm'>+64055:+109</baselabel></secmodel>",
            64055,
        ),
        ("<secmodel><model>dac</model><baselabel type='qemu'>+0:+0</baselabel></secmodel>", 0),
        ("<secmodel><model>selinux</model><baselabel>system_u:x</baselabel></secmodel>", 0),
        ("", 0),
    ],
)
def test_qemus_user_is_read_from_what_libvirt_says_of_the_host(secmodel: str, uid: int) -> None:
    assert libvirt_xml.qemu_uid(f"<capabilities><host>{secmodel}</host></capabilities>") == uid
