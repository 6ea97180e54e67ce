from __future__ import annotations

import xml.etree.ElementTree as ET

from stacklab.tools.libvirt import faults as libvirt_faults

DOMAIN = """<domain><devices>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='trio_net0'/>\
</interface>
<interface type='network'><mac address='52:54:00:00:01:01'/>
<source network='trio_net1' portid='62296400-daac-4046-a31d-88d612754382' bridge='sl-1'/>
<target dev='vnet3'/>
<model type='virtio'/><link state='up'/><alias name='ua-net-1'/>
<address type='pci' domain='0x0000' bus='0x00' slot='0x06' function='0x0'/></interface>
<interface type='bridge'><mac address='52:54:00:00:02:01'/><source bridge='br0'/></interface>
</devices></domain>"""
MAC = "52:54:00:00:01:01"


def test_the_nic_of_a_mac_is_found_whole() -> None:
    found = libvirt_faults.interface(DOMAIN, MAC)
    assert found.startswith("<interface ")
    assert "vnet3" in found
    assert "slot='0x06'" in found.replace('"', "'")
    assert libvirt_faults.interface(DOMAIN, "52:54:00:00:09:09") == ""
    assert libvirt_faults.interface("", MAC) == ""


def test_a_cable_is_out_or_in_and_there_is_one() -> None:
    found = libvirt_faults.interface(DOMAIN, MAC)
    for is_up, state in ((False, "down"), (True, "up")):
        found = libvirt_faults.with_link(found, is_up=is_up)
        assert [link.get("state") for link in ET.fromstring(found).findall("link")] == [state]


def test_what_is_plugged_in_again_has_its_mac_tap_network_and_slot_and_another_port() -> None:
    found = ET.fromstring(libvirt_faults.to_plug(libvirt_faults.interface(DOMAIN, MAC)))
    source = found.find("source")
    assert source is not None
    assert dict(source.attrib) == {"network": "trio_net1"}
    assert [found.find(name).attrib for name in ("mac", "target", "link")] == [  # type: ignore[union-attr]
        {"address": MAC},
        {"dev": "vnet3"},
        {"state": "up"},
    ]
    assert found.find("address") is not None


def test_a_bridge_of_the_host_s_stays_the_nic_s_bridge() -> None:
    found = ET.fromstring(
        libvirt_faults.to_plug(libvirt_faults.interface(DOMAIN, "52:54:00:00:02:01"))
    )
    assert [source.attrib for source in found.findall("source")] == [{"bridge": "br0"}]
