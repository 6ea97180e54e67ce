"""The checks that the host does itself: it keeps off networks that are declared without it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from stacklab.checks.reach import pinging
from stacklab.checks.result import Check, CheckKind, CheckResult, Reason, Verdict, checks_of_kind
from stacklab.errors import ToolError
from stacklab.model.lab import Lab
from stacklab.process.command import Command, Runner
from stacklab.tools.network import fping


def judge(lab: Lab, checks: Sequence[Check], runner: Runner) -> Iterator[CheckResult]:
    """Do and judge the checks of kind `host-apart`; see Family.of_host."""
    apart_checks = checks_of_kind(checks, CheckKind.HOST_APART)
    addresses: list[str] = []
    for check in apart_checks:
        addresses += _names_by_address(lab, check.network)
    # One fping for all networks: on a healthy lab nobody answers, and it waits to the end.
    pings, why_no_pings = pinging.ping_addresses(lab, addresses, runner)
    for check in apart_checks:
        result = _judge_bridge(check, runner)
        if result is None:
            result = _judge_ways(lab, check, pings, why_no_pings, runner)
        yield result


def _names_by_address(lab: Lab, network: str) -> dict[str, str]:
    """Return the addresses of all nodes on a network, each with its node's name."""
    return {str(nic.address.ip): node.name for node, nic in lab.members(network)}


def _judge_bridge(check: Check, runner: Runner) -> CheckResult | None:
    """Judge that the host has no address on the network's bridge; None where that holds."""
    look = Command(
        argv=("ip", "-o", "addr", "show", "dev", check.device),
        what=f"reading the addresses of {check.device}",
        timeout_s=10,
    )
    try:
        text = runner.run(look).stdout
    except ToolError as error:
        detail = f"the bridge {check.device} can't be looked at"
        verdict = Verdict.error(Reason.PROGRAM_FAILED, detail, about="ip")
        return verdict.of(check, command=str(look), output=error.message)
    # With IPv6: a link-local address alone makes the host reachable.
    addresses = re.findall(r"\binet6? (\S+)", text)
    if not addresses:
        return None
    detail = f"the host has {', '.join(addresses)} on {check.device}"
    verdict = Verdict.failed(Reason.WRONG_ADDRESS, detail)
    return verdict.of(check, command=str(look), output=text)


def _judge_ways(
    lab: Lab,
    check: Check,
    pings: Mapping[str, fping.Ping],
    why_no_pings: str,
    runner: Runner,
) -> CheckResult:
    """Judge that the host reaches no node of the network by any way of the lab's."""
    names = _names_by_address(lab, check.network)
    missing = [address for address in names if address not in pings]
    if missing:
        detail = f"fping on the host says nothing of {missing[0]}"
        verdict = Verdict.error(Reason.PROGRAM_FAILED, detail, about="fping")
        command = " ".join(pinging.fping_argv(lab, missing))
        return verdict.of(check, command=command, output=why_no_pings)
    answering = [address for address in names if pings[address].received]
    if not answering:
        return Verdict.passed(f"no address, no way to {len(names)} nodes").of(check)
    address = answering[0]
    device = _device_to(address, runner)
    verdict = _judge_answering(lab, names[address], address, device)
    return verdict.of(check, command=f"ip route get {address}")


def _judge_answering(lab: Lab, node: str, address: str, device: str) -> Verdict:
    """Judge an address that answers the host: a node's only if the lab leads there."""
    bridges = {network.bridge for network in lab.networks}
    if device in bridges:
        return Verdict.failed(Reason.REACHED, f"the host reaches {node} {address} by {device}")
    # The lab's addresses are private ones, which the host's own network may use as well.
    way = device or "a way unknown"
    detail = f"{address} answers the host by {way}, not by the lab: somebody else has it, too"
    return Verdict.warned(Reason.ADDRESS_TAKEN, detail)


def _device_to(address: str, runner: Runner) -> str:
    """Return the interface that the host sends to an address by; "" if that can't be told."""
    command = Command(
        argv=("ip", "-o", "route", "get", address),
        what=f"reading the route to {address}",
        timeout_s=10,
    )
    try:
        route = runner.run(command).stdout
    except ToolError:
        return ""
    match = re.search(r"\bdev (\S+)", route)
    return match[1] if match else ""
