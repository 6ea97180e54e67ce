"""The contract of providers of nodes: duties of all of them, and capabilities of some.

A provider is one folder here and one line in `registry`. It implements ProviderKind and
Provider; each of the other Protocols is a capability, which callers test by isinstance.
A task that needs a missing capability raises `lacking` before it changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from stacklab.errors import ProviderError
from stacklab.model.host_network import Snapshot
from stacklab.model.lab import NIC, Lab, Node
from stacklab.model.state import NodeState
from stacklab.nodes.archive import Entry
from stacklab.paths import HostPaths, LabPaths
from stacklab.process.command import Conversing
from stacklab.progress import Progress
from stacklab.providers.node_view import NodeEvidence, View
from stacklab.providers.snapshot_maker import SnapshotMaker
from stacklab.record import Handles, LabRecord
from stacklab.tools.host.accelerator import Accelerator


@dataclass(frozen=True, slots=True, kw_only=True)
class HostServices:
    """What a provider needs of this host; `accelerator` is called when a node is made."""

    host: HostPaths
    runner: Conversing
    progress: Progress
    accelerator: Callable[[], Accelerator]  # the first call may boot a kernel, which takes seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """A provider that can't be asked: its service's own words, and what to type next."""

    service: str  # libvirtd
    why: str
    hint: str  # a command

    def __str__(self) -> str:
        return f"{self.service} does not answer: {self.why}"

    def error(self) -> ProviderError:
        """Return the error for a task that can't do without it."""
        return ProviderError(str(self), hint=self.hint)


class ProviderKind(Protocol):
    """A provider as the registry knows it, before anything is asked of the host.

    Cheap to import: `lab.exec` and others read records without starting or asking anything.
    """

    @property
    def look(self) -> str:
        """Return the command that shows what is left of labs: the hint for a damaged record."""
        ...

    def new_handles(self, lab: Lab, paths: LabPaths) -> Handles:
        """Make up the handles of a lab of which nothing exists."""
        ...

    def refuse_damaged(self, paths: LabPaths, record: LabRecord) -> None:
        """Raise ValueError where a handle names what can't be this lab's.

        `lab.destroy`, often run by root, removes whatever the record names.
        """
        ...

    def open(self, site: HostServices) -> Provider:
        """Return the provider; asks nothing of the host yet."""
        ...


class Provider(Protocol):
    """Makes, starts, stops and removes a lab's nodes and networks.

    All of it is idempotent: what is there already is left alone, what is absent is
    removed with success. Only what the record names is ever touched. No call waits
    without a bound, and every signal ends every wait.
    """

    @property
    def name(self) -> str:
        """Return the word in the record."""
        ...

    def why_unreachable(self, *, start: bool = False) -> Unreachable | None:
        """Return why the provider can't be asked now, None if it can.

        With `start`, its service is started if that is all that is missing; raises
        ProviderError where it can't be.
        """
        ...

    # --- make and start

    def files(self, lab: Lab, paths: LabPaths, record: LabRecord) -> Mapping[Path, str]:
        """Render the files that the provider reads, before anything is made."""
        ...

    def prepare(
        self,
        lab: Lab,
        record: LabRecord,
        nodes: Sequence[str],
        *,
        base: Path,
        identity: Callable[[Node], Mapping[str, Entry]],
    ) -> None:
        """Give these nodes, which do not run, their disk and their identity.

        An existing disk on the base image stays, and grows if the record has the node as
        outdated; the identity (keys, addresses, answers) is written anew each time, as files.
        """
        ...

    def make_networks(self, lab: Lab, record: LabRecord) -> None:
        """Make and start the networks on record; those that run learn the lab's nodes of today."""
        ...

    def up(self, lab: Lab, paths: LabPaths, record: LabRecord, nodes: Sequence[str]) -> None:
        """Start these nodes, and resume paused ones; returns before they have booted."""
        ...

    # --- stop and remove

    def down(self, record: LabRecord, nodes: Sequence[str], *, patience_s: float) -> None:
        """Shut these nodes down; after `patience_s`, cut the power of those that still run."""
        ...

    def destroy(self, paths: LabPaths, record: LabRecord) -> None:
        """Remove all that the record names."""
        ...

    def remove_node(self, paths: LabPaths, record: LabRecord, node: str) -> None:
        """Remove one node, its disks included."""
        ...

    def undefine_node(self, paths: LabPaths, record: LabRecord, node: str) -> None:
        """Forget how a node that is off was defined: `up` defines it anew, on its own disk."""
        ...

    def remove_network(self, record: LabRecord, network: str) -> None:
        """Remove a network whose nodes are gone."""
        ...

    # --- look, and leave

    def status(self, record: LabRecord) -> Mapping[str, NodeState]:
        """Return each node's state; starts nothing, and raises ProviderError if it can't ask."""
        ...

    def close_down(self) -> None:
        """Remove what all labs share; called when the last lab of this host is gone."""
        ...

    def close(self) -> None:
        """End the connections of this process."""
        ...


# --- capabilities: `runtime_checkable`, because callers ask by isinstance whether there is one


@runtime_checkable
class Console(Protocol):
    """A node's serial console."""

    def console_argv(self, record: LabRecord, node: str) -> tuple[str, ...]:
        """Return the command that is a terminal on the console."""
        ...

    def console_log(self, paths: LabPaths, node: str) -> Path:
        """Return the file of all that the node has printed there."""
        ...


