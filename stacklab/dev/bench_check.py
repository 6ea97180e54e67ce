"""`bench.check`: measure what a check costs the host, by the number of nodes. Fails no test.

The nodes are simulated (stacklab.dev.simulated.simulate): all that the host does is real, each
size in a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from stacklab.checks import plan
from stacklab.checks.asking.mesh import Mesh
from stacklab.dev.check_cost import NETWORKS, CheckCost
from stacklab.dev.simulated import outside as outside_simulated
from stacklab.dev.simulated.simulate import SimulatedNodes
from stacklab.errors import LabError
from stacklab.model.checks import CheckPolicy
from stacklab.model.lab import NIC, Lab, Network, NetworkMode, Node, Size
from stacklab.model.stack import NO_INSTALLER, Role, Stack
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths
from stacklab.paths.project import PROJECT

SIZES = (3, 10, 25, 50, 100, 200)


def measure(sizes: Sequence[int] = SIZES) -> Iterator[CheckCost]:
    """Yield each size's cost as it is known; raises LabError when a size's process fails."""
    for nodes in sizes:
        # A process each: the peak of memory is one figure for all that a process ever did.
        argv = (sys.executable, "-m", "stacklab.dev.bench_check", str(nodes))
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=PROJECT)
        if done.returncode != 0:
            raise LabError(
                f"{nodes} nodes: {done.stderr.strip()[-500:]}", hint=f"python -m {argv[2]} {nodes}"
            )
        yield CheckCost(**json.loads(done.stdout))


def lab_of(nodes: int, networks: int = NETWORKS) -> Lab:
    """Return a lab of so many nodes, each on all of so many networks."""
    lab_networks = tuple(_network(number) for number in range(networks))
    return Lab(
        name="bench",
        description="",
        source=Path("labs/bench.yaml"),
        images=("debian-12",),
        networks=lab_networks,
        nodes=tuple(_node(number, lab_networks) for number in range(nodes)),
        stack=Stack(installer=NO_INSTALLER, network="net0"),
        checks=CheckPolicy(retries=0, interval_s=0.0, boot_timeout_s=1.0),
    )


def _network(number: int) -> Network:
    return Network(
        name=f"net{number}",
        cidr=IPv4Network(f"10.{100 + number}.0.0/16"),
        mode=NetworkMode.NAT if number == 0 else NetworkMode.ISOLATED,
        mtu=1500,
        bridge=f"sl-bench{number}",
    )


def _node(number: int, networks: Sequence[Network]) -> Node:
    nics: list[NIC] = []
    for position, network in enumerate(networks):
        nic = NIC(
            network=network.name,
            device=f"eth{position}",
            address=IPv4Interface(f"{network.cidr[11 + number]}/16"),
            # Two bytes for the number: there are more nodes than one byte counts.
            mac=f"52:54:00:{position:02x}:{number // 256:02x}:{number % 256:02x}",
            mtu=1500,
        )
        nics.append(nic)
    return Node(
        name=f"n{number}",
        role=Role.NODE,
        cpus=1,
        memory=Size(512),
        disk=Size(49152),
        nics=tuple(nics),
    )


def cost(nodes: int) -> CheckCost:
    """Check a lab of so many simulated nodes in this very process."""
    lab = lab_of(nodes)
    simulated = SimulatedNodes(lab)
    facts = outside_simulated.facts(lab)
    mesh = Mesh(
        families=plan.FAMILIES,
        lab=lab,
        paths=HostPaths(Path("/nowhere")).lab(lab.name),
        runner=simulated,
        gather=lambda checks: facts,  # measured once: this host is not what is timed
        states=lambda: {node.name: NodeState.RUNNING for node in lab.nodes},
    )
    started, cpu_started = time.monotonic(), time.process_time()
    results = mesh.check()
    elapsed_s = time.monotonic() - started
    cpu_s = time.process_time() - cpu_started
    # What fails takes another way through the code: its cost would be another one.
    bad = [result for result in results if not result.is_passed]
    assert not bad, f"{len(bad)} checks of healthy nodes do not pass, {bad[0]} first"
    return CheckCost(
        nodes=nodes,
        checks=len(results),
        sessions=len(simulated.asked),
        elapsed_s=elapsed_s,
        cpu_s=cpu_s,
        peak_mib=peak_mib(),
    )


def peak_mib() -> float:
    """Return the peak of this process's memory, in MiB.

    From /proc (proc(5), VmHWM): getrusage's ru_maxrss begins with the peak of the process that
    started this one.
    """
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if not peak:
        raise LabError(
            "/proc/self/status tells no peak of memory (VmHWM)", hint="run this on Linux"
        )
    return int(peak[1]) / 1024


def _main() -> None:
    measured = cost(int(sys.argv[1]))
    print(json.dumps({name: getattr(measured, name) for name in CheckCost.__slots__}))
    sys.stdout.flush()
    os._exit(0)  # at once: taking a million objects apart is not part of it


if __name__ == "__main__":
    _main()
