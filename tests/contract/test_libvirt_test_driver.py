"""The real libvirt-python on libvirt's own test driver: no daemon, no VM.

`test:///default` is one state for all connections of a process, kept alive by whatever error holds one of
them; `test:///FILE` is a state per connection.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest
from libvirt import virConnect

from stacklab.errors import NotOurs, ProviderError
from stacklab.model.state import NodeState
from stacklab.tools import libvirt_faults, libvirt_xml
from stacklab.tools.host import net as host_net
from stacklab.tools.libvirt import Libvirt
from stacklab.tools.libvirt_connection import why_unreachable
from tests.unit.checks.fake_lab import make_lab

URI = "test:///default"
NOBODY = "00000000-0000-4000-8000-000000000000"
DOMAIN = """<domain type='test'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>8</memory>
<os><type>hvm</type></os><devices>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/></interface>
</devices></domain>"""
START = """<node><domain type='test'><name>test</name><memory>8192</memory><os><type>hvm</type></os></domain>
<network><name>default</name><bridge name='virbr0'/><ip address='192.168.122.1' netmask='255.255.255.0'/></network>
<pool type='dir'><name>default-pool</name><target><path>/default-pool</path></target></pool></node>"""


class TestDriver(Libvirt):
    """It takes every flag of ours but that of firmware's variables."""

    __test__ = False
    undefine_flags = Libvirt.undefine_flags & ~libvirt.VIR_DOMAIN_UNDEFINE_NVRAM


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[TestDriver]:
    start = tmp_path / "start.xml"
    start.write_text(START)
    connection = TestDriver(f"test://{start}")
    yield connection
    connection.close()


@pytest.fixture
def raw(ours: TestDriver) -> virConnect:
    """For what somebody else does with libvirt."""
    return ours._connection


def define(raw: virConnect, name: str = "trio_node", *, start: bool = True) -> str:
    made = str(uuid.uuid4())
    domain = raw.defineXML(DOMAIN.format(name=name, uuid=made))
    if start:
        domain.create()
    return made


def domains(raw: virConnect) -> set[str]:
    return {each.name() for each in raw.listAllDomains()}


def networks(raw: virConnect) -> set[str]:
    return {each.name() for each in raw.listAllNetworks()}


def network_xml(made: str) -> tuple[str, str, str]:
    lab = make_lab()
    return "trio_net0", made, libvirt_xml.network(lab, lab.networks[0], made, name="trio_net0")


# --- domains


def test_a_domain_s_state_is_told_in_our_words(raw: virConnect, ours: TestDriver) -> None:
    made = define(raw, start=False)
    domain = raw.lookupByUUIDString(made)
    assert ours.state(made) is NodeState.OFF
    domain.create()
    assert ours.state(made) is NodeState.RUNNING
    domain.suspend()
    assert ours.state(made) is NodeState.PAUSED
    ours.resume(made)
    assert ours.state(made) is NodeState.RUNNING
    ours.shut_down(made)
    assert ours.state(made) is NodeState.OFF
    domain.undefine()
    assert ours.state(made) is NodeState.ABSENT


