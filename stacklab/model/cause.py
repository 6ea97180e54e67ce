"""Causes of trouble in a running lab: a stable word and the sentence that people read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CauseKind(StrEnum):
    """The kinds of trouble that can be proved; docs/check-report.md lists these words."""

    FAULT = "fault"  # lab.fault made it
    NODE_STATE = "node-state"  # the node's domain does not run
    # seen from this host
    NIC_UNPLUGGED = "nic-unplugged"  # the domain lacks the NIC
    CABLE_PULLED = "cable-pulled"  # the NIC's link is down
    BRIDGE_DOWN = "bridge-down"  # the network's bridge is down or gone
    TAP_MISSING = "tap-missing"  # the NIC has no other end on this host
    TAP_ASTRAY = "tap-astray"  # that end is on another bridge, or on none
    TAP_DOWN = "tap-down"
    HOST_ROUTE = "host-route"  # this host sends to the node by another interface
    ADDRESS_TAKEN = "address-taken"  # another machine answers for the node's address
    NOT_BOOTED = "not-booted"  # no packet came from it, and its console is empty
    NETWORK_DOWN = "network-down"  # it booted, and no packet came from it
    OTHER_LEASE = "other-lease"  # its lease is for another address
    NO_ARP = "no-arp"  # nobody answers ARP for the address
    HOST_FIREWALL = "host-firewall"  # a rule of this host refuses the packets
    SSHD_DOWN = "sshd-down"
    SSHD_FILTERED = "sshd-filtered"  # the node answers ARP, and its port 22 does not
    SSHD_HANGS = "sshd-hangs"  # it takes connections and stays silent
    NOT_SSHD = "not-sshd"  # something else answers on port 22
    # by the node's own account
    NIC_MISSING = "nic-missing"
    NIC_DOWN = "nic-down"
    NO_CARRIER = "no-carrier"
    WRONG_ADDRESS = "wrong-address"
    WRONG_MTU = "wrong-mtu"
    WRONG_ROUTE = "wrong-route"
    NODE_FIREWALL = "node-firewall"  # a rule of a node refuses the packets
    PINGS_IGNORED = "pings-ignored"
    LOSSY = "lossy"  # netem on the NIC loses packets


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong. Results with equal causes failed for the same reason."""

    kind: CauseKind
    text: str  # the same words for everything that it explains

    def __str__(self) -> str:
        return self.text
