from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.checks.family import Facts
from stacklab.checks.pairs import family as pairs
from stacklab.checks.pairs import verdicts
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus
from stacklab.dev.simulated import simulate
from stacklab.model.lab import Impairment, Lab
from stacklab.model.stack import Installer
from stacklab.nodes import protocol
from stacklab.process import Command
from tests.unit.checks.fake_lab import make_lab
from tests.unit.installers.contrail.labs import make_lab as make_contrail

LAB = make_lab()
CHECKS = tuple(pairs.expected(LAB))
FACTS = Facts()
MARK = "stacklab-0123"
OF_CONTROLLER = tuple(check for check in CHECKS if check.node == "controller")
Key = tuple[CheckKind, str, str]


def script(checks: Sequence[Check], lab: Lab = LAB) -> str:
    node = lab.node(checks[0].node)
    return protocol.render(tuple(pairs.parts(lab, node, checks, FACTS)), MARK)


def healthy(checks: Sequence[Check], lab: Lab = LAB) -> str:
    argv = ("ssh", "--", checks[0].node, "sh -s")
    command = Command(argv=argv, stdin=script(checks, lab).encode())
    return "".join(f"{line}\n" for line in simulate.answer(lab, command))


HEALTHY = "a banner\n" + healthy(OF_CONTROLLER)


def judged(
    text: str, checks: Sequence[Check] = OF_CONTROLLER, lab: Lab = LAB
) -> dict[Key, CheckResult]:
    results = list(pairs.judge(lab, checks, protocol.read(text, MARK), FACTS))
    assert [result.check for result in results] == list(checks)
    return {
        (result.check.kind, result.check.target, result.check.network): result for result in results
    }


def spoilt(old: str, new: str, text: str = HEALTHY) -> dict[Key, CheckResult]:
    assert f"{old}\n" in text, text
    return judged(text.replace(f"{old}\n", f"{new}\n" if new else ""))


def line(tag: str, text: str) -> str:
    return f"{MARK} pairs.{tag} {text}"


def bad(results: dict[Key, CheckResult]) -> dict[Key, tuple[CheckStatus, str]]:
    return {
        key: (r.status, r.detail)
        for key, r in results.items()
        if r.status is not CheckStatus.PASSED
    }


def test_every_pair_is_checked_on_every_network_they_share() -> None:
    for kind in (CheckKind.PING, CheckKind.MTU, CheckKind.SOURCE, CheckKind.PORT):
        found = {
            (check.node, check.target, check.network) for check in CHECKS if check.kind is kind
        }
        assert len(found) == 3 * 2 * 2
        assert ("compute2", "controller", "net1") in found
    for kind in (CheckKind.NAME, CheckKind.SSH):
        assert sum(check.kind is kind for check in CHECKS) == 6


def test_a_ping_names_the_peers_address_and_the_nodes_own_interface() -> None:
    ping = next(
        check for check in CHECKS if check.kind is CheckKind.PING and check.network == "net1"
    )
    assert (ping.node, ping.device, ping.target, ping.address) == (
        "controller",
        "eth1",
        "compute1",
        "10.20.0.12",
    )


def test_a_lone_node_has_no_pairs() -> None:
    lab = make_lab(nodes=("one",))
    assert list(pairs.expected(lab)) == []
    assert list(pairs.parts(lab, lab.nodes[0], [], FACTS)) == []


def test_the_expected_checks_have_one_order() -> None:
    assert tuple(pairs.expected(LAB)) == CHECKS
    assert len(set(CHECKS)) == len(CHECKS)


def test_checks_of_one_address_share_one_string() -> None:
    of_compute1 = [c.address for c in CHECKS if c.target == "compute1" and c.network == "net0"]
    assert len({id(address) for address in of_compute1}) == 1


def test_a_name_is_checked_for_the_address_that_it_stands_for() -> None:
    lab = make_contrail(installer=Installer.KOLLA)
    found = [
        check for check in pairs.expected(lab) if check.kind in (CheckKind.NAME, CheckKind.SSH)
    ]
    assert {check.network for check in found} == {"fabric"}
    assert {check.device for check in found} == {"eth1"}


