"""Networks, pools and the connection itself."""

from __future__ import annotations

import uuid
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from libvirt import virConnect

from stacklab.errors import NotOurs, ProviderError
from stacklab.tools.libvirt import xml as libvirt_xml
from stacklab.tools.libvirt.connection import why_unreachable
from stacklab.tools.libvirt.domains import Libvirt
from tests.contract.libvirt_driver.driver import NOBODY, URI, TestDriver
from tests.unit.checks.fake_lab import make_lab


def networks(raw: virConnect) -> set[str]:
    return {each.name() for each in raw.listAllNetworks()}


def network_xml(made: str) -> tuple[str, str, str]:
    lab = make_lab()
    return "trio_net0", made, libvirt_xml.network(lab, lab.networks[0], made, name="trio_net0")


# --- networks


def test_libvirt_takes_our_network_as_it_is_written(raw: virConnect, ours: TestDriver) -> None:
    made = str(uuid.uuid4())
    ours.ensure_network(*network_xml(made))
    xml = raw.networkLookupByName("trio_net0").XMLDesc()
    for part in (
        "<mtu size='1500'/>",
        "bridge name='sl-trio0' stp='off' delay='0'",
        "<hostname>compute1</hostname>",
    ):
        assert part in xml
    assert "<host mac='52:54:00:00:00:01' name='compute1' ip='10.10.0.12'>" in xml
    assert "<lease expiry='10080'" in xml


def test_a_network_is_made_once_and_started_again(raw: virConnect, ours: TestDriver) -> None:
    made = str(uuid.uuid4())
    for _ in range(2):
        ours.ensure_network(*network_xml(made))
    found = raw.networkLookupByName("trio_net0")
    assert found.UUIDString() == made
    assert found.isActive()
    found.destroy()
    ours.ensure_network(*network_xml(made))
    assert raw.networkLookupByName("trio_net0").isActive()


def with_nodes(made: str, *nodes: str) -> tuple[str, str, str]:
    lab = make_lab(nodes=nodes)
    return "trio_net0", made, libvirt_xml.network(lab, lab.networks[0], made, name="trio_net0")


@pytest.mark.parametrize("nodes", [("a", "b", "c", "d"), ("a", "b"), ("b", "a", "x")])
def test_a_network_that_runs_learns_of_nodes_that_came_and_went(
    raw: virConnect, ours: TestDriver, nodes: tuple[str, ...]
) -> None:
    """As libvirt defines it from nothing; defined again, it would learn nothing while it runs."""
    made = str(uuid.uuid4())
    ours.ensure_network(*with_nodes(made, "a", "b", "c"))
    ours.ensure_network(*with_nodes(made, *nodes))
    learnt = entries(raw.networkLookupByName("trio_net0").XMLDesc())
    assert learnt == entries(with_nodes(made, *nodes)[2])
    assert len(learnt) == 2 * len(nodes)
    kept = raw.networkLookupByName("trio_net0")
    kept.destroy()
    ours.ensure_network(*with_nodes(made, "a"))
    assert entries(kept.XMLDesc()) == entries(with_nodes(made, "a")[2])


def entries(xml: str) -> set[tuple[str | None, ...]]:
    """A network's names and leases."""
    top = ET.fromstring(xml)
    names = {(host.get("ip"), host.findtext("hostname")) for host in top.iterfind("dns/host")}
    leases = {
        (host.get("ip"), host.get("mac"), host.get("name")) for host in top.iterfind("ip/dhcp/host")
    }
    return {*names, *leases}


def test_a_foreign_network_of_our_name_is_refused_and_left_alone(
    raw: virConnect, ours: TestDriver
) -> None:
    foreign = raw.networkDefineXML(
        "<network><name>trio_net0</name><bridge name='virbr9'/></network>"
    )
    foreign.create()
    made = str(uuid.uuid4())
    with pytest.raises(NotOurs, match="network called trio_net0 exists and is not this lab's"):
        ours.ensure_network(*network_xml(made))
    with pytest.raises(NotOurs, match="left alone"):
        ours.remove_network("trio_net0", made)
    assert foreign.isActive()


