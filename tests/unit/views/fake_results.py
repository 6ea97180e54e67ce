"""Results of a check run without one.

What each kind of trouble looks like, on a lab of any size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from stacklab.checks.expect import Effect, Fault, Outage
from stacklab.checks.outcome import Outcome
from stacklab.checks.result import HOST, Check, CheckKind, CheckResult, CheckStatus, Layer, Reason
from stacklab.model.cause import Cause, CauseKind
from stacklab.model.lab import Lab
from tests.unit.checks.fake_lab import make_lab

_STEAL = "document.title='owned'"
HOSTILE = (
    f'</script><script>{_STEAL}</script><img src=x onerror="{_STEAL}">&amp; <!--<script \u202e'
)
AT = 1_795_170_600.0  # 2026-11-20 10:30 UTC
_OF_NODES = [
    CheckKind.STATE,
    CheckKind.LOGIN,
    CheckKind.HOSTNAME,
    CheckKind.DISK,
    CheckKind.NIC,
    CheckKind.CLOCK,
]
_OF_PAIRS = [
    CheckKind.PING,
    CheckKind.MTU,
    CheckKind.SOURCE,
    CheckKind.PORT,
    CheckKind.NAME,
    CheckKind.SSH,
]
Spoil = Callable[[CheckResult], CheckResult]


def passed(check: Check) -> CheckResult:
    """A result of a healthy node; round trips differ, and are the same in each run."""
    if check.kind is CheckKind.PING:
        rtt = (0.3, 0.55, 0.8, 1.4, 2.6, 4.9, 12.0)[sum(map(ord, check.node + check.address)) % 7]
        return CheckResult(
            check=check,
            status=CheckStatus.PASSED,
            reason=Reason.OK,
            detail=f"{rtt:.1f} ms",
            rtt_ms=rtt,
        )
    return CheckResult(
        check=check,
        status=CheckStatus.PASSED,
        reason=Reason.OK,
        detail="fine",
        elapsed_s=0.25,
    )


def expected(lab: Lab) -> Iterator[Check]:
    """Checks of nodes, of each pair on each network, and one of the host."""
    for node in lab.nodes:
        for kind in _OF_NODES:
            address = str(node.access.address.ip) if kind is CheckKind.LOGIN else ""
            yield Check(
                kind=kind,
                node=node.name,
                target=node.name,
                network=node.access.network,
                address=address,
            )
        for nic in node.nics:
            for peer, theirs in lab.members(nic.network):
                for kind in _OF_PAIRS if peer is not node else []:
                    yield Check(
                        kind=kind,
                        node=node.name,
                        target=peer.name,
                        network=nic.network,
                        address=str(theirs.address.ip),
                        device=nic.device,
                    )
    yield Check(kind=CheckKind.HOST_APART, node=HOST, network=lab.networks[-1].name)


def ran(lab: Lab | None = None, spoil: Spoil = lambda result: result) -> Outcome:
    """A whole run."""
    lab = lab or make_lab()
    results = tuple(spoil(passed(check)) for check in expected(lab))
    return Outcome(lab=lab, results=results, started_at=AT, elapsed_s=4.25)


def count_bad(found: Outcome) -> int:
    """How many of a run's checks did not pass."""
    return sum(not result.is_passed for result in found.results)


def count_of_layer(found: Outcome, layer: Layer) -> int:
    """How many of a run's checks are of that layer."""
    return sum(result.check.kind.layer is layer for result in found.results)


def is_way(result: CheckResult, source: str, target: str, network: str, kind: CheckKind) -> bool:
    """Whether it is about that way."""
    check = result.check
    return (check.kind, check.node, check.target, check.network) == (kind, source, target, network)


def failed(result: CheckResult, detail: str, **more: object) -> CheckResult:
    """The same check, failed."""
    with_all = {
        "status": CheckStatus.FAILED,
        "reason": Reason.NO_REPLY,
        "detail": detail,
        "rtt_ms": None,
        **more,
    }
    return dataclasses.replace(result, **with_all)  # type: ignore[arg-type]


