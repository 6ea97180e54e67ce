"""The answers of a healthy node about its impairments, for `simulate`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.checks.impairments.measuring import loss_of, round_trip_ms
from stacklab.model.lab import Lab, Node
from stacklab.tools import tc

_FPING = re.compile(r"fping -q -c (\d+) .*?((?: \d+\.\d+\.\d+\.\d+)+) &")
_TRAIN = re.compile(r"\b(\w+),\d+\.\d+\.\d+\.\d+,\d+,([\d.]+),[\d.]+")


def show(lab: Lab, node: Node, shell: str) -> Iterator[str]:
    """Yield what `tc qdisc show` writes."""
    for nic in node.nics:
        if nic.impairment:
            options = tc.netem(nic.impairment, nic.mtu).removeprefix("netem ")
            yield f"qdisc netem {tc.HANDLE} dev {nic.device} root refcnt 2 {options}"


def pings(lab: Lab, node: Node, shell: str) -> Iterator[str]:
    """Yield what `fping -q -c` writes: as many lost, and as late, as is declared."""
    theirs = {str(nic.address.ip): nic for peer in lab.nodes for nic in peer.nics}
    for count, addresses in _FPING.findall(shell):
        for address in addresses.split():
            mine = node.nic_on(theirs[address].network)
            assert mine is not None, address
            ends = mine.impairment, theirs[address].impairment
            sent = int(count)
            received = sent - round(sent * loss_of(*ends))
            least = round_trip_ms(*ends) + 0.8
            percent = 100 * (sent - received) // sent
            line = f"{address} : xmt/rcv/%loss = {sent}/{received}/{percent}%"
            if received:
                line += f", min/avg/max = {least:.2f}/{least + 1:.2f}/{least + 9:.2f}"
            yield line


def trains(lab: Lab, node: Node, shell: str) -> Iterator[str]:
    """Yield what python3 says of each train: all was offered, the declared rate left."""
    rates = {nic.device: nic.impairment.rate_kbit for nic in node.nics}
    for device, offered in _TRAIN.findall(shell):
        yield f"{device} {float(offered):.0f} {rates[device] * 125} 1.000 0"
