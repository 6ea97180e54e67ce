"""The labs that live tests share, and their nodes' kinds."""

from __future__ import annotations

from pathlib import Path

from stacklab import spec
from stacklab.checks import plan
from stacklab.checks.result import Layer
from stacklab.model.lab import NodeKind
from stacklab.paths import HostPaths
from stacklab.paths.project import PROJECT
from stacklab.providers import registry
from stacklab.providers.containers.handles import Container, container_of
from stacklab.tools.host import cgroups

HOME = Path("/var/lib/stacklab-live-tests")
LAB = "contrail-3node"
NODES = ("controller", "compute1", "compute2")
MINI = "mini-2node"
WAN = "wan-2node"
CLOUD = "openstack-3node"
LINUX_BRIDGES = "openstack-2node-linuxbridge"
LABS = (LAB, MINI, WAN, CLOUD, LINUX_BRIDGES)
# What a second checkout of the project does without.
NOT_COPIED = (".git", ".venv", ".consumers", "reports", "__pycache__")
CONTAINERS = "containers"
VMS = "vms"
# How long a lab may take to recover after a test has mended it: busy emulated nodes are slow.
MENDED_S = "90"


def as_kind(kind: str) -> tuple[str, ...]:
    """Return the words of lab.up that give a lab nodes of that kind."""
    return () if kind == VMS else ("--as", CONTAINERS)


def count(lab: str, kind: str, layer: Layer | None = None) -> int:
    """Return how many checks a shipped lab's spec promises of nodes of that kind."""
    declared = spec.load(PROJECT / "labs" / f"{lab}.yaml")
    if kind == CONTAINERS:
        declared = declared.all_as(NodeKind.CONTAINER)
    return sum(layer in (None, check.kind.layer) for check in plan.expected(declared))


def all_passed(lab: str, kind: str, layer: Layer | None = None) -> str:
    """Return how a run says that all of a lab's checks, or all of a layer, have passed."""
    total = count(lab, kind, layer)
    return f"{total} of {total} {'checks ' if layer is None else ''}passed"


def container(lab: str, node: str) -> Container:
    """The container of a node, from the lab's record."""
    paths = HostPaths(HOME).lab(lab)
    record = registry.read(paths)
    assert record is not None
    recorded = record.node(node)
    assert recorded is not None
    return container_of(paths, recorded)


def cgroup(lab: str, node: str) -> Path:
    """The cgroup of a node that is a container."""
    mounted = cgroups.root()
    assert mounted is not None
    return cgroups.group_of(container(lab, node).machine, mounted)


def first_process(lab: str, node: str) -> int:
    """The number that this host has for a container's PID 1."""
    found = (cgroup(lab, node) / "run/payload/init.scope/cgroup.procs").read_text().split()
    return int(found[0])