def of_each_kind(result: CheckResult) -> CheckResult:
    """A lost way, one that loses some, an MTU, a refusal, a hostile node, no answer, a warning."""
    check = result.check
    if is_way(result, "controller", "compute1", "net1", CheckKind.PING):
        evidence = (
            "route  10.20.0.12 dev eth1 src 10.20.0.11\narp    10.20.0.12 dev eth1 FAILED\n"
            "host   vnet5 is up"
        )
        command = "fping -C 3 10.20.0.12"
        output = "10.20.0.12 : - - -"
        return failed(result, "no reply to 3 pings", command=command, output=output, clues=evidence)
    if is_way(result, "controller", "compute2", "net0", CheckKind.PING):
        return failed(
            result,
            "2 replies to 3 pings",
            reason=Reason.SOME_LOST,
            rtt_ms=41.5,
            command="fping -C 3 10.10.0.13",
        )
    if is_way(result, "compute1", "compute2", "net1", CheckKind.MTU):
        return failed(
            result,
            "1500 bytes do not get through whole",
            reason=Reason.TOO_LONG,
            command="ping -M do -s 1472 10.20.0.13",
        )
    if is_way(result, "compute2", "compute1", "net0", CheckKind.SSH):
        command = f"ssh stack@compute1 'echo {HOSTILE}'"
        return failed(
            result,
            f"refused {HOSTILE}",
            reason=Reason.REFUSED,
            command=command,
            output=HOSTILE,
            clues=HOSTILE,
        )
    if check.node == "compute2" and check.kind in (CheckKind.CLOCK, CheckKind.NIC, CheckKind.DISK):
        detail = "not reached: Connection timed out"
        return dataclasses.replace(
            result, status=CheckStatus.ERROR, reason=Reason.NOT_REACHED, detail=detail
        )
    if check.node == "compute1" and check.kind is CheckKind.DISK:
        output = "/dev/vda1  48G  44G  3G  94% /"
        detail = "the root file system is 94% full"
        return dataclasses.replace(
            result,
            status=CheckStatus.WARNED,
            reason=Reason.NEARLY_FULL,
            detail=detail,
            command="df -h /",
            output=output,
        )
    return result


def off(name: str) -> Spoil:
    """A node that is off: others lose it, and nothing of its own is tried."""

    def spoil(result: CheckResult) -> CheckResult:
        check = result.check
        if check.node == name:
            if check.kind is CheckKind.STATE:
                return failed(
                    result,
                    "is off",
                    reason=Reason.NOT_RUNNING,
                    command=f"virsh domstate --reason trio_{name}",
                )
            if check.kind is CheckKind.LOGIN:
                return failed(result, "the node is off", reason=Reason.NODE_OFF)
            return dataclasses.replace(
                result,
                status=CheckStatus.ERROR,
                reason=Reason.NODE_OFF,
                detail="not reached: the node is off",
                rtt_ms=None,
            )
        if check.target == name and check.kind in (CheckKind.PING, CheckKind.SSH):
            return failed(
                result,
                "no reply to 3 pings" if check.kind is CheckKind.PING else "no route to host",
                reason=Reason.NO_REPLY if check.kind is CheckKind.PING else Reason.UNREACHABLE,
            )
        return result

    return spoil


def many(count: int) -> Lab:
    """A lab of that many nodes."""
    names = (f"compute{number}" for number in range(1, count))
    return make_lab(nodes=("controller", *names), cidrs=("10.10.0.0/16", "10.20.0.0/16"))


def down(name: str, network: str, device: str, cause: Cause | None = None) -> Spoil:
    """A NIC that is down.

    What goes out of it or to it fails, with a cause and the evidence of both ends.
    """

    def spoil(result: CheckResult) -> CheckResult:
        check = result.check
        kinds = (CheckKind.PING, CheckKind.MTU, CheckKind.PORT)
        if (
            check.network != network
            or name not in (check.node, check.target)
            or check.kind not in kinds
        ):
            return result
        other = check.target if check.node == name else check.node
        clues = (
            *(
                f"{other}: {device} is up, 10.20.0.1/24",
                f"{other}: route: {check.address} dev {device}",
            ),
            *(f"{other}: ARP for {check.address}: nobody answers (failed)",)
            * (check.node == other),
            f"{name}: {device} is down, no address",
            f"{name}, from the host: NIC {device}: 52:54:00:00:00:01 on {network}, tap vnet3;"
            " tap on a bridge, up",
            *(f"{other}: TCP 22: something listens",) * (check.kind is CheckKind.PORT),
        )
        bad = failed(
            result, "no reply to 3 pings", command=f"fping -C 3 {check.address}", output="- - -"
        )
        is_down = Cause(CauseKind.NIC_DOWN, f"{device} is down on {name}")
        return bad.explained(cause or is_down, clues)

    return spoil


def dead(name: str) -> Spoil:
    """A node that is off, and found to be."""

    def spoil(result: CheckResult) -> CheckResult:
        bad = off(name)(result)
        if bad.is_passed:
            return bad
        clues: tuple[str, ...] = ()
        if bad.check.kind is CheckKind.LOGIN:
            console = [
                f"  | [   {number}.000000] the console's line {number}" for number in range(6)
            ]
            domain = f"domain trio_{name}: shut off (crashed)"
            clues = (domain, "lease: none", f"console of {name} ends with:", *console)
        elif bad.check.kind in (CheckKind.PING, CheckKind.SSH):
            other = bad.check.node
            clues = (
                f"{other}: {bad.check.device} is up, 10.20.0.1/24",
                f"{name}, from the host: no tap",
            )
        return bad.explained(Cause(CauseKind.NODE_STATE, f"{name} is shut off (crashed)"), clues)

    return spoil


def expecting(lab: Lab, *faults: Fault) -> Spoil:
    """What lab.check --expect makes of these faults: what they cut has failed."""
    outage = Outage(lab, faults)

    def spoil(result: CheckResult) -> CheckResult:
        is_hit = outage.effect(result.check)[0] is not Effect.NONE
        return outage.as_expected(failed(result, "no reply") if is_hit else result)

    return spoil
