"""machine.sh without containers: what the host would see of them is in files of ours."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stacklab.model.lab import Lab, NodeKind
from stacklab.model.state import NodeState
from stacklab.process import Command, Result
from stacklab.providers import registry
from stacklab.providers.containers import links, provider
from stacklab.providers.containers.handles import Container, container_of
from stacklab.providers.containers.provider import ContainersProvider
from stacklab.providers.contract import HostServices
from stacklab.record import LabRecord
from stacklab.tools.host import cgroups
from stacklab.workflow.lab import up as bringing
from stacklab.workflow.lab.lab_up import LabUp
from tests.unit.checks.fake_lab import make_lab
from tests.unit.providers.libvirt.fake_libvirt import make_provider
from tests.unit.workflow.fake_host import FakeHost

OK = Result(exit_code=0)
UP, DOWN = "0x1003\n", "0x1002\n"


def with_containers(*names: str, lab: Lab | None = None) -> Lab:
    """The lab with these nodes as containers, the others as VMs."""
    lab = lab or make_lab()
    nodes = [
        dataclasses.replace(node, kind=NodeKind.CONTAINER) if node.name in names else node
        for node in lab.nodes
    ]
    return dataclasses.replace(lab, nodes=tuple(nodes))


MIXED = with_containers("controller")
CONTAINERS = make_lab().all_as(NodeKind.CONTAINER)


@dataclass
class FakeMachines:
    """machine.sh, as far as this host can tell: `calls` are (node, action, words...).

    `stubborn` nodes do not hear that they are to shut down; `settings` are those of the last call,
    `starts` those of the last start. `step` is called between what is done.
    """

    root: Path
    calls: list[tuple[str, ...]] = field(default_factory=list)
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    starts: dict[str, dict[str, str]] = field(default_factory=dict)
    stubborn: set[str] = field(default_factory=set)
    step: Callable[[], None] = lambda: None

    @property
    def cgroups(self) -> Path:
        return self.root / "cgroup"

    @property
    def links(self) -> Path:
        return self.root / "net"

    def run(self, command: Command) -> Result:
        words = command.argv[command.argv.index("env") + 1 :]
        shell = words.index("sh")
        known = dict(word.split("=", 1) for word in words[:shell])
        action, *rest = words[shell + 2 :]
        directory = Path(known["DIR"])
        node = directory.name.removesuffix(".container").partition("_")[2]
        assert Path(known["CGROUP"]) == self.cgroups / "stacklab" / known["MACHINE"]
        self.calls.append((node, action, *rest))
        self.settings[node] = known
        self._act(node, action, rest, known["MACHINE"], directory)
        self.step()
        return OK

    def _act(
        self, node: str, action: str, words: Sequence[str], machine: str, directory: Path
    ) -> None:
        group = self.cgroups / "stacklab" / machine
        match action:
            case "start":
                assert directory.parent.is_dir()
                self._mount(node, directory)
                self._remove_links(machine)
                self.write_group(group, keeper=True, run=True, net=True)
                for nic in words:
                    self._add(nic)
            case "stop" if node not in self.stubborn:
                self.write_group(group)
                self._remove_links(machine)
            case "kill" | "remove":
                self._end(group, machine)
                if action == "remove":
                    shutil.rmtree(directory, ignore_errors=True)
                    _below(directory).unlink(missing_ok=True)
            case "set-aside":
                self._end(group, machine)
                self._set_aside(directory, Path(words[0]))
            case "take-back":
                self._end(group, machine)
                self._take_back(directory, Path(words[0]))
            case "freeze" | "thaw" if group.exists():
                self.write_group(group, keeper=True, run=True, net=True, frozen=action == "freeze")
            case "link-down" | "link-up":
                (self.links / words[0] / "flags").write_text(UP if action == "link-up" else DOWN)
            case "unplug":
                shutil.rmtree(self.links / words[0])
            case "plug":
                self._add(words[0])

    def _mount(self, node: str, directory: Path) -> None:
        """Mount a node's root, if its layers are there, and are those that it lies on."""
        settings = self.settings[node]
        names = settings["LAYERS"].split()
        for name in names:
            assert (Path(settings["FROZEN"]) / name / "private" / "upper").is_dir(), name
        below = _below(directory)
        assert names[:1] == (below.read_text().split() if below.exists() else []), node
        (directory / "upper").mkdir(parents=True, exist_ok=True)
        self.starts[node] = settings

    def _set_aside(self, directory: Path, layer: Path) -> None:
        if (directory / "upper").is_dir():
            (layer / "private").mkdir(exist_ok=True)
            self.step()
            (directory / "upper").rename(layer / "private" / "upper")

    def _take_back(self, directory: Path, layer: Path) -> None:
        if (layer / "private" / "upper").is_dir():
            shutil.rmtree(directory / "upper", ignore_errors=True)
            self.step()
            (layer / "private" / "upper").rename(directory / "upper")

    def _end(self, group: Path, machine: str) -> None:
        shutil.rmtree(group, ignore_errors=True)
        self._remove_links(machine)

    @staticmethod
    def write_group(group: Path, *, frozen: bool = False, **populated: bool) -> None:
        """Have these cgroups of a node, each with processes or without."""
        for name in ("keeper", "net", "run"):
            (group / name).mkdir(parents=True, exist_ok=True)
            is_populated = int(populated.get(name, False))
            (group / name / "cgroup.events").write_text(f"populated {is_populated}\nfrozen 0\n")
        text = f"populated {int(any(populated.values()))}\nfrozen {int(frozen)}\n"
        (group / "cgroup.events").write_text(text)

    def _add(self, nic: str) -> None:
        end = self.links / nic.partition(",")[0]
        end.mkdir(parents=True)
        (end / "flags").write_text(UP)

    def _remove_links(self, machine: str) -> None:
        for end in self.links.glob(f"{machine}-*"):
            shutil.rmtree(end)

    @property
    def ends(self) -> list[str]:
        """The host's ends of NICs, sorted."""
        return sorted(end.name for end in self.links.glob("*"))

    def actions(self, node: str) -> list[str]:
        """What was done to a node, in order."""
        return [action for name, action, *_ in self.calls if name == node]


