"""Containers that write numbers, on a host that can be killed at any step."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import files
from stacklab.model.state import NodeState
from stacklab.process import Command, Result
from stacklab.providers.containers import layers
from stacklab.workflow.snapshots import store
from tests.unit.providers.containers.fake_machines import CONTAINERS, OK, Site
from tests.unit.workflow.snapshots.fake_guests import Killer, counted

NODES = [node.name for node in CONTAINERS.nodes]


class Writers:
    """What runs has a file of numbers, of which each layer has those that were written to it."""

    def __init__(self, site: Site, killer: Killer) -> None:
        self.site = site
        self.killer = killer

    def work(self, number: int) -> None:
        """Let each node that runs write a number."""
        for node, state in self.site.states.items():
            if state is NodeState.RUNNING:
                with (self.site.container(node).directory / "upper" / "numbers").open("a") as file:
                    file.write(f"{number} ")

    def _content(self, node: str) -> str:
        """What a node finds on its root: what is mounted, from the lowest layer to its own."""
        settings = self.site.machines.starts[node]
        frozen = Path(settings["FROZEN"])
        mounted = [frozen / name / "private" for name in settings["LAYERS"].split()]
        text = ""
        for place in (*reversed(mounted), Path(settings["DIR"])):
            file = place / "upper" / "numbers"
            text += file.read_text() if file.exists() else ""
        return text

    def numbers(self) -> tuple[str, ...]:
        """What every node has written, which is the same on all of them."""
        contents = {self._content(node) for node in NODES}
        assert len(contents) == 1, contents
        return tuple(contents.pop().split())

    def assert_whole(self) -> None:
        """Every node runs, on the layers that are on record."""
        for node in NODES:
            assert self.site.states[node] is NodeState.RUNNING, node
            recorded = layers.all_below(self.site.host.lab(), node)
            mounted = self.site.machines.starts[node]["LAYERS"]
            assert mounted.split() == [layer.name for layer in recorded], node


def du(command: Command) -> Result:
    """du: each layer takes a kilobyte."""
    lines = [f"1000 {word}\n" for word in command.argv if word.endswith(layers.SUFFIX)]
    return Result(exit_code=0, stdout="".join(lines))


def rm(command: Command) -> Result:
    """rm -rf, of layers alone."""
    for word in command.argv[command.argv.index("--") + 1 :]:
        assert word.endswith(layers.SUFFIX)
        _remove_tree(Path(word))
    return OK


def _remove_tree(path: Path) -> None:
    for inner in sorted(path.rglob("*"), reverse=True):
        inner.rmdir() if inner.is_dir() else inner.unlink()
    if path.exists():
        path.rmdir()


def install(site: Site, monkeypatch: pytest.MonkeyPatch) -> Writers:
    """Give the site these nodes, before its lab is brought up."""
    killer = Killer()
    runner = site.host.runner
    for prefix in ((), ("sudo", "-n")):
        runner.on(*prefix, "du", answer=du).on(*prefix, "rm", answer=rm)
    monkeypatch.setattr(site.machines, "step", killer.step)
    monkeypatch.setattr(runner, "run", counted(killer, runner.run))
    monkeypatch.setattr(files, "write", counted(killer, files.write))
    monkeypatch.setattr(store, "remove", counted(killer, store.remove))
    monkeypatch.setattr(layers, "lie_on", counted(killer, layers.lie_on))
    return Writers(site, killer)
