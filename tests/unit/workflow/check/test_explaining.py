from __future__ import annotations

from collections.abc import Sequence

import pytest

from stacklab.checks.explain import explain
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.providers.libvirt.evidence import LibvirtLooker
from stacklab.workflow.check import explaining
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.fake_host import FakeHost

CHECK = Check(
    kind=CheckKind.PING, node="controller", target="compute1", network="net0", address="10.10.0.12"
)
PASSED = CheckResult(check=CHECK, status=CheckStatus.PASSED, reason=Reason.OK, detail="1 ms")
FAILED = CheckResult(
    check=CHECK, status=CheckStatus.FAILED, reason=Reason.NO_REPLY, detail="no reply to 3 pings"
)


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> list[LibvirtLooker | None]:
    """Who was to look at the host, each time that something was to be explained."""
    seen: list[LibvirtLooker | None] = []

    def fake(*args: object) -> tuple[CheckResult, ...]:
        results, host = args[3], args[4]
        assert isinstance(results, Sequence)
        assert host is None or isinstance(host, LibvirtLooker)
        seen.append(host)
        return tuple(results)

    monkeypatch.setattr(explain, "explain", fake)
    return seen


def test_where_all_passed_nothing_is_looked_at_and_no_stage_is_shown(
    host: FakeHost, hosts: list[LibvirtLooker | None]
) -> None:
    host.up()
    before = len(host.listener.heard)
    assert explaining.explained(host.context, make_lab(), host.lab(), [PASSED]) == (PASSED,)
    assert (hosts, len(host.listener.heard)) == ([], before)


def test_what_failed_is_explained_with_a_look_at_the_host(
    host: FakeHost, hosts: list[LibvirtLooker | None]
) -> None:
    host.up()
    assert explaining.explained(host.context, make_lab(), host.lab(), [FAILED]) == (FAILED,)
    assert hosts[0] is not None
    assert ("host", "causes") in host.listener.heard


def test_without_a_record_or_libvirtd_it_is_done_all_the_same(
    host: FakeHost, hosts: list[LibvirtLooker | None]
) -> None:
    explaining.explained(host.context, make_lab(), host.lab(), [FAILED])
    host.up()
    host.connect(None)
    explaining.explained(host.context, make_lab(), host.lab(), [FAILED])
    assert hosts[0] is None
    assert hosts[1] is not None
    assert hosts[1]._libvirt is None, "and it is not started for that"
