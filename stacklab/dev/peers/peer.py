"""What a peer is: a program that brings up the same nodes as a lab."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Protocol

from stacklab.dev.peers.race import Start
from stacklab.errors import LabError
from stacklab.model.lab import Lab
from stacklab.paths.project import PROJECT
from stacklab.process.command import Command, Runner
from stacklab.providers.foreign_things import ForeignThings
from stacklab.tools.host.accelerator import Accelerator
from stacklab.tools.venvs import Venv
from stacklab.workflow.context import Context

# For each command, and for ssh to answer: emulated nodes took 90 s. A restore boots nothing.
LIMIT_S = 600.0
RESTORE_LIMIT_S = 240.0
CLOUD_INIT_IMAGE = "debian-12-cloud-init"

_FIRST_HOST = 10  # of a node's address on its network


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What all peers are given."""

    context: Context
    lab: Lab
    runner: Runner
    things: ForeignThings  # of the provider that all peers use
    accelerator: Accelerator
    work: Path  # each peer has a directory of its own in it
    log: Path  # of what all programs write
    image: Callable[[str], Path]  # the file of a catalogue's image, which is built if need be
    lab_image: str  # the name of the image under the lab's nodes

    def run(self, *argv: str, what: str, limit_s: float = LIMIT_S) -> None:
        """Run a command that nobody times; raises ToolError."""
        command = Command(argv=argv, what=what, log=self.log, timeout_s=limit_s)
        self.runner.run(command)

    def say(self, text: str) -> None:
        """Tell what is being waited for."""
        self.context.progress.say("host", text)


class Peer(Protocol):
    """One program. Each method raises LabError; what is made is removed by `clean` alone.

    A peer is prepared once. In each round come `up`, then `before_restore` and `restore` if it has
    a name for that row, then `down`.
    """

    @property
    def name(self) -> str:
        """Return its name for --only."""
        ...

    @property
    def up_row(self) -> str:
        """Return what its users type to bring nodes up, in short: for a table."""
        ...

    @property
    def restore_row(self) -> str:
        """Return what its users type to bring nodes back; "" if it has no such thing."""
        ...

    def prepare(self) -> None:
        """Install and write all that is needed before nodes can be brought up."""
        ...

    def up(self) -> Start:
        """Return how nodes are brought up from nothing but an image."""
        ...

    def before_restore(self) -> None:
        """Keep the nodes, which run, and power them off."""
        ...

    def restore(self) -> Start:
        """Return how the nodes that were kept are brought back."""
        ...

    def down(self) -> None:
        """Remove the nodes, so that `up` can follow."""
        ...

    def clean(self) -> str:
        """Remove all that it has made, also if it was cut short; return what that was, in words.

        It may be called at any time, and again.
        """
        ...


class OtherProgram:
    """Ground of the peers that are not stacklab: names, addresses, a directory, and removal."""

    name: str
    word: str  # in the names of all that it makes
    network: IPv4Network
    restore_row = ""

    def __init__(self, site: Site) -> None:
        self.site = site

    @property
    def prefix(self) -> str:
        """Return what the names of all that it makes begin with."""
        return f"slpeer-{self.word}-"

    @property
    def work(self) -> Path:
        """Return its directory, which is removed at the end."""
        return self.site.work / self.name

    @property
    def addresses(self) -> Mapping[str, str]:
        """Return each node's address."""
        return {
            node.name: str(self.network[_FIRST_HOST + position])
            for position, node in enumerate(self.site.lab.nodes)
        }

    def make_work(self) -> None:
        """Make its directory; QEMU's user has to get through to the disks in it."""
        self.work.mkdir(mode=0o711)

    def start(self, command: Command, *, limit_s: float = LIMIT_S) -> Start:
        """Return the start of nodes at all addresses."""
        addresses = tuple(self.addresses.values())
        return Start(command=command, addresses=addresses, limit_s=limit_s)

    def clean(self) -> str:
        """See Peer.clean."""
        things = self.site.things.remove(self.prefix)
        # Last: the disks are open until the domains are gone.
        shutil.rmtree(self.work, ignore_errors=True)
        if self.work.exists():
            raise LabError(f"{self.work} can't be removed whole", hint=f"sudo rm -rf {self.work}")
        return str(things)

    def before_restore(self) -> None:
        """See Peer.before_restore; never called without a restore_row."""
        raise self._without_snapshots()

    def restore(self) -> Start:
        """See Peer.restore; never called without a restore_row."""
        raise self._without_snapshots()

    def _without_snapshots(self) -> LabError:
        return LabError(f"{self.name} has no snapshots of all nodes")


def prepare_venv(name: str, site: Site, *, project: Path = PROJECT) -> Venv:
    """Return the venv of a peer that is on PyPI, made if need be; raises ToolError if pip fails."""
    venv = Venv(
        name=f".peers/{name}",
        directory=project / ".peers" / name,
        requirements=project / "requirements" / f"peers-{name}.txt",
    )
    venv.prepare(site.runner, tell=site.say)
    return venv


def make_key(site: Site, path: Path) -> None:
    """Make a pair of ssh keys of a few minutes' life."""
    site.run(
        "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", str(path),
        what="making the bench's key", limit_s=60,
    )  # fmt: skip


def make_password() -> str:
    """Return a password that nobody needs to know, for a program that sets one."""
    return secrets.token_hex(16)
