"""Domains: their states, faults and removal."""

from __future__ import annotations

import uuid

import libvirt
import pytest
from libvirt import virConnect

from stacklab.errors import NotOurs, ProviderError
from stacklab.model.state import NodeState
from stacklab.tools.host import net as host_net
from stacklab.tools.libvirt import faults as libvirt_faults
from tests.contract.libvirt_driver.driver import NOBODY, URI, TestDriver

DOMAIN = """<domain type='test'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>8</memory>
<os><type>hvm</type></os><devices>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/></interface>
</devices></domain>"""


def define(raw: virConnect, name: str = "trio_node", *, start: bool = True) -> str:
    made = str(uuid.uuid4())
    domain = raw.defineXML(DOMAIN.format(name=name, uuid=made))
    if start:
        domain.create()
    return made


def domains(raw: virConnect) -> set[str]:
    return {each.name() for each in raw.listAllDomains()}


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
    monkeypatch.setattr(ours, "_find_domain", lambda _uuid: domain)
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

    def _find_domain(self, uuid: str) -> FakeDomain:
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