def impaired(**how: float) -> Lab:
    """compute2's eth1 impaired."""
    *others, last = LAB.nodes
    nic = dataclasses.replace(last.nics[1], impairment=Impairment(**how))  # type: ignore[arg-type]
    return dataclasses.replace(
        LAB, nodes=(*others, dataclasses.replace(last, nics=(last.nics[0], nic)))
    )


def test_nothing_is_promised_of_a_nic_that_loses_everything() -> None:
    lost = set(CHECKS) - set(pairs.expected(impaired(loss_percent=100)))
    assert {check.network for check in lost} == {"net1"}
    assert {frozenset({check.node, check.target}) for check in lost} == {
        frozenset({"controller", "compute2"}),
        frozenset({"compute1", "compute2"}),
    }
    assert len(lost) == 4 * 4


def test_a_lost_packet_is_no_failure_where_loss_is_declared() -> None:
    lab = impaired(loss_percent=10)
    some, none = line("ping", "10.20.0.13 : 0.5 - 0.4"), line("ping", "10.20.0.13 : - - -")
    for said, status in ((some, CheckStatus.PASSED), (none, CheckStatus.FAILED)):
        text = HEALTHY.replace(line("ping", "10.20.0.13 : 0.5 1.25 0.4"), said)
        assert judged(text, lab=lab)[CheckKind.PING, "compute2", "net1"].status is status


def test_declared_delays_are_waited_for() -> None:
    fast, slow = (
        [*pairs.parts(lab, LAB.nodes[0], OF_CONTROLLER, FACTS)]
        for lab in (LAB, impaired(delay_ms=1500.0))
    )
    by_tag = {part.tag: part for part in fast}
    for part in slow:
        if part.tag in ("pairs.ping", "pairs.logins"):
            assert part.limit_s > by_tag[part.tag].limit_s
    assert "-t 5000 " in next(part.shell for part in slow if part.tag == "pairs.ping")


@pytest.mark.parametrize(("loss", "count"), [(1, 3), (10, 5), (40, 8)])
def test_where_loss_is_declared_so_many_are_sent_that_one_comes_back(
    loss: float, count: int
) -> None:
    """Three were: with 40 % one healthy pair in sixteen failed."""
    lab = impaired(loss_percent=loss)
    by_tag = {part.tag: part.shell for part in pairs.parts(lab, lab.nodes[0], OF_CONTROLLER, FACTS)}
    assert f"fping -q -C {count} " in by_tag["pairs.ping"]
    assert f"tries={count}\n" in by_tag["pairs.ping"]
    assert f"fping -q -r {count - 2} " in by_tag["pairs.logins"]


def test_nothing_is_promised_of_a_way_that_loses_half_of_it() -> None:
    """TCP's waits double faster than the odds of the next packet shrink: a login ends when it likes."""
    assert set(pairs.expected(impaired(loss_percent=50))) == set(
        pairs.expected(impaired(loss_percent=100))
    )
    assert set(pairs.expected(impaired(loss_percent=49))) == set(CHECKS)


def test_what_a_cloud_made_of_a_nic_is_that_nic() -> None:
    """It was not: where vhost0 or br-ex had taken eth1's address and MAC, a healthy lab failed."""
    mac = LAB.node("controller").nics[1].mac
    old, way = "dev eth1 src 10.20.0.11", "dev vhost0 src 10.20.0.11"
    begins = line("source", "10.10.0.12 dev")
    assert begins in HEALTHY
    for found, is_fine in ((mac, True), ("52:54:00:ff:ff:ff", False)):
        told = line("source", f"mac vhost0 {found}") + "\n" + begins
        results = judged(HEALTHY.replace(old, way).replace(begins, told))
        sources = [
            r
            for (kind, _, network), r in results.items()
            if kind is CheckKind.SOURCE and network == "net1"
        ]
        assert [r.is_passed for r in sources] == [is_fine, is_fine]
    told = line("source", f"mac vhost0 {mac}") + "\n" + begins
    beside = judged(HEALTHY.replace(old, "dev vhost0 src 10.20.0.99").replace(begins, told))
    assert not beside[CheckKind.SOURCE, "compute1", "net1"].is_passed


