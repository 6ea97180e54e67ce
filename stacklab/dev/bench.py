"""`bench.up`: lab.up against bare QEMU and plain `vagrant up`, in one run. Never fails a test.

All three boot the same image with the same memory, processors and seeds. Ready is
when every node's sshd says its name.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stacklab.dev.cycles import bench_log, refuse_if_up
from stacklab.dev.plain_vagrant import PlainVagrant
from stacklab.errors import LabError
from stacklab.model.lab import Lab
from stacklab.providers.foreign_things import HasForeignThings
from stacklab.tools import qemu_img
from stacklab.tools.host.accelerator import Accelerator
from stacklab.workflow import base_image as base
from stacklab.workflow.context import Context
from stacklab.workflow.nodes.wait import banner

Row = tuple[str, str, str, str]

_LIMIT_S = 900.0
_BOX = "stacklab-bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """What a user does with the lab, as functions: the bench knows no workflow itself."""

    bring_up: Callable[[], object]  # without checks
    check: Callable[[], object]
    destroy: Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """What the three have in common."""

    cycle: Cycle

    context: Context
    lab: Lab
    image: Path
    accelerator: Accelerator
    work: Path

    def seed(self, node: str) -> Path:
        """Return where the copy of a node's seed is."""
        return self.work / f"{node}.seed.img"


def measure(context: Context, lab: Lab, cycle: Cycle) -> tuple[Row, ...]:
    """Return rows of (what, seconds, times bare QEMU, what is wanted); leaves nothing behind."""
    refuse_if_up(context, lab)
    context.prepare_root()
    choice = base.choose(context, lab)
    work = context.host.root / "bench"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o711)
    bench = _Bench(
        cycle=cycle,
        context=context,
        lab=lab,
        image=choice.stored.path,
        accelerator=context.accelerator(),
        work=work,
    )
    try:
        ready, whole = _ours(bench)
        with context.progress.stage("host", "bare QEMU"):
            bare = _bare(bench)
        with context.progress.stage("host", "plain vagrant up"):
            plain = _plain(bench)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    nodes = len(lab.nodes)
    return (
        (f"{nodes} bare QEMU processes, until sshd answers", f"{bare:.1f}", "1.00", ""),
        ("lab.up, until sshd answers", f"{ready:.1f}", f"{ready / bare:.2f}", "at most 1.3"),
        ("lab.up, all checks passed", f"{whole:.1f}", f"{whole / bare:.2f}", ""),
        (f"plain vagrant up of {nodes}", f"{plain:.1f}", f"{plain / bare:.2f}", ""),
        ("lab.up / plain vagrant up", "", f"{ready / plain:.2f}", "under 0.5"),
    )


def _ours(bench: _Bench) -> tuple[float, float]:
    """Return the seconds until all nodes answer, and until all checks passed; from cold.

    The seeds and the key are copied for the other two.
    """
    context, lab = bench.context, bench.lab
    paths = context.host.lab(lab.name)
    try:
        started = time.monotonic()
        bench.cycle.bring_up()
        ready = time.monotonic() - started
        bench.cycle.check()
        whole = time.monotonic() - started
        for node in lab.nodes:
            shutil.copyfile(paths.seed(node.name), bench.seed(node.name))
        shutil.copyfile(paths.private_key, bench.work / "key")
        (bench.work / "key").chmod(0o600)
    finally:
        bench.cycle.destroy()
    return ready, whole


def _bare(bench: _Bench) -> float:
    processes: list[subprocess.Popen[bytes]] = []
    ports = _free_ports(len(bench.lab.nodes))
    started = time.monotonic()
    try:
        for node, port in zip(bench.lab.nodes, ports, strict=True):
            overlay = bench.work / f"{node.name}.qcow2"
            bench.context.runner.run(qemu_img.overlay(overlay, bench.image, node.disk))
            features = "".join(f",+{name}" for name in bench.accelerator.cpu_features)
            argv = (
                "qemu-system-x86_64",
                "-machine",
                f"pc,accel={bench.accelerator.qemu_name}",
                "-cpu",
                f"{bench.accelerator.cpu_model}{features}",
                "-smp",
                str(node.cpus),
                "-m",
                str(node.memory.mib),
                # The same few devices as a node of ours has, so that none boots slower by more.
                "-nodefaults",
                "-display",
                "none",
                "-serial",
                f"file:{bench.work}/{node.name}.log",
                "-drive",
                f"file={overlay},if=virtio,format=qcow2,cache=unsafe,discard=unmap",
                "-drive",
                # snapshot=on: all three read this seed, and none may change it.
                f"file={bench.seed(node.name)},if=virtio,format=raw,snapshot=on",
                "-netdev",
                f"user,id=n,hostfwd=tcp:127.0.0.1:{port}-:22",
                "-device",
                "virtio-net-pci,netdev=n",
                "-device",
                "virtio-rng-pci",
            )
            processes.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL))
        for port in ports:
            _wait_for(port, started)
        return time.monotonic() - started
    finally:
        # Killed, not shut down: nobody wants their disks any more.
        for process in processes:
            process.kill()
            process.wait()


def _wait_for(port: int, started: float) -> None:
    while not banner("127.0.0.1", port)[0]:
        if time.monotonic() - started > _LIMIT_S:
            raise LabError(f"bare QEMU did not answer within {_LIMIT_S:.0f} s")
        time.sleep(0.1)


def _free_ports(count: int) -> Sequence[int]:
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        # All are open at the same time, so that no port comes twice.
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in sockets]


def _plain(bench: _Bench) -> float:
    vagrant = PlainVagrant(
        runner=bench.context.runner,
        work=bench.work,
        log=bench_log(bench.context.host),
        limit_s=_LIMIT_S,
    )
    with _pool(bench) as pool:
        vagrant.write(_plain_json(bench, pool))
        vagrant.add_box(_BOX, bench.image)
        try:
            return bench.context.runner.run(vagrant.command("up", "--provider=libvirt")).elapsed_s
        finally:
            bench.context.runner.run(vagrant.command("destroy", "--force"))


@contextmanager
def _pool(bench: _Bench) -> Iterator[str]:
    """Make a pool for the bench, with the seeds in it; the box's volume goes with its directory."""
    name, directory = _BOX, bench.work / "pool"
    directory.mkdir()
    for node in bench.lab.nodes:
        shutil.copyfile(bench.seed(node.name), directory / f"{node.name}.seed.img")
    provider = bench.context.provider()
    if not isinstance(provider, HasForeignThings):
        raise LabError("plain vagrant is compared with libvirt's nodes alone")
    things = provider.foreign_things()
    things.make_pool(name, directory)
    try:
        yield name
    finally:
        things.remove_pool(name)


def _plain_json(bench: _Bench, pool: str) -> dict[str, object]:
    return {
        "box": _BOX,
        "private_key": str(bench.work / "key"),
        "driver": bench.accelerator.libvirt_driver,
        "cpu_model": "" if bench.accelerator.is_kvm else bench.accelerator.cpu_model,
        "pool": pool,
        "nodes": [
            {
                "name": node.name,
                "address": f"172.31.250.{10 + position}",
                "cpus": node.cpus,
                "memory_mib": node.memory.mib,
                "seed": f"{node.name}.seed.img",
            }
            for position, node in enumerate(bench.lab.nodes)
        ],
    }
