"""Large labs, simulated.

A process of its own checks one, and says what time and memory that took.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CHECKED = """\
import json, time
from pathlib import Path
from stacklab.checks import plan
from stacklab.checks.mesh import Mesh
from stacklab.checks.result import Layer, Selection
from stacklab.dev.simulated.simulate import SimulatedNodes
from stacklab.paths import HostPaths
from stacklab.dev.bench_check import peak_mib
from tests.unit.checks.fake_lab import make_lab

lab = make_lab(nodes=tuple(f"n{number}" for number in range(NODES)), \
cidrs=("10.10.0.0/22", "10.20.0.0/22"))
mesh = Mesh(
    families=plan.FAMILIES,
    lab=lab,
    paths=HostPaths(Path("/nowhere")).lab("trio"),
    runner=SimulatedNodes(lab),
)
began = time.process_time()
results = mesh.check(plan.expected(lab, Selection(layers=frozenset({Layer.PAIRS}))))
used = time.process_time() - began
passed = sum(result.is_passed for result in results)
print(json.dumps({"results": len(results), "passed": passed, \
"used_s": used, "peak_mib": peak_mib()}))
"""


def checked(nodes: int) -> dict[str, float]:
    argv = [sys.executable, "-c", CHECKED.replace("NODES", str(nodes))]
    done = subprocess.run(
        argv, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    return found


def test_200_nodes_on_two_networks_stay_within_time_and_memory() -> None:
    few, many = checked(50), checked(200)
    for _ in range(2):  # what a busy machine does once proves nothing
        if many["used_s"] < 60 and many["peak_mib"] < 300:
            break
        many = checked(200)
    assert many["results"] == many["passed"] == 200 * (1 + 199 * (2 * 4 + 2))
    assert many["used_s"] < 60
    assert many["peak_mib"] < 300
    # as much per result as with a quarter of the nodes, which has a sixteenth of the pairs
    assert many["used_s"] / many["results"] < 3 * few["used_s"] / few["results"]


def test_a_process_is_not_measured_by_the_one_that_started_it() -> None:
    measured = "from stacklab.dev.bench_check import peak_mib; print(peak_mib())"
    starts = (
        "import subprocess, sys; held = b'x' * (400 << 20);"
        f" subprocess.run([sys.executable, '-c', {measured!r}])"
    )
    argv = [sys.executable, "-c", starts]
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True)
    assert 5 < float(done.stdout) < 200
