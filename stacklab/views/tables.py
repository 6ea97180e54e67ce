"""Tables for people, on stdout; data for machines is JSON, made elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from stacklab.checks.result import CheckResult
from stacklab.doctor import ProbeResult, ProbeStatus
from stacklab.images.catalogue import Image
from stacklab.images.store import StoredImage
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.progress import Timing
from stacklab.views import matrix
from stacklab.workflow.lab import reap
from stacklab.workflow.lab.life import LabStatus
from stacklab.workflow.lab.up import Outcome

_STATE_STYLE = {NodeState.RUNNING: "green", NodeState.OFF: "yellow", NodeState.ABSENT: "red"}
_PROBE_STYLE = {ProbeStatus.OK: "green", ProbeStatus.WARNING: "yellow", ProbeStatus.FAILED: "red"}


def console() -> Console:
    """Stdout; piped, it is as wide as its lines need. Lines are not broken: commands are to be copied."""
    width = None if sys.stdout.isatty() else max(160, shutil.get_terminal_size().columns)
    return Console(width=width, soft_wrap=True)


def table(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None
) -> Table:
    """A plain table; what looks like rich's markup is text like any other, a Text keeps its style."""
    shown = Text(title, style="bold") if title is not None else None
    made = Table(title=shown, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in header:
        made.add_column(Text(column), overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return made


def lab(found: Lab) -> list[Table]:
    """A resolved lab: its networks and its nodes."""
    networks = [
        (n.name, n.cidr, n.mode, n.mtu, n.host_address if n.is_made_by_us else "-", n.bridge)
        for n in found.networks
    ]
    nodes = [
        (n.name, n.role, n.cpus, n.memory, n.disk, nic.device, nic.network, nic.address, nic.mac)
        if nic is n.access
        else ("", "", "", "", "", nic.device, nic.network, nic.address, nic.mac)
        for n in found.nodes
        for nic in n.nics
    ]
    stack = found.stack
    about = [("description", found.description or "-"), ("image", ", then ".join(found.images))]
    about += [("memory", f"{found.memory} in all")]
    if stack.release:
        pair = f" with DevStack {stack.devstack_branch}" if stack.devstack_branch else ""
        about += [
            (
                "stack",
                f"{stack.installer} {stack.release}{pair}, {stack.network_mode}, on {stack.network}",
            )
        ]
    return [
        table(("lab", found.name), about),
        table(("network", "cidr", "mode", "mtu", "host", "bridge"), networks),
        table(
            ("node", "role", "cpus", "memory", "disk", "nic", "network", "address", "mac"), nodes
        ),
    ]


def summary(
    found: Lab, image: str, passed_over: Mapping[str, str], accelerator: str
) -> list[Table]:
    """What a person wants to know of a lab that is up."""
    rows = [
        (
            node.name,
            node.role,
            "  ".join(f"{nic.device} {nic.address.ip}" for nic in node.nics),
            f"./invoke lab.ssh {found.name}"
            + ("" if node is found.controller else f" --node {node.name}"),
        )
        for node in found.nodes
    ]
    about = [("image", image), ("accelerator", accelerator)]
    about += [("not taken", f"{name}: {why}") for name, why in passed_over.items()]
    return [table(("node", "role", "addresses", "log in"), rows), table(("lab", found.name), about)]


def outcome(found: Outcome, taken: Sequence[Timing]) -> list[Table | str]:
    """What lab.up ends with."""
    name = found.lab.name
    passed = f"{sum(r.is_passed for r in found.results)} of {len(found.results)} checks passed"
    nexts = [
        (f"./invoke lab.ssh {name}", "log in on the controller"),
        (f"./invoke lab.exec {name} -- uptime", "run something on every node"),
        (
            f"./invoke lab.check {name}",
            passed if found.results else "prove that all nodes reach each other",
        ),
        (f"./invoke lab.rebuild {name}", "start over"),
        (f"./invoke lab.destroy {name}", "leave nothing behind"),
    ]
    return [
        *spaced(summary(found.lab, found.image, found.passed_over, found.accelerator)),
        timings(taken),
        "",
        table(("next", ""), nexts),
    ]


def spaced(tables: Sequence[Table]) -> list[Table | str]:
    """With an empty line after each."""
    return [part for each in tables for part in (each, "")]


def timings(taken: Sequence[Timing]) -> Table:
    """How long each stage took; of several rows in one stage, the slowest."""
    stages: dict[str, float] = {}
    for timing in taken:
        name = timing.stage if timing.row == "host" else f"{timing.stage} ({timing.row})"
        stages[name] = stages.get(name, 0.0) + timing.elapsed_s
    return table(
        ("stage", "seconds"), [(name, f"{elapsed:.1f}") for name, elapsed in stages.items()]
    )


def status(found: Sequence[LabStatus]) -> Table:
    """Labs on this host, a line per node; how long they may live yet, where one of them has an end."""
    rows = []
    ends = any(each.expires_at is not None for each in found)
    now = time.time()
    for each in found:
        if each.trouble:
            row = (each.name, "", Text("damaged", "red"), "-", each.trouble)
            rows.append((*row, "") if ends else row)
        addresses = {n.name: str(n.access.address.ip) for n in each.lab.nodes} if each.lab else {}
        for position, (node, state) in enumerate(each.states.items()):
            style = _STATE_STYLE.get(state, "yellow")
            first = (
                (each.name, each.image, reap.left(each.expires_at, now))
                if position == 0
                else ("", "", "")
            )
            row = (first[0], node, Text(str(state), style), addresses.get(node, "-"), first[1])
            rows.append((*row, first[2]) if ends else row)
    header = ("lab", "node", "state", "address", "image")
    return table((*header, "lab.reap") if ends else header, rows)


def checks(found: Lab, results: Sequence[CheckResult], *, width: int | None = None) -> Group:
    """Who reaches whom, per network; the layers with counts; whatever did not pass, with what to type."""
    # A group, since a Text on its own is wrapped whatever it asks for.
    return Group(*matrix.shown(found, results, width or console().width))


def images(
    catalogue: Mapping[str, Image], stored: Sequence[StoredImage], current: Mapping[str, str]
) -> Table:
    """The catalogue, and what of it is built."""
    rows: list[Sequence[object]] = []
    for name, image in catalogue.items():
        built = [each for each in stored if each.name == name]
        rows.append((name, image.source, image.description, "" if built else "not built", "", ""))
        rows += [
            (
                "",
                "",
                each.key,
                Text("current", "green")
                if each.address == current[name]
                else Text("of other inputs", "yellow"),
                f"{each.size_bytes / 1024 / 1024:.0f} MiB",
                time.strftime("%Y-%m-%d %H:%M", time.localtime(each.built_at)),
            )
            for each in built
        ]
    return table(("image", "source", "what", "state", "size", "built"), rows)


def probes(found: Sequence[ProbeResult]) -> Table:
    """What doctor found, with fixes."""
    rows = []
    for probe in found:
        fix = f"\n  fix: {probe.fix}" if probe.fix and probe.status is not ProbeStatus.OK else ""
        style = _PROBE_STYLE[probe.status]
        rows.append((Text(str(probe.status), style), probe.name, probe.sentence + fix))
    return table(("", "probe", "what"), rows)
