"""A NIC is added to a domain that runs and to its definition alike."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

import libvirt
import pytest

from stacklab.errors import ProviderError
from stacklab.providers.libvirt import foreign_domain
from stacklab.tools.libvirt import nics as libvirt_nics
from stacklab.tools.libvirt.nics import NewNic
from stacklab.tools.libvirt.xml import NicSource

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
NIC = NewNic(mac="52:54:00:0a:02:01", number=2, source=NicSource.network("trio_net2"))


def device(tag: str, slot: int, mac: str = "") -> str:
    inside = f"<mac address='{mac}'/>" if mac else ""
    where = f"<address type='pci' domain='0x0000' bus='0x00' slot='0x{slot:02x}' function='0x0'/>"
    return f"<{tag}>{inside}{where}</{tag}>"


# As libvirt numbers those of a node: disks, rng and NICs; a serial port has no slot.
DEVICES = (
    device("disk", 2),
    device("disk", 3),
    device("rng", 4),
    device("interface", 5, "52:54:00:00:00:01"),
    device("interface", 6, "52:54:00:00:01:01"),
    "<serial type='pty'/>",
)


@dataclass
class FakeDomain:
    """A domain, and what was attached to it: (the NIC's XML, the flags)."""

    defined: tuple[str, ...] = DEVICES
    running: tuple[str, ...] | None = DEVICES
    attached: list[tuple[str, int]] = field(default_factory=list)

    def XMLDesc(self, flags: int = 0) -> str:
        is_defined = flags & libvirt.VIR_DOMAIN_XML_INACTIVE or self.running is None
        devices = self.defined if is_defined else self.running
        return f"<domain><devices>{''.join(devices or ())}</devices></domain>"

    def isActive(self) -> int:
        return int(self.running is not None)

    def attachDeviceFlags(self, xml: str, flags: int = 0) -> None:
        self.attached.append((xml, flags))


def added(domain: FakeDomain, nic: NewNic = NIC) -> tuple[ET.Element, int]:
    libvirt_nics.add(domain, nic)
    ((xml, flags),) = domain.attached
    return ET.fromstring(xml), flags


def slot(element: ET.Element) -> int:
    address = element.find("address")
    assert address is not None
    assert (address.get("type"), address.get("bus")) == ("pci", "0x00")
    return int(address.get("slot", ""), 16)


def test_a_running_domain_gets_it_at_once_and_for_good() -> None:
    element, flags = added(FakeDomain())
    assert flags == LIVE | CONFIG
    assert slot(element) == 7
    found = {child.tag: dict(child.attrib) for child in element if child.tag != "address"}
    assert element.get("type") == "network"
    # As in vagrant-libvirt's create_network_interfaces.rb.
    assert found == {
        "alias": {"name": "ua-net-2"},
        "mac": {"address": NIC.mac},
        "source": {"network": "trio_net2"},
        "model": {"type": "virtio"},
        "driver": {"iommu": "off"},
    }


def test_a_domain_that_is_off_gets_it_for_its_next_start() -> None:
    _element, flags = added(FakeDomain(running=None))
    assert flags == CONFIG


def test_a_nic_on_a_bridge_of_the_host_is_on_no_network_of_libvirt_s() -> None:
    element, _flags = added(FakeDomain(), dataclasses.replace(NIC, source=NicSource.bridge("br0")))
    assert element.get("type") == "bridge"
    assert [source.attrib for source in element.findall("source")] == [{"bridge": "br0"}]


def test_a_nic_on_an_interface_of_the_host_shares_it_by_macvtap() -> None:
    nic = dataclasses.replace(NIC, source=NicSource.device("eno1"))
    element, _flags = added(FakeDomain(), nic)
    assert element.get("type") == "direct"
    (source,) = element.findall("source")
    assert source.attrib == {"dev": "eno1", "mode": "bridge"}


def test_once_is_enough() -> None:
    has = (*DEVICES, device("interface", 7, NIC.mac.upper()))
    domain = FakeDomain(defined=has, running=has)
    libvirt_nics.add(domain, NIC)
    assert domain.attached == []


@pytest.mark.parametrize(("is_running", "missing"), [(True, CONFIG), (False, LIVE)])
def test_what_a_killed_libvirtd_did_half_is_completed_in_the_same_slot(
    is_running: bool, missing: int
) -> None:
    has = (*DEVICES, device("interface", 9, NIC.mac))
    domain = FakeDomain(running=has) if is_running else FakeDomain(defined=has)
    element, flags = added(domain)
    assert (slot(element), flags) == (9, missing)


def test_it_comes_behind_all_nics_where_nothing_else_is() -> None:
    # A slot in front is free, but a NIC in it would be called eth1 at the next boot.
    gap = (*DEVICES[:-2], device("interface", 8, "52:54:00:00:01:01"))
    defined = (*gap, device("rng", 9))
    running = (*gap, device("rng", 10))
    element, _flags = added(FakeDomain(defined=defined, running=running))
    assert slot(element) == 11


def test_a_bus_that_is_full_takes_no_more() -> None:
    full = tuple(
        device("interface", number, f"52:54:00:00:09:{number:02x}") for number in range(32)
    )
    domain = FakeDomain(defined=full)
    with pytest.raises(ProviderError, match="no PCI slot is free"):
        libvirt_nics.add(domain, NIC)
    assert domain.attached == []


@pytest.mark.parametrize("machine", ["pc", "pc-i440fx-7.2", "pc-i440fx-rhel7.6.0", "pc-1.0"])
def test_these_machines_take_devices_in_while_they_run(machine: str) -> None:
    xml = f"<domain><os><type machine='{machine}'>hvm</type></os></domain>"
    assert libvirt_nics.why_no_plug(xml) == ""


@pytest.mark.parametrize(
    ("os", "name"),
    [
        ("<os><type machine='pc-q35-7.2'>hvm</type></os>", "pc-q35-7.2"),
        ("<os><type machine='q35'>hvm</type></os>", "q35"),
        ("<os><type machine='microvm'>hvm</type></os>", "microvm"),
        ("", "unknown"),
    ],
)
def test_other_machines_do_not(os: str, name: str) -> None:
    assert f"a machine of type {name} " in libvirt_nics.why_no_plug(f"<domain>{os}</domain>")


def test_a_domain_that_is_absent_will_be_made_with_it() -> None:
    assert libvirt_nics.why_no_plug("") == ""


def test_a_node_with_such_a_nic_can_be_exported() -> None:
    element = ET.fromstring(libvirt_nics.element(NIC, 7))
    foreign_domain._refuse_unknown(element, foreign_domain._DEVICES["interface"], "interface")
