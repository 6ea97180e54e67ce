"""The answers of a healthy node about its impairments, for `simulate`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.checks.impairments.measuring import loss_of, round_trip_ms
from stacklab.model.lab import NIC, Lab, Node
from stacklab.tools.network import tc

# One fping in the background, as `measuring.ping_part` writes it: its count, its addresses.
_FPING = re.compile(r"fping -q -c (\d+) .*?((?: \d+\.\d+\.\d+\.\d+)+) &")
# DEVICE,ADDRESS,FRAME,RATE,WARM of `measuring.rate_part`.
_TRAIN = re.compile(r"\b(\w+),\d+\.\d+\.\d+\.\d+,\d+,([\d.]+),[\d.]+")


def show(lab: Lab, node: Node, shell: str) -> Iterator[str]:
    """Yield what `tc qdisc show` writes."""
    for nic in node.nics:
        if not nic.impairment:
            continue
        options = tc.netem(nic.impairment, nic.mtu).removeprefix("netem ")
        yield f"qdisc netem {tc.HANDLE} dev {nic.device} root refcnt 2 {options}"


def pings(lab: Lab, node: Node, shell: str) -> Iterator[str]:
    """Yield what `fping -q -c` writes: as many lost, and as late, as is declared."""
    theirs: dict[str, NIC] = {}
    for peer in lab.nodes:
        for nic in peer.nics:
            theirs[str(nic.address.ip)] = nic
    for count, addresses in _FPING.findall(shell):
        for address in addresses.split():
            yield _ping_line(node, theirs[address], sent=int(count))


def _ping_line(node: Node, target: NIC, sent: int) -> str:
    """Return fping's line on the pings from a node to a NIC."""
    nic = node.nic_on(target.network)
    assert nic is not None, target
    ends = nic.impairment, target.impairment
    received = sent - round(sent * loss_of(*ends))
    percent = 100 * (sent - received) // sent
    line = f"{target.address.ip} : xmt/rcv/%loss = {sent}/{received}/{percent}%"
    if received:
        least_ms = round_trip_ms(*ends) + 0.8  # a little slower than the declared delay alone
        line += f", min/avg/max = {least_ms:.2f}/{least_ms + 1:.2f}/{least_ms + 9:.2f}"
    return line


def trains(lab: Lab, node: Node, shell: str) -> Iterator[str]:
    """Yield what python3 says of each train: all was offered, the declared rate left."""
    rates_kbit = {nic.device: nic.impairment.rate_kbit for nic in node.nics}
    for device, offered in _TRAIN.findall(shell):
        bytes_s = rates_kbit[device] * 125  # 1000 bits / 8
        yield f"{device} {float(offered):.0f} {bytes_s} 1.000 0"
