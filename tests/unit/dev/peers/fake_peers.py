"""A site on a fake host, and peers that make nothing but names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stacklab.dev.cycles import bench_log
from stacklab.dev.peers.peer import LIMIT_S, OtherProgram, Site
from stacklab.dev.peers.race import Finish, Start
from stacklab.process import Command
from stacklab.providers.foreign_things import Things, is_of, refuse_other_prefix
from tests.unit.checks.fake_lab import make_lab
from tests.unit.providers.libvirt.fake_libvirt import TCG
from tests.unit.workflow.fake_host import FakeHost


@dataclass
class FakeThings:
    """A provider's domains; with `fails`, none can be removed."""

    domains: list[str] = field(default_factory=list)
    fails: Exception | None = None
    pools: dict[str, list[str]] = field(default_factory=dict)  # the files in each when it was made

    def find(self, prefix: str) -> Things:
        refuse_other_prefix(prefix)
        return Things(domains=tuple(name for name in self.domains if is_of(prefix, name)))

    def remove(self, prefix: str) -> Things:
        things = self.find(prefix)
        if self.fails:
            raise self.fails
        self.domains = [name for name in self.domains if name not in things.domains]
        return things

    def make_pool(self, name: str, directory: Path) -> None:
        self.pools[name] = sorted(path.name for path in directory.iterdir())

    def remove_pool(self, name: str) -> None:
        del self.pools[name]


def make_site(host: FakeHost, things: FakeThings | None = None) -> Site:
    host.paths.root.mkdir(parents=True, exist_ok=True)
    image = host.paths.root / "image.qcow2"
    image.write_bytes(b"qcow2")
    host.paths.logs.mkdir(exist_ok=True)
    return Site(
        context=host.context,
        lab=make_lab(),
        runner=host.runner,
        things=things or FakeThings(),
        accelerator=TCG,
        work=host.paths.root / "bench-peers",
        log=bench_log(host.paths),
        image=lambda _name: image,
        lab_image="debian-12",
    )


class FakePeer(OtherProgram):
    """A peer that makes a domain a node; what it did is in `done`, `fails_at` is a word of it."""

    def __init__(
        self,
        site: Site,
        things: FakeThings,
        name: str,
        word: str,
        *,
        restores: bool = False,
        fails_at: str = "",
        error: BaseException | None = None,
    ) -> None:
        super().__init__(site)
        self.name = name
        self.word = word
        self.up_row = f"{name} up"
        self.restore_row = f"{name} restore" if restores else ""
        self._things = things
        self._fails_at = fails_at
        self._error = error
        self.done: list[str] = []

    @property
    def addresses(self) -> dict[str, str]:
        return {"controller": "10.0.0.1"}

    def _do(self, word: str) -> None:
        self.done.append(word)
        if word == self._fails_at and self._error:
            raise self._error

    def _start(self, word: str) -> Start:
        self._things.domains.append(f"{self.prefix}controller")
        self._do(word)
        return self.start(Command(argv=(self.name, word)), limit_s=LIMIT_S)

    def prepare(self) -> None:
        self.make_work()
        (self.work / "pool").mkdir()
        self._do("prepare")

    def up(self) -> Start:
        return self._start("up")

    def before_restore(self) -> None:
        self._do("keep")

    def restore(self) -> Start:
        return self._start("restore")

    def down(self) -> None:
        self._do("down")
        self._things.remove(self.prefix)

    def clean(self) -> str:
        self.done.append("clean")
        return super().clean()


def racing(
    order: list[str], fail: Callable[[Start], None] = lambda _start: None
) -> Callable[[Start], Finish]:
    """Return a race that any start wins after 10 s."""

    def race(start: Start) -> Finish:
        order.append(str(start.command))
        fail(start)
        return Finish(ready_s=10.0, command_s=5.0)

    return race