def test_one_program_asks_for_all_addresses() -> None:
    lines = script(OF_CONTROLLER).splitlines()
    addresses = ("10.10.0.12", "10.10.0.13", "10.20.0.12", "10.20.0.13")
    for begins, number in (("out=$(fping -q", 1), ("ip ", 1), ("names '", 1), ("mtu 1500", 1)):
        found = [each for each in lines if each.startswith(begins)]
        assert len(found) == number, begins
        if begins in ("out=$(fping -q", "mtu 1500"):
            assert all(address in " ".join(found) for address in addresses)


def test_a_port_that_a_login_proves_is_not_scanned() -> None:
    def jobs(*kinds: CheckKind) -> list[str]:
        text = script([check for check in OF_CONTROLLER if check.kind in kinds])
        return [each for each in text.splitlines() if each.startswith(("reach ", "scan 1"))]

    login = ["reach compute1 10.10.0.12 &", "reach compute2 10.10.0.13 &"]
    assert jobs(CheckKind.SSH, CheckKind.PORT) == [*login, "scan 10.20.0.12 &", "scan 10.20.0.13 &"]
    assert jobs(CheckKind.SSH) == login
    assert len(jobs(CheckKind.PORT)) == 4


def test_only_what_is_asked_is_in_the_script() -> None:
    text = script([check for check in OF_CONTROLLER if check.kind is CheckKind.SSH][:1])
    assert "reach compute1 10.10.0.12 &" in text
    for absent in ("compute2", "fping -q -C", "names", "getent", "scan 1", "route"):
        assert absent not in text


def test_each_node_logs_in_to_another_one_first() -> None:
    def order(name: str) -> list[str]:
        text = script([check for check in CHECKS if check.node == name])
        return [each.split()[1] for each in text.splitlines() if each.startswith("reach ")]

    assert order("controller") == ["compute1", "compute2"]
    assert order("compute1") == ["compute2", "controller"]


def test_many_peers_are_logged_in_to_a_few_at_a_time() -> None:
    lab = make_lab(nodes=tuple(f"n{number}" for number in range(30)))
    parts = list(
        pairs.parts(lab, lab.nodes[0], [c for c in pairs.expected(lab) if c.node == "n0"], FACTS)
    )
    few = {part.tag: part for part in pairs.parts(LAB, LAB.nodes[0], OF_CONTROLLER, FACTS)}
    for part in parts:
        at_once = longest = 0
        for each in part.shell.splitlines():
            is_job = each.startswith(("reach ", "scan 1", "names '"))
            assert not is_job or each.endswith(" &")
            at_once = at_once + is_job if each != "wait" else 0
            longest = max(longest, at_once)
        assert longest <= 4, part.tag
        assert longest == 4 or part.tag in ("pairs.ping", "pairs.source")
        assert part.limit_s >= few[part.tag].limit_s


def test_the_script_checks_host_keys() -> None:
    assert "StrictHostKeyChecking=yes" in script(OF_CONTROLLER)


def test_a_healthy_answer_passes_everything() -> None:
    results = judged(HEALTHY)
    assert len(results) == len(OF_CONTROLLER)
    assert bad(results) == {}
    assert results[CheckKind.PING, "compute1", "net1"].rtt_ms == 1.25
    assert {r.command + r.output + r.evidence for r in results.values()} == {""}


def test_results_that_say_the_same_share_one_string() -> None:
    details = [
        r.detail
        for r in judged(HEALTHY).values()
        if r.check.kind in (CheckKind.PING, CheckKind.MTU)
    ]
    assert len({id(detail) for detail in details}) == 2