def _below(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.below")


@dataclass
class Site:
    """A host on which labs may have containers."""

    host: FakeHost
    machines: FakeMachines

    def up(self, lab: Lab = MIXED, all_as: NodeKind | None = None) -> LabUp:
        return bringing.up(self.host.context, lab, checks=False, all_as=all_as)

    @property
    def record(self) -> LabRecord:
        lab_record = registry.read(self.host.lab())
        assert lab_record is not None
        return lab_record

    @property
    def provider(self) -> ContainersProvider:
        found = self.host.context.providers["containers"]
        assert isinstance(found, ContainersProvider)
        return found

    @property
    def states(self) -> dict[str, NodeState]:
        return dict(self.provider.status(self.record))

    def container(self, node: str = "controller") -> Container:
        recorded = self.record.node(node)
        assert recorded is not None
        return container_of(self.host.lab(), recorded)

    def uuid(self, node: str) -> str:
        recorded = self.record.node(node)
        assert recorded is not None
        return recorded.handle["uuid"]

    def connect(self, *, is_cut: bool = False) -> None:
        """Have the containers provider be one whose VMs are this host's libvirt's.

        With `is_cut`, libvirtd does not answer.
        """
        host = self.host
        libvirt = None if is_cut else host.libvirt
        services = HostServices(
            host=host.paths,
            runner=host.runner,
            progress=host.context.progress,
            accelerator=host.context.accelerator,
        )
        host.context.providers["containers"] = ContainersProvider(
            services,
            vms=make_provider(host.paths, libvirt, host.context.progress, runner=host.runner),
        )


def write_raw(command: Command) -> Result:
    """qemu-img convert: the raw disk of an image."""
    Path(command.argv[-1]).write_bytes(b"raw " + Path(command.argv[-2]).read_bytes())
    return OK


@pytest.fixture
def site(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    machines = FakeMachines(tmp_path / "kernel")
    monkeypatch.setattr(cgroups, "root", lambda: machines.cgroups)
    monkeypatch.setattr(links, "_LINKS", machines.links)
    monkeypatch.setattr(provider, "_POLL_S", 0.001)
    monkeypatch.setattr(provider, "_NSPAWN", "sh")  # a program that every host has
    host.runner.on("qemu-img", "convert", answer=write_raw)
    host.runner.on("sfdisk", answer=Result(exit_code=1)).on("blkid", stdout="ext4\n")
    for prefix in (("env",), ("sudo", "-n", "env")):
        host.runner.on(*prefix, answer=machines.run)
    made = Site(host, machines)
    made.connect()
    return made


@pytest.fixture
def up(site: Site) -> Site:
    """The mixed lab is up."""
    site.up()
    site.host.listener.heard.clear()
    return site
