"""A domain's XML from elsewhere: ours in all that it names, or refused."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from stacklab.providers.libvirt import foreign_domain
from stacklab.providers.libvirt.foreign_domain import ForeignDomain, Nic, NodeHere
from stacklab.tools.libvirt.xml import NicSource
from tests.unit.workflow.snapshots.fake_bundles import LAB, MACHINE, domain_xml, running_xml

HOME = Path("/their/home")
XML = domain_xml("trio_compute1", "their-uuid", HOME, LAB)
OURS = Path("/our/home")
WANTED = NodeHere(
    name="trio_compute1",
    uuid="our-uuid",
    title="ours",
    description="ours, too",
    driver="qemu",
    cpu_mode="custom",
    cpu_model="qemu64",
    machines=frozenset({MACHINE}),
    cpus=1,
    memory_kib=1024 * 1024,
    overlay=OURS / "volumes/trio_compute1.qcow2",
    seed=OURS / "volumes/trio_compute1.seed.img",
    console=OURS / "labs/trio/logs/compute1.console.log",
    nics=(
        Nic(mac="52:54:00:00:00:01", source=NicSource.network("trio_net0")),
        Nic(mac="52:54:00:00:01:01", source=NicSource.bridge("br0")),
    ),
)


@pytest.mark.parametrize("xml", [XML, running_xml(XML)], ids=["defined", "saved"])
def test_all_that_it_names_is_ours(xml: str) -> None:
    text = foreign_domain.relocated(xml, WANTED)
    assert "their" not in text
    assert "emulator" not in text
    assert "resource" not in text
    domain = ET.fromstring(text)
    assert domain.findtext("uuid") == "our-uuid"
    sources = [dict(one.attrib) for one in domain.iterfind("devices/*/source")]
    assert sources == [
        {"file": str(WANTED.overlay)},
        {"file": str(WANTED.seed)},
        {"network": "trio_net0"},
        {"bridge": "br0"},
        {"path": str(WANTED.console)},
        {"path": str(WANTED.console)},
    ]
    # Addresses of devices are what its memory knows them by.
    slots = [one.get("slot") for one in ET.fromstring(xml).iterfind("devices/*/address")]
    assert [one.get("slot") for one in domain.iterfind("devices/*/address")] == slots
    # And again, as of a bundle of a bundle.
    assert foreign_domain.relocated(text, WANTED) == text


def test_what_libvirt_adds_while_a_domain_runs_is_left_out() -> None:
    xml = XML.replace("<driver iommu='off'/>", "<target dev='vnet5'/><link state='up'/>")
    xml = xml.replace(
        "<alias name='ua-disk-volume-0'/>",
        # As of a lab that was restored: its image, and the disk that a snapshot froze.
        "<backingStore type='file' index='4'><format type='qcow2'/><source file='/v/frozen'/>"
        "<backingStore type='file' index='3'><format type='qcow2'/><source file='/i/image'/>"
        "<backingStore/></backingStore></backingStore><alias name='ua-disk-volume-0'/>",
    )
    xml = xml.replace(
        "<serial type='pty'>", "<serial type='pty'><source path='/dev/pts/2'/>"
    ).replace(
        "</devices>",
        "</devices><seclabel type='dynamic' model='dac' relabel='yes'>"
        "<label>+64055:+64055</label></seclabel>",
    )
    text = foreign_domain.relocated(xml, WANTED)
    for word in ("vnet5", "backingStore", "pts", "seclabel"):
        assert word not in text


def test_of_kvm_the_processor_is_the_host_s() -> None:
    wanted = dataclasses.replace(WANTED, driver="kvm", cpu_mode="host-passthrough", cpu_model="")
    cpu = XML[XML.index("<cpu") : XML.index("</cpu>") + len("</cpu>")]
    xml = XML.replace(cpu, "<cpu mode='host-passthrough' check='none' migratable='on'/>")
    domain = ET.fromstring(foreign_domain.relocated(xml, wanted))
    assert domain.get("type") == "kvm"
    with pytest.raises(ForeignDomain, match="its processor is"):
        foreign_domain.relocated(XML, wanted)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("<memballoon ", "<hostdev mode='subsystem'/><memballoon ", "has a 'hostdev'"),
        ("<memballoon ", "<filesystem type='mount'/><memballoon ", "has a 'filesystem'"),
        ("<memballoon ", "<channel type='unix'/><memballoon ", "has a 'channel'"),
        ("<memballoon ", "<tpm model='tpm-tis'/><memballoon ", "has a 'tpm'"),
        ("<memballoon ", "<shmem name='x'/><memballoon ", "has a 'shmem'"),
        ("<os>", "<os><kernel>/boot/vmlinuz</kernel>", "has a 'kernel'"),
        ("<os>", "<os><loader>/tmp/x</loader>", "has a 'loader'"),
        ("<os>", "<memoryBacking/><os>", "has a 'memoryBacking'"),
        ("<os>", "<metadata/><os>", "has a 'metadata'"),
        ("/usr/bin/qemu-system-x86_64<", "/var/tmp/evil<", "emulator says '/var/tmp/evil'"),
        ("/usr/bin/qemu-system-x86_64<", "/usr/bin/../../tmp/kvm<", "emulator says"),
        ("<emulator>", "<emulator x='1'>", "emulator has x="),
        ("type='file' device='disk'", "type='block' device='disk'", "disk has type='block'"),
        ("type='file' device='disk'", "type='network' device='disk'", "disk has type="),
        ("type='file' device='disk'", "type='file' device='lun'", "disk has device="),
        ("dev='vdb'", "dev='vdc'", "target has dev="),
        ("dev='vdb'", "dev='vda'", "not vda and vdb"),
        ("name='qemu' type='raw'", "name='qemu' type='qcow2'", "disk vdb is not raw"),
        ("<disk ", "<disk type='file' device='disk'><source file='/etc/shadow'/></disk><disk ",
         "of target, not one"),
        ("<alias name='ua-disk-volume-1'/>", "<backingStore type='block'/>",
         "backingStore has type"),
        ("<alias name='ua-disk-volume-1'/>",
         "<backingStore type='file'><source file='/x'><slices/></source></backingStore>",
         "source has a 'slices'"),
        ("<serial type='pty'>", "<serial type='unix'>", "serial has type='unix'"),
        ("<serial type='pty'>", "<serial type='tcp'>", "serial has type='tcp'"),
        ("<rng ", "<rng model='virtio'><backend model='egd'/></rng><rng ", "model='egd'"),
        (">/dev/random<", ">/dev/sda<", "says '/dev/sda'"),
        ("<interface type='network'>", "<interface type='ethernet'>", "type='ethernet'"),
        ("<driver iommu='off'/>", "<script path='/tmp/x'/>", "has a 'script'"),
        ("<driver iommu='off'/>", "<backend tap='/dev/sda'/>", "has a 'backend'"),
        ("52:54:00:00:00:01", "52:54:00:00:00:99", "not those of the lab"),
        (">1048576<", ">1048577<", "memory is 1048577"),
        ("'static'>1<", "'static'>64<", "vcpu is 64"),
        ("machine='pc-i440fx-7.2'", "machine='pc-q35-99'", "is unknown to this host"),
        (">qemu64<", ">EPYC<", "its processor is"),
        ("mode='custom'", "mode='host-passthrough'", "its processor is 'host-passthrough'"),
        ("arch='x86_64'", "arch='aarch64'", "arch='aarch64'"),
        ("</devices>", "</devices><qemu:commandline xmlns:qemu="
         "'http://libvirt.org/schemas/domain/qemu/1.0'/>", "commandline"),
        ("<clock offset='utc'/>", "<clock offset='utc'/><!-- x -->", "declarations or comments"),
        ("<clock offset='utc'/>", "<clock offset='utc'>x</clock>", "clock says 'x'"),
        ("<clock offset='utc'/>", "<clock offset='utc'/>x", "text between elements"),
        ("<clock offset='utc'/>", "<clock offset='utc'>", "is not XML"),
        ("<on_reboot>restart", "<on_reboot>rename-restart", "on_reboot says"),
        ("<features>", "<features><hyperv/>", "has a 'hyperv'"),
    ],
)  # fmt: skip
def test_what_no_node_has_is_refused(old: str, new: str, match: str) -> None:
    assert old in XML
    with pytest.raises(ForeignDomain, match=match):
        foreign_domain.relocated(XML.replace(old, new), WANTED)


def test_more_than_a_domain_ever_has_is_not_read() -> None:
    with pytest.raises(ForeignDomain, match="300000 characters"):
        foreign_domain.relocated(XML.ljust(300_000), WANTED)