def test_a_silent_address_fails_that_ping_and_that_mtu() -> None:
    text = HEALTHY.replace(line("ping", "10.20.0.12 : 0.6\n"), "")
    text = re.sub(rf"{re.escape(line('ping', '10.20.0.12'))}(:| is).*\n", "", text)
    assert bad(
        spoilt(line("ping", "10.20.0.12 : 0.5 1.25 0.4"), line("ping", "10.20.0.12 : - - -"), text)
    ) == {
        (CheckKind.PING, "compute1", "net1"): (CheckStatus.FAILED, "no reply to 3 pings"),
        (CheckKind.MTU, "compute1", "net1"): (CheckStatus.FAILED, "no reply to pings of any size"),
    }


def test_a_lost_packet_fails_with_the_count() -> None:
    results = spoilt(
        line("ping", "10.20.0.12 : 0.5 1.25 0.4"), line("ping", "10.20.0.12 : 0.50 - 0.30")
    )
    assert bad(results) == {
        (CheckKind.PING, "compute1", "net1"): (CheckStatus.FAILED, "2 replies to 3 pings"),
    }
    assert results[CheckKind.PING, "compute1", "net1"].rtt_ms == 0.5


NOT_SENT = (
    "size 1501; 10.20.0.12: error while sending ping: Message too long; 10.20.0.12 is unreachable"
)


def of_mtu(said: str) -> CheckResult:
    """What is said of compute1's MTU on net1 with other lines about the last sizes."""
    start, _, rest = HEALTHY.rpartition(line("ping", "size 1500\n"))
    end = rest[rest.index(line("ping", "= 0")) :]
    lines = "".join(f"{line('ping', each)}\n" for each in said.split("; "))
    return judged(start + lines + end)[CheckKind.MTU, "compute1", "net1"]


@pytest.mark.parametrize(
    ("said", "status", "detail"),
    [
        (
            f"size 1500; 10.20.0.12 : 1; {NOT_SENT}",
            CheckStatus.PASSED,
            "1500 bytes pass, 1501 do not",
        ),
        (
            f"size 1500; 10.20.0.12 : 1; {NOT_SENT.replace('long', 'large')}",  # musl's words
            CheckStatus.PASSED,
            "1500 bytes pass, 1501 do not",
        ),
        (
            "size 1500; 10.20.0.12 : 1; size 1501; 10.20.0.12 is unreachable",
            CheckStatus.FAILED,
            "1501 bytes are sent and get lost, 1500 is the MTU that the lab declares",
        ),
        (
            f"size 1500; 10.20.0.12 : 1; {NOT_SENT.replace('Message too long', 'Operation not permitted')}",
            CheckStatus.ERROR,
            "1501 bytes were not sent: Operation not permitted",
        ),
        (
            "size 1500; 10.20.0.12 : 1; size 1501; 10.20.0.12 is alive",
            CheckStatus.FAILED,
            "1501 bytes pass whole, 1500 is the MTU that the lab declares",
        ),
        (
            "size 1500; 10.20.0.12 : -; size 1500; 10.20.0.12 : - - -; size 1400; 10.20.0.12 : 1; "
            "size 1450; 10.20.0.12 : -; size 576; 10.20.0.12 : 1",
            CheckStatus.FAILED,
            "1500 bytes do not pass, 1400 do",
        ),
        (
            "size 1500; 10.20.0.12 : -; size 1500; 10.20.0.12 : -",
            CheckStatus.FAILED,
            "1500 bytes do not pass",
        ),
        ("size 1500; fping: can't", CheckStatus.ERROR, "fping gave no result (exit code 0)"),
        (
            "size 1500; 10.20.0.12 : 1; size 1501",
            CheckStatus.ERROR,
            "fping gave no result (exit code 0)",
        ),
        ("size ٣; 10.20.0.12 : 1", CheckStatus.ERROR, "fping gave no result (exit code 0)"),
    ],
)
def test_exactly_the_declared_size_must_pass(said: str, status: CheckStatus, detail: str) -> None:
    result = of_mtu(said)
    assert (result.status, result.detail) == (status, detail)


