"""How long nodes of each kind took on this host until they answered, at the last `lab.up`.

Only for the line that tells how much quicker containers are here: a file that is damaged, or
that can't be written, is as good as none.
"""

from __future__ import annotations

import contextlib
import json

from stacklab import files
from stacklab.model.lab import Lab, NodeKind
from stacklab.paths import HostPaths


def read(paths: HostPaths) -> dict[str, float]:
    """Return the seconds by the word of the kind; a kind that was never measured is missing."""
    try:
        seconds = json.loads(paths.boot_times.read_text())
        return {str(kind): float(value) for kind, value in seconds.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def keep(paths: HostPaths, lab: Lab, seconds: float) -> None:
    """Keep how long all nodes of a lab took; of a lab that mixes kinds it would tell nothing."""
    kinds = {node.kind for node in lab.nodes}
    if len(kinds) > 1:
        return
    known = read(paths) | {str(kind): round(seconds, 1) for kind in kinds}
    with contextlib.suppress(OSError):
        files.write(paths.boot_times, json.dumps(known) + "\n", mode=0o664)


def advice(paths: HostPaths, lab: Lab) -> str:
    """Return the line that tells of containers, for a lab of emulated VMs."""
    known = read(paths)
    faster = f"./invoke lab.up {lab.name} --as containers"
    if str(NodeKind.CONTAINER) not in known:
        return f"containers boot in seconds, also without KVM: {faster}"
    times = f"{known[NodeKind.CONTAINER]:.1f} s"
    if str(NodeKind.VM) in known:
        times += f", emulated VMs {known[NodeKind.VM]:.0f} s"
    return f"containers took {times} until they answered here: {faster}"
