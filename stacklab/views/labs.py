"""Labs for people: as a spec has one, as `lab.up` leaves it, and what runs on this host."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from stacklab.views import stack
from stacklab.views.tables import moment, spaced, table
from stacklab.words import plural

if TYPE_CHECKING:  # types alone: `lab.show` does not need libvirt
    from stacklab.model.lab import Lab, Node
    from stacklab.model.snapshot import SnapshotManifest
    from stacklab.progress import Timing
    from stacklab.workflow.lab.lab_up import LabUp
    from stacklab.workflow.lab.status import LabStatus

# By the state's word, as NodeState has it; every other state is yellow.
_STATE_STYLE = {"running": "green", "absent": "red"}
_STATUS_HEADER = ("lab", "node", "state", "address", "image")
_NETWORK_HEADER = ("network", "cidr", "mode", "mtu", "host", "bridge")
_DISK_HEADER = ("further disks of", "size", "bus", "serial", "shared with")
_NODE_HEADER = ("node", "role", "cpus", "memory", "disk", "nic", "network", "address", "mac")


def lab_tables(resolved: Lab) -> list[Table]:
    """Return tables of a resolved lab: what it is, its networks and its nodes."""
    networks = []
    for network in resolved.networks:
        row = (
            network.name,
            network.cidr,
            network.mode,
            network.mtu,
            # On a bridge of the host's own, its address is not ours to say.
            network.host_address if network.is_made_by_us else "-",
            network.bridge,
        )
        networks.append(row)
    nics: list[tuple[object, ...]] = []
    # Of VMs alone, a column would say nothing.
    has_containers = any(node.kind == "container" for node in resolved.nodes)
    for node in resolved.nodes:
        nics += _nic_rows(node, has_kind=has_containers)
    node_header = ("node", "kind", *_NODE_HEADER[1:]) if has_containers else _NODE_HEADER
    disks = list(_disk_rows(resolved))
    return [
        table(("lab", resolved.name), _about_rows(resolved)),
        table(_NETWORK_HEADER, networks),
        table(node_header, nics),
        *([table(_DISK_HEADER, disks)] if disks else []),
    ]


def _disk_rows(resolved: Lab) -> Iterator[tuple[object, ...]]:
    """Yield a row per disk that a node has beside the one it boots from."""
    for node in resolved.nodes:
        name = node.name
        for disk in node.disks:
            others = [
                other.name
                for other in resolved.nodes
                if other is not node and any(one.is_shared_as(disk) for one in other.disks)
            ]
            yield (name, disk.size, disk.bus, disk.serial, ", ".join(others) or "-")
            name = ""


def _about_rows(resolved: Lab) -> list[tuple[str, str]]:
    """Return what is said of the lab as a whole."""
    stack = resolved.stack
    rows = [
        ("description", resolved.description or "-"),
        ("image", ", then ".join(resolved.images)),
        ("memory", f"{resolved.memory} in all"),
    ]
    if stack.release:
        cloud = f"{stack.installer} {stack.release}"
        if stack.devstack_branch:  # contrail-installer runs beside a DevStack
            cloud += f" with DevStack {stack.devstack_branch}"
        rows.append(("stack", f"{cloud}, {stack.network_mode}, on {stack.network}"))
    return rows + _cloud_rows(resolved)


def _cloud_rows(resolved: Lab) -> list[tuple[str, str]]:
    """Return where the cloud's dashboard is, and what the cloud lacks."""
    from stacklab import installers  # lab.status, which shows none of it, must be quick

    url = installers.dashboard_url(resolved)
    rows = [("dashboard", url)] if url else []
    return rows + [("left out", sentence) for sentence in installers.left_out(resolved)]


def _nic_rows(node: Node, *, has_kind: bool) -> Iterator[tuple[object, ...]]:
    """Yield a row per NIC; the node's own columns stand in the first one only."""
    kind: tuple[object, ...] = (node.kind,) if has_kind else ()
    node_cells = (node.name, *kind, node.role, node.cpus, node.memory, node.disk)
    for nic in node.nics:
        yield (*node_cells, nic.device, nic.network, nic.address, nic.mac)
        node_cells = ("",) * len(node_cells)


def summary_tables(
    resolved: Lab, image: str, passed_over: Mapping[str, str], accelerator: str
) -> list[Table]:
    """Return tables of what a person wants to know of a lab that is up."""
    rows = []
    for node in resolved.nodes:
        addresses = "  ".join(f"{nic.device} {nic.address.ip}" for nic in node.nics)
        # `lab.ssh` without --node goes to the controller.
        option = "" if node is resolved.controller else f" --node {node.name}"
        rows.append((node.name, node.role, addresses, f"./invoke lab.ssh {resolved.name}{option}"))
    about = [("image", image), ("accelerator", accelerator)]
    about += [("not taken", f"{name}: {reason}") for name, reason in passed_over.items()]
    about += _cloud_rows(resolved)
    return [
        table(("node", "role", "addresses", "log in"), rows),
        table(("lab", resolved.name), about),
    ]