def test_a_size_that_passed_on_the_second_try_passes() -> None:
    """A packet may be lost by chance."""
    said = f"size 1500; 10.20.0.12 : -; size 1500; 10.20.0.12 : - 1 1; {NOT_SENT}"
    assert of_mtu(said).status is CheckStatus.PASSED


def test_a_failed_size_says_what_to_type() -> None:
    assert "-M " in of_mtu("size 1500; 10.20.0.12 : -").command
    assert "-b 1472 10.20.0.12" in of_mtu("size 1500; 10.20.0.12 : -").command
    assert (
        "-b 1473 10.20.0.12"
        in of_mtu("size 1500; 10.20.0.12 : 1; size 1501; 10.20.0.12 is alive").command
    )


def test_a_missing_fping_is_an_error_and_the_rest_of_the_layer_answers() -> None:
    begin = HEALTHY.index(line("ping", ""))
    end = HEALTHY.index(line("ping", "= 0\n"))
    text = (
        HEALTHY[:begin]
        + line("ping", "sh: 1: fping: not found\n")
        + HEALTHY[end:].replace("ping = 0", "ping = 127")
    )
    found = bad(judged(text))
    assert set(found.values()) == {(CheckStatus.ERROR, "fping is not installed on controller")}
    assert {kind for kind, _, _ in found} == {CheckKind.PING, CheckKind.MTU}


def test_an_fping_without_an_answer_is_an_error_with_its_words() -> None:
    text = HEALTHY.replace(
        line("ping", "10.20.0.12 : 0.5 1.25 0.4"), line("ping", "fping: can't create socket")
    )
    result = judged(text.replace("ping = 0", "ping = 4"))[CheckKind.PING, "compute1", "net1"]
    assert (result.status, result.detail) == (
        CheckStatus.ERROR,
        "fping gave no result (exit code 4)",
    )
    assert "can't create socket" in result.output


@pytest.mark.parametrize(
    ("said", "status", "detail"),
    [
        (
            "10.20.0.12 via 10.10.0.1 dev eth0 src 10.10.0.11 uid 1000 \\    cache",
            CheckStatus.FAILED,
            "would leave by eth0 from 10.10.0.11 via 10.10.0.1, not by eth1 from 10.20.0.11",
        ),
        (
            "10.20.0.12 dev eth1 src 10.20.0.99 uid 1000",
            CheckStatus.FAILED,
            "would leave by eth1 from 10.20.0.99, not by eth1 from 10.20.0.11",
        ),
        (
            "10.20.0.12 via 10.20.0.1 dev eth1 src 10.20.0.11",
            CheckStatus.FAILED,
            "would leave by eth1 from 10.20.0.11 via 10.20.0.1, not by eth1 from 10.20.0.11",
        ),
        (
            "local 10.20.0.12 dev lo src 10.20.0.12",
            CheckStatus.FAILED,
            "would leave by lo from 10.20.0.12, not by eth1 from 10.20.0.11",
        ),
        ("10.20.0.12", CheckStatus.FAILED, "would leave by ? from ?, not by eth1 from 10.20.0.11"),
        (
            "RTNETLINK answers: Network is unreachable",
            CheckStatus.FAILED,
            "controller lacks a route to 10.20.0.12",
        ),
        (
            "10.20.0.12 dev eth1 src 10.20.0.11 \\    cache mtu 1400",
            CheckStatus.PASSED,
            "eth1 10.20.0.11",
        ),
    ],
)
def test_packets_must_leave_by_the_nic_on_that_network(
    said: str, status: CheckStatus, detail: str
) -> None:
    good = line("source", "10.20.0.12 dev eth1 src 10.20.0.11 uid 1000 \\    cache")
    results = spoilt(good, line("source", said))
    result = results[CheckKind.SOURCE, "compute1", "net1"]
    assert (result.status, result.detail) == (status, detail)
    assert results[CheckKind.SOURCE, "compute2", "net1"].is_passed