@pytest.mark.parametrize("start", [True, False])
def test_removing_a_network_takes_it_and_no_other(
    raw: virConnect, ours: TestDriver, start: bool
) -> None:
    made = str(uuid.uuid4())
    ours.ensure_network(*network_xml(made))
    if not start:
        raw.networkLookupByName("trio_net0").destroy()
    for _ in range(2):
        ours.remove_network("trio_net0", made)
    assert networks(raw) == {"default"}


def test_a_network_that_libvirt_refuses_is_told_by_name(ours: TestDriver) -> None:
    with pytest.raises(ProviderError, match="making network trio_net0: libvirt says: "):
        ours.ensure_network("trio_net0", NOBODY, "<network><name>a/b</name></network>")


def test_a_network_that_is_not_there_has_no_leases(raw: virConnect, ours: TestDriver) -> None:
    assert ours.leases("nobodys") == ()
    raw.networkLookupByName("default").destroy()
    assert ours.leases("default") == ()


# --- the pool


def test_a_pool_is_made_once_and_forgotten_without_its_files(
    raw: virConnect, ours: TestDriver, tmp_path: Path
) -> None:
    kept = tmp_path / "trio_node.qcow2"
    kept.touch()
    for _ in range(2):
        ours.ensure_pool("stacklab-t", tmp_path)
    assert libvirt_xml.pool_path(raw.storagePoolLookupByName("stacklab-t").XMLDesc()) == tmp_path
    for _ in range(2):
        ours.remove_pool("stacklab-t")
    assert [each.name() for each in raw.listAllStoragePools()] == ["default-pool"]
    assert kept.exists()


def test_a_pool_that_was_stopped_is_started_and_removed_with_its_definition(
    raw: virConnect, ours: TestDriver, tmp_path: Path
) -> None:
    pool = raw.storagePoolDefineXML(libvirt_xml.pool("stacklab-t", tmp_path))
    ours.ensure_pool("stacklab-t", tmp_path)
    assert pool.isActive()
    ours.remove_pool("stacklab-t")
    assert [each.name() for each in raw.listAllStoragePools()] == ["default-pool"]


def test_the_pool_of_another_home_with_the_same_name_is_left(
    raw: virConnect, ours: TestDriver, tmp_path: Path
) -> None:
    """The homes /srv/a-b and /srv/a.b have pools of one name.

    The second can make no lab, nor end the first's.
    """
    ours.ensure_pool("stacklab-t", tmp_path)
    ours.remove_pool("stacklab-t", tmp_path / "other")
    assert raw.storagePoolLookupByName("stacklab-t").isActive()
    ours.remove_pool("stacklab-t", tmp_path)
    assert [each.name() for each in raw.listAllStoragePools()] == ["default-pool"]


def test_a_pool_of_our_name_on_another_directory_is_refused(
    raw: virConnect, ours: TestDriver, tmp_path: Path
) -> None:
    with pytest.raises(
        NotOurs, match="a libvirt pool called default-pool exists, on another directory"
    ):
        ours.ensure_pool("default-pool", tmp_path)
    assert raw.storagePoolLookupByName("default-pool").isActive()


# --- the connection


def test_a_driver_that_is_not_there_is_told_with_what_to_do(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ProviderError, match="libvirtd can't be reached: ") as caught:
        Libvirt("nosuch:///system")
    assert caught.value.hint == "./invoke doctor"
    assert why_unreachable("nosuch:///system")
    assert capfd.readouterr().err == ""  # libvirt itself prints every error, unless told not to


def test_a_driver_that_answers_has_nothing_to_say() -> None:
    assert why_unreachable(URI) is None


def test_a_connection_that_is_closed_is_an_error_not_an_absent_domain() -> None:
    connection = TestDriver(URI)
    connection.close()
    with pytest.raises(ProviderError, match="libvirtd: "):
        connection.state(NOBODY)
    with pytest.raises(ProviderError, match="libvirtd: "):
        connection.remove_network("trio_net0", NOBODY)
