from __future__ import annotations

import dataclasses

from stacklab.checks.explain.causes import causes
from stacklab.checks.explain.scene import UNSEEN
from stacklab.checks.result import CheckKind, CheckStatus
from stacklab.model.cause import CauseKind
from stacklab.model.state import NodeState
from stacklab.tools.network.knock import Door, Knock
from tests.unit.checks.explain.sites import PING, SILENT, SSH, Site


def test_a_paused_node_explains_what_was_not_tried_on_it_too(site: Site) -> None:
    site.views["compute1"] = dataclasses.replace(
        site.views["compute1"], state=NodeState.PAUSED, reason="user"
    )
    site.fail("not reached: the node is paused", status=CheckStatus.ERROR, node="compute1")
    site.fail("is paused", kind="state", node="compute1")
    site.fail("the node is paused", kind="login", node="compute1")
    site.fail(SILENT, kind="ping", target="compute1")
    site.fail("refused", kind="ssh", node="controller", target="compute2")
    found = site.explained()
    (cause,) = causes(found.values())
    assert cause.cause.kind is CauseKind.NODE_STATE
    assert "user" in cause.cause.text
    about = [
        r
        for r in found.values()
        if not r.is_passed and "compute1" in (r.check.node, r.check.target)
    ]
    assert len(cause.results) == len(about)
    details = {r.sentence for r in about}
    assert details == {
        "not reached: the node is paused",
        "is paused",
        "the node is paused",
        f"{SILENT}: {cause.cause.text}",
    }
    assert "compute1" not in site.asked, "who could not be logged in on is not asked again"
    assert site.knocked == ["compute1"]


def test_a_node_that_went_off_after_its_login_explains_what_it_no_longer_did(site: Site) -> None:
    """It was asked again, for 8 s, and what its session had not come to had "no known cause"."""
    site.views["compute1"] = dataclasses.replace(
        site.views["compute1"], state=NodeState.OFF, reason="destroyed"
    )
    site.fail(SILENT, **PING)
    ended = "the session ended before this check: the node is off"
    site.fail(ended, node="compute1", kind="nic", status=CheckStatus.ERROR)
    site.fail(ended, node="compute1", kind="name", status=CheckStatus.ERROR)
    explained = site.explained().values()
    (cause,) = causes(explained)
    assert cause.cause.kind is CauseKind.NODE_STATE
    assert "destroyed" in cause.cause.text
    assert len(cause.results) == sum(not each.is_passed for each in explained)
    assert "compute1" not in site.asked


def test_a_node_that_went_off_explains_a_session_that_ended_before_anybody_noticed(
    site: Site,
) -> None:
    """A container's ends at once; the state is seen only when causes are looked for."""
    site.views["compute1"] = dataclasses.replace(site.views["compute1"], state=NodeState.OFF)
    ended = "the session ended before this check: ssh ended with 255"
    site.fail(ended, node="compute1", kind="nic", status=CheckStatus.ERROR)
    site.fail(ended, node="compute1", kind="name", status=CheckStatus.ERROR)
    (cause,) = causes(site.explained().values())
    assert cause.cause.kind is CauseKind.NODE_STATE


def test_a_login_that_failed_is_diagnosed_from_the_host(site: Site) -> None:
    refused = Knock(door=Door.REFUSED, said="Connection refused")
    site.views["compute1"] = dataclasses.replace(site.views["compute1"], knock=refused)
    site.fail("not reached: refused", status=CheckStatus.ERROR, node="compute1")
    site.fail("refused", kind="login", node="compute1")
    site.fail("refused", **SSH)
    assert site.kind(kind="login", node="compute1") is CauseKind.SSHD_DOWN
    assert site.cause(**SSH) == site.cause(kind="login", node="compute1")
    login = next(
        r for c, r in site.explained().items() if c.kind is CheckKind.LOGIN and c.node == "compute1"
    )
    assert "domain trio_compute1: running" in login.evidence


def test_an_sshd_that_is_down_is_not_blamed_for_a_ping(site: Site) -> None:
    refused = Knock(door=Door.REFUSED, said="Connection refused")
    site.views["compute1"] = dataclasses.replace(site.views["compute1"], knock=refused)
    site.fail("refused", kind="login", node="compute1")
    which = {**PING, "network": "net0"}
    site.fail(SILENT, **which)
    assert site.kind(**which) is None


def test_an_sshd_that_is_down_is_down_on_all_networks(site: Site) -> None:
    """It was a reason "not known" where the node was tried by another network than the host's."""
    refused = Knock(door=Door.REFUSED, said="Connection refused")
    site.views["compute1"] = dataclasses.replace(site.views["compute1"], knock=refused)
    site.scenes["compute1"] = UNSEEN
    site.fail("refused", kind="login", node="compute1")
    which = {"kind": "port", "node": "controller", "target": "compute1", "network": "net1"}
    site.fail("refused", **which)
    (cause,) = causes(site.explained().values())
    assert (cause.cause.kind, len(cause.results)) == (CauseKind.SSHD_DOWN, 2)


def test_a_wrong_host_key_is_not_explained_away(site: Site) -> None:
    refused = Knock(door=Door.REFUSED, said="Connection refused")
    site.views["compute1"] = dataclasses.replace(site.views["compute1"], knock=refused)
    site.fail("HOST KEY MISMATCH", kind="login", node="compute1")
    assert site.kind(kind="login", node="compute1") is None