def test_a_missing_ip_is_an_error() -> None:
    text = HEALTHY.replace(line("source", "10."), line("source", "x10.")).replace(
        "source = 0", "source = 127"
    )
    result = judged(text)[CheckKind.SOURCE, "compute1", "net1"]
    assert (result.status, result.detail) == (
        CheckStatus.ERROR,
        "ip is not installed on controller",
    )


def of_name(*lines: str) -> CheckResult:
    """What is said of compute1's name with other lines about the names."""
    begin, end = HEALTHY.index(line("names", "")), HEALTHY.index(line("names", "= 0"))
    text = HEALTHY[:begin] + "".join(f"{line('names', each)}\n" for each in lines) + HEALTHY[end:]
    return judged(text)[CheckKind.NAME, "compute1", "net0"]


FORWARD = ("0.0.0.2 STREAM 0.0.0.2", "10.10.0.12 STREAM compute1", "10.10.0.12 DGRAM")
OTHER = ("0.0.0.3 STREAM 0.0.0.3", "10.10.0.13 STREAM compute2")
BACK = ("back", "10.10.0.12 compute1.lab compute1", "10.10.0.13 compute2")


@pytest.mark.parametrize(
    ("lines", "status", "detail"),
    [
        ((*FORWARD, *OTHER, *BACK, "codes 0 0 2 3"), CheckStatus.PASSED, "10.10.0.12, and back"),
        (
            (FORWARD[0], *OTHER, *BACK, "codes 2 0 2 3"),
            CheckStatus.FAILED,
            "compute1 is not known on controller",
        ),
        (
            ("back", "codes 124 124 2 3"),
            CheckStatus.FAILED,
            "compute1 is not known on controller (no answer in 8 s)",
        ),
        (
            (FORWARD[0], "127.0.1.1 STREAM compute1", *OTHER, *BACK, "codes 0 0 2 3"),
            CheckStatus.FAILED,
            "is 127.0.1.1 there, not 10.10.0.12",
        ),
        (
            (FORWARD[0], "10.20.0.12 STREAM x", *FORWARD[1:], *OTHER, *BACK, "codes 0 0 2 3"),
            CheckStatus.FAILED,
            "is 10.20.0.12, 10.10.0.12 there, not 10.10.0.12",
        ),
        (
            (*FORWARD, *OTHER, "back", BACK[2], "codes 0 2 2 3"),
            CheckStatus.FAILED,
            "10.10.0.12 does not lead to a name on controller",
        ),
        (
            (*FORWARD, *OTHER, "back", "codes 0 124 2 3"),
            CheckStatus.FAILED,
            "10.10.0.12 does not lead to a name on controller (no answer in 8 s)",
        ),
        (
            (*FORWARD, *OTHER, "back", "10.10.0.12 elsewhere compute10", "codes 0 0 2 3"),
            CheckStatus.FAILED,
            "10.10.0.12 is elsewhere, compute10 there, not compute1",
        ),
        (
            ("timeout: no getent", "codes 127 127 2 3"),
            CheckStatus.ERROR,
            "getent is not installed on controller",
        ),
        ((*FORWARD, *OTHER, *BACK), CheckStatus.ERROR, "getent gave no result (exit code 0)"),
        (
            (*FORWARD, *OTHER, *BACK, "codes 0 0 x"),
            CheckStatus.ERROR,
            "getent gave no result (exit code 0)",
        ),
    ],
)
def test_a_name_must_lead_to_the_access_address_and_back(
    lines: tuple[str, ...], status: CheckStatus, detail: str
) -> None:
    result = of_name(*lines)
    assert (result.status, result.detail) == (status, detail)


NO_SCAN = "ssh-keyscan is not installed on controller"