def outcome_tables(result: LabUp, stage_timings: Sequence[Timing]) -> list[Table | str]:
    """Return what `lab.up` ends with: the lab, the time it took, and what to type next."""
    name = result.lab.name
    tables_of_lab = summary_tables(
        result.lab,
        image=result.image,
        passed_over=result.passed_over,
        accelerator=result.accelerator,
    )
    check_text = "prove that all nodes reach each other"
    if result.came_from is not None:
        tables_of_lab.append(_origin_table(result.came_from))
        check_text = "check it again"
    if result.results:
        passed = sum(check_result.is_passed for check_result in result.results)
        check_text = f"{passed} of {len(result.results)} checks passed"
    next_steps = [
        *_stack_steps(result),
        *(
            (f"./invoke cloud.forget {name} {node}", "its cloud still lists it")
            for node in result.still_listed
        ),
        (f"./invoke lab.ssh {name}", "log in on the controller"),
        (f"./invoke lab.exec {name} -- uptime", "run something on every node"),
        (f"./invoke lab.check {name}", check_text),
        (f"./invoke lab.rebuild {name}", "start over"),
        (f"./invoke lab.destroy {name}", _destroy_text(result)),
    ]
    return [
        *spaced(tables_of_lab),
        timings_table(stage_timings),
        "",
        table(("next", ""), next_steps),
    ]


def _origin_table(manifest: SnapshotManifest) -> Table:
    """Return where the lab comes from, if it was not made now."""
    made = moment(manifest.made_at)
    checks = f"{plural(manifest.checks_passed, 'check')} passed then"
    rows = [
        ("as lab.up left it", f"{made}; {checks}"),
        ("make it anew", f"./invoke lab.rebuild {manifest.lab} --cold"),
    ]
    return table(("pristine snapshot", ""), rows)


def _destroy_text(result: LabUp) -> str:
    if result.comes_back:
        return "end it; lab.up brings it back in seconds, unless with --purge"
    return "end it; the next lab.up makes it anew"


def _stack_steps(result: LabUp) -> list[tuple[str, str]]:
    """Return what to type to have a cloud; nothing where there is one, or no installer."""
    if not result.lacks_stack:
        return []
    installer = result.lab.stack.installer
    return [(f"./invoke lab.stack {result.lab.name}", f"install its cloud ({installer})")]


def timings_table(stage_timings: Sequence[Timing]) -> Table:
    """Return a table of how long each stage took, a row's stages of one name added up."""
    seconds_by_stage: dict[str, float] = {}
    for timing in stage_timings:
        name = timing.stage
        if timing.row != "host":
            name += f" ({timing.row})"
        seconds_by_stage[name] = seconds_by_stage.get(name, 0.0) + timing.elapsed_s
    rows = [(name, f"{seconds:.1f}") for name, seconds in seconds_by_stage.items()]
    return table(("stage", "seconds"), rows)


def status_table(statuses: Sequence[LabStatus]) -> Table:
    """Return a line per node of these labs.

    Where one of the labs has a time to live, a further column says what is left of it.
    """
    has_ends = False
    rows: list[tuple[str | Text, ...]] = []
    for status in statuses:
        has_ends = has_ends or status.expires_at is not None
        rows += _lab_rows(status)
    if has_ends:
        return table((*_STATUS_HEADER, "lab.reap"), rows)
    return table(_STATUS_HEADER, [row[:-1] for row in rows])


def stack_tables(statuses: Sequence[LabStatus]) -> list[Table | str]:
    """Return a table of the stages of each lab whose installer ran."""
    tables: list[Table | str] = []
    for status in statuses:
        stages = stack.history_table(status.name, status.stack)
        if stages is not None:
            tables += ["", stages]
    return tables


def _lab_rows(status: LabStatus) -> Iterator[tuple[str | Text, ...]]:
    """Yield the rows of a lab; one that is damaged has its trouble in a row of its own."""
    if status.trouble:
        yield (status.name, "", Text("damaged", "red"), "-", status.trouble, "")
    addresses: dict[str, str] = {}
    if status.lab is not None:
        for lab_node in status.lab.nodes:
            addresses[lab_node.name] = str(lab_node.access.address.ip)
    # What is said of the whole lab stands in its first line only.
    name = status.name
    image = status.image
    time_left = _time_left(status.expires_at)
    for node, state in status.states.items():
        styled_state = Text(str(state), _STATE_STYLE.get(str(state), "yellow"))
        yield (name, node, styled_state, addresses.get(node, "-"), image, time_left)
        name = image = time_left = ""


def _time_left(expires_at: float | None) -> str:
    """Return what is left of a lab's time to live; "" if it lives on."""
    if expires_at is None:
        return ""
    from stacklab.workflow.lab import lifetime

    return lifetime.left(expires_at, time.time())
