"""`bench.up --as containers`: lab.up against systemd-nspawn by hand and against VMs, in one run.

Ready is when every node's sshd says its name. Never fails a test.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stacklab.dev.cycles import refuse_if_up, seconds
from stacklab.errors import LabError
from stacklab.images import root
from stacklab.model.lab import Lab
from stacklab.process.command import as_root
from stacklab.tools.network import knock
from stacklab.workflow import base_image as base
from stacklab.workflow.context import Context
from stacklab.workflow.nodes.wait import banner

Row = tuple[str, str, str, str]

_BY_HAND = Path(__file__).with_name("nspawn_by_hand.sh")
_BRIDGE = "slbench"
_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerCycle:
    """What a user does with the lab, as functions; `bring_up` makes it anew, without checks."""

    bring_up: Callable[[], object]
    check: Callable[[], object]
    destroy: Callable[[], object]
    bring_up_vms: Callable[[], object]


def measure(context: Context, lab: Lab, cycle: ContainerCycle) -> tuple[Row, ...]:
    """Return rows of (what, seconds, times by hand, what is wanted); leaves nothing behind."""
    refuse_if_up(context, lab)
    context.prepare_root()
    image = base.choose(context, lab).stored
    disk = root.ensure(context.host, image.key, context.runner)
    work = context.host.root / "bench"
    _remove(work)
    work.mkdir(mode=0o700)
    try:
        up_s = seconds(cycle.bring_up)
        cold_s = seconds(cycle.check)
        warm_s = seconds(cycle.check)
        seeds = []
        for node in lab.nodes:
            seeds.append(work / f"{node.name}.seed.img")
            shutil.copyfile(context.host.lab(lab.name).seed(node.name), seeds[-1])
        down_s = seconds(cycle.destroy)
        with context.progress.stage("host", "by hand"):
            hand_s = _by_hand(work, disk, seeds)
        vms_s = seconds(cycle.bring_up_vms)
    finally:
        cycle.destroy()
        _remove(work)
    nodes = len(lab.nodes)
    return (
        _row(f"{nodes} containers by hand, until sshd answers", hand_s, hand_s, ""),
        _row("lab.up --as containers, until sshd answers", up_s, hand_s, "at most 1.3, 6 s"),
        _row("the first lab.check", cold_s, hand_s, ""),
        _row("the next lab.check", warm_s, hand_s, "at most 4 s"),
        _row("lab.destroy", down_s, hand_s, "at most 2 s"),
        _row("lab.up with VMs, until sshd answers", vms_s, hand_s, ""),
    )


def _row(what: str, took_s: float, by_hand_s: float, wanted: str) -> Row:
    return (what, f"{took_s:.1f}", f"{took_s / by_hand_s:.2f}", wanted)


def _by_hand(work: Path, disk: root.RootDisk, seeds: Sequence[Path]) -> float:
    addresses = [f"172.31.251.{10 + number}" for number in range(len(seeds))]
    pairs = [f"{address}={seed}" for address, seed in zip(addresses, seeds, strict=True)]
    argv = as_root(
        (
            "unshare",
            "--mount",
            "sh",
            str(_BY_HAND),
            str(work),
            str(disk.path),
            str(disk.offset),
            disk.filesystem,
            _BRIDGE,
            *pairs,
        )
    )
    started = time.monotonic()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        for address in addresses:
            while not banner(address, knock.PORT)[0]:
                if time.monotonic() - started > _LIMIT_S or process.poll() is not None:
                    raise LabError(f"{address} did not answer: see {work}/slbench*/log")
                time.sleep(0.05)
        return time.monotonic() - started
    finally:
        process.terminate()
        process.wait()


def _remove(work: Path) -> None:
    """Remove what containers have written, which is root's."""
    subprocess.run(as_root(("rm", "-rf", "--one-file-system", str(work))), check=True)