@pytest.mark.parametrize(
    ("said", "status", "detail"),
    [
        ("silent 10.20.0.12 1 bash: connect: Connection refused", CheckStatus.FAILED, "refused"),
        ("silent 10.20.0.12 124 ", CheckStatus.FAILED, "timed out"),
        ("silent 10.20.0.12 143 ", CheckStatus.FAILED, "timed out"),
        ("silent 10.20.0.12 127 sh: ssh-keyscan: not found", CheckStatus.ERROR, NO_SCAN),
        ("silent 10.20.0.12 0 ", CheckStatus.FAILED, "TCP/22 is open, and no sshd answers"),
        ("silent 10.20.0.12 1 odd", CheckStatus.FAILED, "no connection (exit code 1)"),
        (
            "10.20.0.12 ssh-ed25519 AAAAcompute2",
            CheckStatus.FAILED,
            "HOST KEY MISMATCH: shows the key of compute2",
        ),
        (
            "10.20.0.12 ssh-ed25519 AAAAnobody",
            CheckStatus.FAILED,
            "HOST KEY MISMATCH: shows an unknown key",
        ),
        ("# 10.20.0.12:22 SSH-2.0-x", CheckStatus.FAILED, "sshd there shows no ssh-ed25519 key"),
        ("# 10.20.0.12 SSH-2.0-old", CheckStatus.FAILED, "sshd there shows no ssh-ed25519 key"),
        ("silent 10.20.0.12", CheckStatus.ERROR, "ssh-keyscan gave no result (exit code 0)"),
        ("#", CheckStatus.ERROR, "ssh-keyscan gave no result (exit code 0)"),
    ],
)
def test_the_peers_own_sshd_must_answer_there(said: str, status: CheckStatus, detail: str) -> None:
    text = HEALTHY.replace(line("logins", "# 10.20.0.12:22 SSH-2.0-OpenSSH_9.2p1\n"), "")
    results = spoilt(
        line("logins", "10.20.0.12 ssh-ed25519 AAAAcompute1"), line("logins", said), text
    )
    result = results[CheckKind.PORT, "compute1", "net1"]
    assert (result.status, result.detail) == (status, detail)
    assert [key for key in bad(results) if key[0] is CheckKind.PORT] == [
        (CheckKind.PORT, "compute1", "net1")
    ]


def test_a_peer_without_a_known_key_is_told() -> None:
    good = line("logins", "compute1,10.10.0.12,10.20.0.12 ssh-ed25519 AAAAcompute1")
    result = spoilt(good, "")[CheckKind.PORT, "compute1", "net1"]
    assert result.detail == "HOST KEY MISMATCH: known_hosts on controller lacks a key of 10.20.0.12"


def test_any_of_several_known_keys_will_do() -> None:
    good = line("logins", "compute1,10.10.0.12,10.20.0.12 ssh-ed25519 AAAAcompute1")
    more = line("logins", "10.20.0.12 ssh-ed25519 AAAAolder")
    assert bad(spoilt(good, f"{more}\n{good}")) == {}


LOGIN = line("logins", "login compute1 0 reached 10.10.0.11 40000 10.10.0.12 22")


@pytest.mark.parametrize(
    ("said", "status", "detail"),
    [
        (
            "255 ssh: connect to host compute1 port 22: Connection refused",
            CheckStatus.FAILED,
            "refused",
        ),
        ("255 Host key verification failed.", CheckStatus.FAILED, "HOST KEY MISMATCH"),
        ("143 ", CheckStatus.FAILED, "timed out"),
        ("255 Killed by signal 15.", CheckStatus.FAILED, "timed out"),
        ("3 ", CheckStatus.FAILED, "ended with 3"),
        ("127 sh: ssh: not found", CheckStatus.ERROR, "ssh is not installed on controller"),
        (
            "0 reached 10.20.0.11 40000 10.20.0.12 22",
            CheckStatus.FAILED,
            "reached 10.20.0.12, not 10.10.0.12",
        ),
        ("0 a banner reached 10.10.0.11 40000 10.10.0.12 22", CheckStatus.PASSED, "logged in"),
        ("x", CheckStatus.ERROR, "ssh gave no result (exit code 0)"),
    ],
)
def test_ssh_between_nodes_says_why_it_failed(said: str, status: CheckStatus, detail: str) -> None:
    results = spoilt(LOGIN, line("logins", f"login compute1 {said}"))
    result = results[CheckKind.SSH, "compute1", "net0"]
    assert (result.status, result.detail) == (status, detail)
    assert {target for _, target, _ in bad(results)} <= {"compute1"}


