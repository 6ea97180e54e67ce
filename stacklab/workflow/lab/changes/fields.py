"""Compare the fields of nodes, NICs and networks: which differ, and what each costs. Pure.

A field that is not named here costs a rebuild. So one that is added to the model later is never
passed over: see the test over the dataclasses' fields.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterator, Mapping

from stacklab.model.lab import NIC, Impairment, Network, Node, NodeKind
from stacklab.tools.network import tc
from stacklab.workflow.lab.changes.change import Change, Cost, Subject

# What a node's field costs; all others cost a rebuild. `name` tells which node it is.
_NODE_COSTS: Mapping[str, Callable[[Node, Node], tuple[Cost, str]]] = {
    "cpus": lambda _before, _after: (Cost.REBOOT, ""),
    "memory": lambda _before, _after: (Cost.REBOOT, ""),
    "disk": lambda before, after: _cost_of_disk(before, after),
    "disks": lambda before, after: (Cost.REBUILD, _why_of_disks(before, after)),
    "kind": lambda _before, after: (Cost.REFUSED, f"lab.rebuild makes it a {after.kind}"),
}
# As people write them in a spec.
_LABELS = {"is_privileged": "privileged", "has_host": "host", "opens_host": "host_services"}


def _cost_of_disk(before: Node, after: Node) -> tuple[Cost, str]:
    if after.kind is NodeKind.CONTAINER:
        return Cost.LIVE, "a container has as much as this host's disk"
    if after.disk > before.disk:
        return Cost.REBOOT, "its file system grows when it boots"
    return Cost.REBUILD, "a disk can't shrink"


def _why_of_disks(before: Node, after: Node) -> str:
    why = "all of its disks are made anew"
    if any(disk.is_shared for disk in (*before.disks, *after.disks)):
        why += ", a shared one only with all nodes that have it"
    return why


def differing(before: object, after: object) -> Iterator[str]:
    """Yield the names of the fields in which two values of one dataclass differ."""
    for field in dataclasses.fields(before):  # type: ignore[arg-type]
        if getattr(before, field.name) != getattr(after, field.name):
            yield field.name


def node_changes(before: Node, after: Node, *, why_no_plug: str = "") -> Iterator[Change]:
    """Yield what differs between a node as it was made, and as its spec has it.

    `why_no_plug` is why no NIC can be plugged into it while it runs; "" if one can.
    """
    for name in differing(before, after):
        if name == "nics":
            yield from _nic_changes(before, after, why_no_plug)
            continue
        cost_of = _NODE_COSTS.get(name)
        cost, why = cost_of(before, after) if cost_of else (Cost.REBUILD, "")
        yield _change(Subject.NODE, after.name, name, before, after, cost=cost, why=why)


def network_changes(before: Network, after: Network) -> Iterator[Change]:
    """Yield what differs between a network as it was made, and as its spec has it."""
    for name in differing(before, after):
        # The host's firewall is set by `lab.up` each time.
        cost = Cost.LIVE if name == "opens_host" else Cost.REBUILD
        yield _change(Subject.NETWORK, after.name, name, before, after, cost=cost)


def label(field: str) -> str:
    """Return a field's name as a spec has it."""
    return _LABELS.get(field, field.replace("_", " "))


def gets_more_nics(before: Node, after: Node) -> bool:
    """Return True if a VM keeps all its NICs, and gets others behind them."""
    is_vm = before.kind is after.kind is NodeKind.VM
    first = after.nics[: len(before.nics)]
    keeps_all = [nic.network for nic in before.nics] == [nic.network for nic in first]
    return is_vm and keeps_all and len(after.nics) > len(before.nics)


def _nic_changes(before: Node, after: Node, why_no_plug: str) -> Iterator[Change]:
    old = {nic.network: nic for nic in before.nics}
    new = {nic.network: nic for nic in after.nics}
    # Both leave the names of the other NICs alone, and need no other disk.
    is_longer = gets_more_nics(before, after)
    is_shorter = gets_more_nics(after, before)
    cost_of_less = Cost.REBOOT if is_shorter else Cost.REBUILD
    for network, nic in old.items():
        if network not in new:
            yield _nic_change(after.name, f"NIC on {network}", _place(nic), "", cost_of_less)
    for network, nic in new.items():
        if network in old:
            for field in differing(old[network], nic):
                yield _nic_field(after.name, old[network], nic, field)
            continue
        added = _nic_change(after.name, f"NIC on {network}", "", _place(nic), Cost.REBUILD)
        yield _plugged(added, why_no_plug) if is_longer else added
    # A node's devices are named in the order of its NICs.
    is_reordered = old.keys() == new.keys() and list(old) != list(new)
    if is_reordered:
        yield _nic_change(after.name, "NICs", ", ".join(old), ", ".join(new), Cost.REBUILD)


def _nic_field(node: str, before: NIC, after: NIC, field: str) -> Change:
    # netem is set by `lab.up` each time.
    cost = Cost.LIVE if field == "impairment" else Cost.REBUILD
    return Change(
        subject=Subject.NODE,
        name=node,
        what=f"{label(field)} on {after.network}",
        before=_text(getattr(before, field)),
        after=_text(getattr(after, field)),
        cost=cost,
    )


def _nic_change(node: str, what: str, before: str, after: str, cost: Cost) -> Change:
    return Change(subject=Subject.NODE, name=node, what=what, before=before, after=after, cost=cost)


def _plugged(added: Change, why_no_plug: str) -> Change:
    """Return the same change of a node that gets its NIC as it is, or else by a reboot."""
    if why_no_plug:
        return dataclasses.replace(added, cost=Cost.REBOOT, why=why_no_plug)
    return dataclasses.replace(added, cost=Cost.LIVE, why="it is plugged in", adds_nic=True)


def _place(nic: NIC) -> str:
    return f"{nic.device} {nic.address.ip}"


def _change(
    subject: Subject,
    name: str,
    field: str,
    before: object,
    after: object,
    *,
    cost: Cost,
    why: str = "",
) -> Change:
    return Change(
        subject=subject,
        name=name,
        what=label(field),
        before=_text(getattr(before, field)),
        after=_text(getattr(after, field)),
        cost=cost,
        why=why,
    )


def _text(value: object) -> str:
    """Return a value as a spec has it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Impairment):
        return tc.words(value)
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value)