def test_what_goes_away_under_our_hands_is_absent_not_a_traceback(
    raw: virConnect, ours: TestDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = define(raw, start=False)
    domain = raw.lookupByUUIDString(made)
    domain.undefine()
    monkeypatch.setattr(ours, "_domain", lambda _uuid: domain)
    ours.shut_down(made)
    ours.power_off(made)
    assert ours.state(made) is NodeState.ABSENT
    assert ours.interfaces(made) == ()


def test_what_is_off_or_absent_may_be_shut_down_and_powered_off_again(
    raw: virConnect, ours: TestDriver
) -> None:
    made = define(raw, start=False)
    for each in (made, NOBODY):
        ours.shut_down(each)
        ours.power_off(each)
    ours.resume(NOBODY)
    assert ours.state(made) is NodeState.OFF


def test_power_off_is_at_once_and_keeps_the_domain(raw: virConnect, ours: TestDriver) -> None:
    made = define(raw)
    ours.power_off(made)
    assert ours.state(made) is NodeState.OFF
    assert "trio_node" in domains(raw)


# --- faults


def test_a_domain_stands_still_and_is_powered_on_again(raw: virConnect, ours: TestDriver) -> None:
    made = define(raw)
    ours.pause(made)
    assert ours.state(made) is NodeState.PAUSED
    ours.power_off(made)
    ours.start(made)
    assert ours.state(made) is NodeState.RUNNING
    ours.start(made)  # running already is success
    for each in (ours.pause, ours.start):
        each(NOBODY)  # absent is no error: there is nothing to do


def test_what_libvirt_refuses_to_do_with_a_nic_is_told_in_our_words(
    raw: virConnect, ours: TestDriver
) -> None:
    """This driver can change no NIC: only how its refusal is told is seen here."""
    made = define(raw)
    found = libvirt_faults.interface(ours.domain_xml(made), "52:54:00:00:00:01")
    assert found
    for change, doing in (
        (ours.unplug, "unplugging"),
        (ours.update_nic, "changing"),
        (ours.plug, "plugging"),
    ):
        with pytest.raises(ProviderError, match=f"{doing} a NIC .*trio_node: libvirt says: "):
            change(made, found)
        change(NOBODY, found)


def test_resuming_what_runs_is_libvirt_s_error_in_our_words(
    raw: virConnect, ours: TestDriver
) -> None:
    with pytest.raises(ProviderError, match="resuming trio_node: libvirt says: ") as caught:
        ours.resume(define(raw))
    assert caught.value.hint == "./invoke doctor"


@pytest.mark.parametrize("start", [True, False])
def test_removing_a_domain_takes_it_and_no_other(
    raw: virConnect, ours: TestDriver, start: bool
) -> None:
    other, made = define(raw, "trio_node2"), define(raw, start=start)
    ours.remove_domain(made, "trio_node")
    assert domains(raw) == {"test", "trio_node2"}
    assert ours.state(other) is NodeState.RUNNING
    ours.remove_domain(made, "trio_node")  # absent is success


def test_a_domain_that_keeps_no_definition_is_removed_too(
    raw: virConnect, ours: TestDriver
) -> None:
    made = str(uuid.uuid4())
    raw.createXML(DOMAIN.format(name="trio_node", uuid=made))
    ours.remove_domain(made, "trio_node")
    assert domains(raw) == {"test"}


def test_a_domain_of_our_uuid_with_another_name_is_left_alone(
    raw: virConnect, ours: TestDriver
) -> None:
    made = define(raw, "somebodys")
    with pytest.raises(NotOurs, match="is called somebodys, not trio_node as recorded"):
        ours.remove_domain(made, "trio_node")
    assert ours.state(made) is NodeState.RUNNING


def test_a_name_that_another_domain_has_is_refused(raw: virConnect, ours: TestDriver) -> None:
    made = define(raw)
    ours.refuse_foreign_domain("trio_node", made)
    ours.refuse_foreign_domain("nobody", made)
    with pytest.raises(
        NotOurs, match=f"called trio_node exists and is not this lab's .UUID {made}"
    ) as caught:
        ours.refuse_foreign_domain("trio_node", NOBODY)
    assert "virsh dominfo trio_node" in str(caught.value.hint)


def test_why_a_domain_is_in_its_state_is_told_in_libvirt_s_word(
    raw: virConnect, ours: TestDriver
) -> None:
    made = define(raw)
    assert ours.why_in_state(made) == "", "that it was booted says no more than that it runs"
    raw.lookupByUUIDString(made).suspend()
    assert ours.why_in_state(made) == "user"
    raw.lookupByUUIDString(made).destroy()
    assert ours.why_in_state(made) == "destroyed"
    assert (ours.why_in_state(NOBODY), ours.domain_xml(NOBODY)) == ("", "")


def test_where_a_domain_s_nics_are_plugged_in_is_read(raw: virConnect, ours: TestDriver) -> None:
    made = define(raw)
    (plug,) = host_net.parse_plugs(ours.domain_xml(made))
    assert (plug.mac, plug.network, plug.is_linked) == ("52:54:00:00:00:01", "default", True)


def test_a_domain_s_nics_are_read_from_it(raw: virConnect, ours: TestDriver) -> None:
    ((mac, network, _tap),) = ours.interfaces(define(raw))
    assert (mac, network) == ("52:54:00:00:00:01", "default")
    assert ours.interfaces(NOBODY) == ()


class FakeDomain:
    """A domain that goes off between a look at it and the next call."""

    def __init__(self, code: int) -> None:
        self._error = libvirt.libvirtError("fake")
        self._error.err = (code, 0, "it is not running", 0, "", None, None, 0, 0)

    def name(self) -> str:
        return "trio_node"

    def isActive(self) -> bool:
        return True

    def shutdown(self) -> None:
        raise self._error

    destroy = shutdown


class Racing(TestDriver):
    domain: FakeDomain

    def _domain(self, uuid: str) -> FakeDomain:
        return self.domain


def test_a_node_that_goes_off_by_itself_just_now_is_success() -> None:
    connection = Racing(URI)
    for code in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN):
        connection.domain = FakeDomain(code)
        connection.shut_down(NOBODY)
        connection.power_off(NOBODY)
    connection.domain = FakeDomain(libvirt.VIR_ERR_INTERNAL_ERROR)
    with pytest.raises(ProviderError, match="shutting trio_node down"):
        connection.shut_down(NOBODY)
    with pytest.raises(ProviderError, match="powering trio_node off"):
        connection.power_off(NOBODY)
    connection.close()


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
    """The homes /srv/a-b and /srv/a.b have pools of one name: the second can make no lab, nor end the first's."""
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