def test_a_login_proves_the_port_of_the_address_that_it_reached() -> None:
    port = (CheckKind.PORT, "compute1", "net0")
    assert judged(HEALTHY)[port].is_passed
    elsewhere = line("logins", "login compute1 0 reached 10.20.0.11 40000 10.20.0.12 22")
    assert spoilt(LOGIN, elsewhere)[port].status is CheckStatus.ERROR
    scanned = f"{elsewhere}\n{line('logins', '10.10.0.12 ssh-ed25519 AAAAcompute1')}"
    assert spoilt(LOGIN, scanned)[port].is_passed
    refused = line("logins", "login compute1 255 Connection refused")
    silent = line("logins", "silent 10.10.0.12 1 bash: connect: Connection refused")
    result = spoilt(LOGIN, f"{refused}\n{silent}")[port]
    assert (result.status, result.detail) == (CheckStatus.FAILED, "refused")


def test_a_login_that_says_nothing_of_its_address_proves_no_port() -> None:
    results = spoilt(LOGIN, line("logins", "login compute1 0 reached"))
    assert results[CheckKind.SSH, "compute1", "net0"].is_passed
    assert results[CheckKind.PORT, "compute1", "net0"].status is CheckStatus.ERROR


def test_an_answer_cut_anywhere_never_fails_a_check_nor_passes_them_all() -> None:
    whole = len(HEALTHY) - len(f"{MARK} end\n")
    for length in range(len(HEALTHY)):
        statuses = {result.status for result in judged(HEALTHY[:length]).values()}
        assert CheckStatus.FAILED not in statuses, length
        # the last part's end may be missing, and all that it had to say is there
        assert length >= whole - 100 or CheckStatus.ERROR in statuses, length


def test_a_size_that_was_to_be_tried_again_is_no_failure() -> None:
    text = HEALTHY.replace("10.20.0.12 : 0.6", "10.20.0.12 : -").replace(
        "10.10.0.12 : 0.6", "10.10.0.12 : -"
    )
    text = text[: text.index(line("ping", "= 0"))]
    for network in ("net0", "net1"):
        assert judged(text)[CheckKind.MTU, "compute1", network].status is CheckStatus.ERROR


@settings(deadline=None)  # a loaded machine is no bug
@given(st.text())
def test_garbage_is_an_error_and_never_raises(text: str) -> None:
    assert {result.status for result in judged(text).values()} == {CheckStatus.ERROR}


PIECES = [
    *HEALTHY.splitlines(keepends=True),
    MARK,
    " ",
    "\n",
    "fping",
    "255",
    "\0",
    line("names", "codes 1 1 99999\n"),
]


@settings(deadline=None)  # a loaded machine is no bug
@given(st.lists(st.sampled_from(PIECES)))
def test_shuffled_pieces_of_an_answer_never_raise(pieces: list[str]) -> None:
    assert len(judged("".join(pieces))) == len(OF_CONTROLLER)


@settings(deadline=None)  # a loaded machine is no bug
@given(
    st.sampled_from(["ping", "source", "names", "logins"]),
    st.text(alphabet=st.characters(codec="utf-8")),
)
def test_no_word_in_a_part_makes_the_judge_raise(tag: str, text: str) -> None:
    lines = "".join(f"{line(tag, each)}\n" for each in text.splitlines())
    judged(f"{MARK} begin\n{lines}{line(tag, '= 0')}\n{MARK} end\n")


@pytest.mark.parametrize("kind", sorted({check.kind for check in CHECKS}))
def test_every_check_says_what_to_type_again(kind: CheckKind) -> None:
    check = next(check for check in CHECKS if check.kind is kind)
    typed = verdicts.command_line(check)
    assert check.address in typed or check.target in typed
    assert "\n" not in typed
