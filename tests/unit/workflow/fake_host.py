"""A host for the workflows: real files, a real provider.

Libvirt, Vagrant and all programs are ours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stacklab.checks.family import Facts
from stacklab.doctor import Machine
from stacklab.errors import ProviderError
from stacklab.images import catalogue, store
from stacklab.images.store import StoredImage
from stacklab.model.lab import Lab
from stacklab.model.stack import NO_MIRRORS
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths, LabPaths
from stacklab.process import Command, Result
from stacklab.progress import Progress
from stacklab.providers.libvirt import provider as libvirt_provider
from stacklab.tools.host.accelerator import Accelerator
from stacklab.tools.network import knock
from stacklab.tools.network.knock import Door, Knock
from stacklab.workflow import placing
from stacklab.workflow.check import checking
from stacklab.workflow.context import Context
from stacklab.workflow.lab import host_guard
from stacklab.workflow.lab import up as bringing
from stacklab.workflow.lab.changes.refusing import NO_CONSENT, Consent
from stacklab.workflow.lab.lab_up import LabUp
from stacklab.workflow.nodes import clocks, leases, wait
from stacklab.workflow.snapshots import recovery
from tests.conftest import FakeRunner
from tests.unit.checks.fake_lab import make_lab
from tests.unit.doctor.fake_machine import make_machine
from tests.unit.nodes import fake_session
from tests.unit.providers.libvirt.fake_libvirt import TCG, FakeLibvirt, FakeListener, make_provider

OK = Result(exit_code=0)


def fake_keygen(command: Command) -> Result:
    """ssh-keygen, as far as it matters: it never overwrites."""
    path = Path(command.argv[-1])
    public = path.with_name(path.name + ".pub")
    assert not path.exists()
    assert not public.exists()
    path.write_text(f"PRIVATE {path.name}\n")
    path.chmod(0o600)
    comment = command.argv[command.argv.index("-C") + 1]
    public.write_text(f"ssh-ed25519 AAAA{path.name} {comment}\n")
    return OK


def fake_overlay(command: Command) -> Result:
    """qemu-img create: the overlay says what it lies on; a further disk lies on nothing."""
    if "-b" not in command.argv:
        Path(command.argv[-2]).write_text("empty")
        return OK
    base = command.argv[command.argv.index("-b") + 1]
    # Its path stands behind the base; then comes a size, if it is to have one of its own.
    Path(command.argv[command.argv.index("-b") + 2]).write_text(f"on {base}")
    return OK


def append(command: Command) -> Result:
    """`cat >> FILE`, by a shell: what a console log had before is brought back."""
    assert 'cat >> "$1"' in command.argv
    with Path(command.argv[-1]).open("ab") as stream:
        stream.write(command.stdin or b"")
    return OK


class FakeContext(Context):
    """This host, healthy unless `fake_machine` is another, without KVM."""

    fake_machine: Machine

    @property
    def machine(self) -> Machine:
        return self.fake_machine

    def accelerator(self) -> Accelerator:
        return TCG


@dataclass
class FakeHost:
    """`ups` is what Vagrant was asked to start; `fails_at` is a node at which it gives up."""

    root: Path
    runner: FakeRunner = field(default_factory=FakeRunner)
    libvirt: FakeLibvirt = field(default_factory=FakeLibvirt)
    listener: FakeListener = field(default_factory=FakeListener)
    ups: list[tuple[str, ...]] = field(default_factory=list)
    fails_at: str | None = None
    # The nodes' domains as they were defined, as in lab.json; one that exists stays as it is.
    defined: dict[str, dict[str, Any]] = field(default_factory=dict)
    clocks_set: list[tuple[str, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.paths = HostPaths(self.root)
        self.runner.on("ssh-keygen", answer=fake_keygen).on(
            "qemu-img", "create", answer=fake_overlay
        ).on("ssh", answer=fake_session.healthy)
        self.runner.on("git", "config").on("fping").on("ip", stdout="[]")
        self.runner.on("iptables-save").on("sudo", "-n", "iptables-save")
        self.runner.on("iptables-restore").on("iptables")
        self.runner.on("sh", "-c", answer=append).on("sudo", "-n", "sh", "-c", answer=append)
        self.context = FakeContext(
            host=self.paths,
            runner=self.runner,
            progress=Progress(self.listener),
            finish_snapshot=recovery.finish,
        )
        self.connect(self.libvirt)
        self.context.fake_machine = make_machine()

    def connect(self, libvirt: FakeLibvirt | None) -> None:
        """Have libvirtd be this one; None: it does not answer."""
        if libvirt is not None:
            self.libvirt = libvirt
        self.context.providers["libvirt"] = make_provider(
            self.paths, libvirt, self.context.progress, runner=self.runner
        )

    def lab(self, name: str = "trio") -> LabPaths:
        return self.paths.lab(name)

    def stock(self, name: str = "debian-12", content: bytes = b"qcow2") -> StoredImage:
        """Have that image of the catalogue built."""
        self.paths.images.mkdir(parents=True, exist_ok=True)
        built = self.root / "built.qcow2"
        built.write_bytes(content)
        image = catalogue.get(catalogue.load(), name)
        return store.add(
            self.paths, image, built, now=float(len(list(self.paths.images.iterdir()))), took_s=1
        )

    def up(
        self, lab: Lab | None = None, *, with_stack: bool = True, consent: Consent = NO_CONSENT
    ) -> LabUp:
        return bringing.up(
            self.context, lab or make_lab(), checks=False, with_stack=with_stack, consent=consent
        )

    def vagrant_up(self, directory: Path, nodes: Sequence[str], *, log: Path) -> None:
        """Make the domains that lab.json asks for; leaves those made so far when it fails."""
        self.ups.append(tuple(nodes))
        for node in json.loads((directory / "lab.json").read_text())["nodes"]:
            if node["name"] in nodes:
                if node["uuid"] not in self.libvirt.states:
                    self.defined[node["name"]] = node
                self.libvirt.add(
                    node["uuid"], f"{directory.name}_{node['name']}", NodeState.RUNNING
                )
            if node["name"] == self.fails_at:
                raise ProviderError("vagrant up ended with 1")

    def ran(self, program: str) -> list[Command]:
        return [command for command in self.runner.commands if command.argv[0] == program]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """A host with the image built, whose nodes answer at once."""
    return make_host(tmp_path, monkeypatch)


def make_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """Make such a host; what its nodes are asked by is replaced for as long as the patches are."""
    made = FakeHost(tmp_path / "h")
    made.root.mkdir()
    made.stock()
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant.d"))
    monkeypatch.setattr(libvirt_provider.vagrant, "up", made.vagrant_up)
    monkeypatch.setattr(libvirt_provider, "_POLL_S", 0.001)
    monkeypatch.setattr(placing, "host_mirrors", lambda _runner: NO_MIRRORS)
    monkeypatch.setattr(host_guard, "host_mirrors", lambda _runner: NO_MIRRORS)
    monkeypatch.setattr(host_guard, "package_mirrors", tuple)
    monkeypatch.setattr(
        clocks,
        "set_clocks",
        lambda _r, _p, nodes, behind_s=0.0: made.clocks_set.append(tuple(n.name for n in nodes)),
    )
    monkeypatch.setattr(leases, "renew", lambda *_args: None)
    monkeypatch.setattr(checking.host, "gather", lambda *_args, **_options: Facts())
    monkeypatch.setattr(wait, "banner", lambda _address, _port=22: (True, ""))
    monkeypatch.setattr(
        knock, "knock", lambda _address: Knock(door=Door.REFUSED, said="Connection refused")
    )
    return made