@runtime_checkable
class PartialStates(Protocol):
    """What some nodes do, also while the provider can't be asked."""

    def known_states(self, record: LabRecord) -> Mapping[str, NodeState]:
        """Return the states of those nodes; raises ProviderError if it can't look."""
        ...


@runtime_checkable
class Resets(Protocol):
    """A reset button."""

    def reset(self, record: LabRecord, node: str) -> None:
        """Boot a node again from the same disk."""
        ...


# Not a capability itself: a provider that has MakesFaults hands it out.
class FaultMaker(Protocol):
    """Makes one lab's nodes, NICs and networks fail, and undoes it.

    Undoing what is undone already, or what is gone, is success.
    """

    def state(self, node: str) -> NodeState:
        """Return a node's state."""
        ...

    # --- nodes

    def pause(self, node: str) -> None:
        """Stop a node's processors, as they are."""
        ...

    def resume(self, node: str) -> None:
        """Let a paused node go on."""
        ...

    def power_off(self, node: str) -> None:
        """Cut a node's power."""
        ...

    def power_on(self, node: str) -> None:
        """Start a node that is off, with all its NICs and their cables plugged in."""
        ...

    # --- NICs

    def has_nic(self, node: str, nic: NIC) -> bool:
        """True while the NIC is plugged into the running node."""
        ...

    def set_link(self, node: str, nic: NIC, *, is_up: bool) -> None:
        """Plug a NIC's cable in or out."""
        ...

    def slot(self, node: str, nic: NIC) -> str:
        """Return what `unplug` and `plug` need to know; raises ProviderError without the NIC."""
        ...

    def unplug(self, node: str, nic: NIC, slot: str) -> None:
        """Unplug a NIC; returns once the node has let go of it."""
        ...

    def plug(self, node: str, slot: str) -> None:
        """Plug a NIC in again."""
        ...

    # --- networks

    def refuse_partition(self, network: str) -> None:
        """Raise LabError where a network can't be parted, or its rules can't be read."""
        ...

    def part(self, network: str, groups: Sequence[Sequence[str]]) -> None:
        """Keep these groups of nodes from hearing each other; replaces an earlier parting."""
        ...

    def heal(self, network: str, groups: int) -> None:
        """End a partition of up to so many groups; raises ProviderError if it is still there."""
        ...


@runtime_checkable
class MakesFaults(Protocol):
    """Nodes, NICs and networks that can be made to fail."""

    def faults(self, lab: str, record: LabRecord) -> FaultMaker:
        """Return the maker of faults for that lab."""
        ...


# As FaultMaker: a provider that has Evidence hands it out.
class Looker(Protocol):
    """Looks at a lab's nodes from this host; never raises, and changes nothing."""

    def snapshot(self) -> Snapshot:
        """Return this host's interfaces, neighbours and firewall, at once."""
        ...

    def view(
        self, node: Node, snapshot: Snapshot | None = None, *, is_knocking: bool = True
    ) -> View:
        """Look at one node; without a snapshot one is made."""
        ...

    def evidence(self, node: Node) -> NodeEvidence:
        """Return all that tells why a node does not answer."""
        ...


@runtime_checkable
class Evidence(Protocol):
    """Evidence of why a node does not answer, from this host."""

    def looker(self, paths: LabPaths, record: LabRecord) -> Looker:
        """Return the looker of that lab; starts nothing, and does without what can't be asked."""
        ...

    def state_command(self, record: LabRecord, node: str) -> str:
        """Return what to type to see a node's state."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSource:
    """Something for `lab.logs`: `read` returns its text, or raises LabError or OSError."""

    path: str
    title: str
    read: Callable[[], str]
    # The file's own name, where that tells what is secret in it.
    original: PurePosixPath | None = None


class LogReader(Protocol):
    """Reads this host for `lab.logs`: bounded, root's files by sudo."""

    def run(self, argv: tuple[str, ...]) -> str:
        """Return what a command that only looks printed."""
        ...

    def file(self, path: str, title: str, file: Path) -> LogSource:
        """Return the source that is the end of a file."""
        ...


@runtime_checkable
class HostLogs(Protocol):
    """Sources of this host for `lab.logs`, besides the lab's own files."""

    def version_commands(self) -> Sequence[tuple[str, ...]]:
        """Return the commands that print the versions of the programs that run the nodes."""
        ...

    def log_sources(
        self, paths: LabPaths, record: LabRecord, reader: LogReader, why_not: str
    ) -> Iterator[LogSource]:
        """Return the sources to collect; `why_not` is why the provider can't be asked."""
        ...


@runtime_checkable
class Orphans(Protocol):
    """Programs that outlive a command of ours that was killed, and go on changing its lab."""

    def wait_for_orphan(self, paths: LabPaths, *, wait_s: float) -> None:
        """Wait until none is at work; raises AlreadyRunning when that takes too long."""
        ...


@runtime_checkable
class Snapshots(Protocol):
    """Snapshots of a whole lab while its nodes run."""

    def snapshots(self, lab: Lab, record: LabRecord) -> SnapshotMaker:
        """Return the maker of that lab's snapshots."""
        ...


def lacking(provider: Provider, lab: str, what: str, *, hint: str) -> ProviderError:
    """Return the refusal of a task whose capability the lab's provider does not have."""
    message = f"lab {lab} is made by the provider {provider.name}, which does not have {what}"
    return ProviderError(message, hint=hint)
