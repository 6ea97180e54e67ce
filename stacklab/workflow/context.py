"""Hold what every workflow needs of this host, made when it is first asked for."""

from __future__ import annotations

import contextlib
import grp
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stacklab import files, locks, record
from stacklab.errors import HostError, LabError, ToolError
from stacklab.model.lab import Lab
from stacklab.model.lab_json import from_json
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths, LabPaths
from stacklab.process.command import Command, Piping
from stacklab.progress import Progress
from stacklab.providers import registry
from stacklab.providers.contract import HostServices, Orphans, PartialStates, Provider
from stacklab.record import LabRecord
from stacklab.spec.lab_search import known as known_labs
from stacklab.tools.host import accelerator
from stacklab.tools.host.accelerator import Accelerator
from stacklab.words import nearest

if TYPE_CHECKING:
    from stacklab.doctor.machine import Machine

_WAIT_FOR_LOCK_S = 30.0


@dataclass(kw_only=True)
class Context:
    """This host, how to run things on it, and how to tell about them."""

    host: HostPaths
    runner: Piping
    progress: Progress
    # The word of the provider that a new lab gets; an existing one has its own on record.
    provider_of_new_labs: str = registry.DEFAULT
    # Finishes or undoes the snapshot that a killed command has left half made.
    finish_snapshot: Callable[[Context, LabPaths], None]
    # By their words, made when first asked for; tests put theirs here.
    providers: dict[str, Provider] = field(default_factory=dict, repr=False)

    def provider(self, record: LabRecord | None = None, *, of_new: Lab | None = None) -> Provider:
        """Return the provider of a record's lab; without a record, that of a new lab."""
        word = self.provider_of_new_labs
        if record is not None:
            word = record.provider
        elif of_new is not None:
            word = registry.provider_for(of_new, word)
        return self.provider_named(word)

    def provider_named(self, word: str) -> Provider:
        """Return the provider of that word; raises ProviderError for one that is not known."""
        if word not in self.providers:
            site = HostServices(
                host=self.host,
                runner=self.runner,
                progress=self.progress,
                accelerator=self.accelerator,
            )
            self.providers[word] = registry.open_provider(word, site)
        return self.providers[word]

    def why_not(self) -> str | None:
        """Return why the provider of new labs can't be asked, in its own words: for `doctor`."""
        unreachable = self.provider().why_unreachable()
        return unreachable.why if unreachable else None

    def states(self, record: LabRecord) -> Mapping[str, NodeState]:
        """Return what a lab's nodes do, without those of which nobody can tell now.

        Starts nothing for that.
        """
        provider = self.provider(record)
        if provider.why_unreachable() is None:
            return provider.status(record)
        return provider.known_states(record) if isinstance(provider, PartialStates) else {}

    def close(self) -> None:
        """End the connections of this process."""
        for provider in self.providers.values():
            provider.close()

    @property
    def machine(self) -> Machine:
        """This host, as the probes see it."""
        # Here: only `doctor` and `lab.up` look at the host by probes.
        from stacklab.doctor.machine import Machine

        return Machine(runner=self.runner)

    def accelerator(self) -> Accelerator:
        """Return KVM or TCG, tried once per host and kernel."""
        return accelerator.pick(self.host, self.runner)

    @contextmanager
    def lab_lock(
        self, name: str, *, finishes: bool = True, wait_s: float = _WAIT_FOR_LOCK_S
    ) -> Iterator[LabPaths]:
        """Hold a lab: any other command that would change it waits a little, then is refused.

        With `finishes`, a snapshot that a killed command was making or restoring is finished or
        undone first.
        """
        paths = self.host.lab(name)
        self.prepare_root()

        def waiting(text: str) -> None:
            self.progress.say("host", text)

        with locks.held(paths.lock, f"lab {name}", wait_s=wait_s, waiting=waiting):
            self._wait_for_orphan(paths)
            # Of a command that was killed before it had written what it would do.
            files.remove_unfinished(paths.snapshot_intent)
            if finishes and paths.snapshot_intent.exists():
                self.finish_snapshot(self, paths)
            try:
                yield paths
            finally:
                if not paths.root.exists():  # nothing of the lab is left, or ever was
                    # While it is still held: a command that waits for it opens the path again.
                    paths.lock.unlink(missing_ok=True)

    def _wait_for_orphan(self, paths: LabPaths) -> None:
        """Let the programs of a killed command end: they go on changing the lab."""
        if not paths.root.exists():
            return
        try:
            provider = self.provider(registry.read(paths))
        except LabError:  # the caller reads the record, too, and reports what is wrong with it
            provider = self.provider()
        if isinstance(provider, Orphans):
            provider.wait_for_orphan(paths, wait_s=_WAIT_FOR_LOCK_S)

    def prepare_root(self) -> None:
        """Make the host's directory, by sudo where we are not root."""
        host = self.host
        root = host.root
        self._make_root_by_sudo(root)
        shared = (
            root,
            host.labs,
            host.images,
            host.building,
            host.downloads,
            host.volumes,
            host.snapshots,
            host.locks,
            host.logs,
        )
        try:
            for directory in shared:
                if not directory.is_dir():
                    files.make_directory(directory)
                    _share_directory(directory)
        except OSError as error:
            raise HostError(
                f"{error.filename}: {error.strerror}",
                hint=_own_home(root),
            ) from error
        # An earlier version made it for its owner alone: only who makes snapshots needs it.
        self.refuse_closed([directory for directory in shared if directory != host.snapshots])

    def refuse_closed(self, directories: Iterable[Path]) -> None:
        """Raise HostError for directories in which we may not write."""
        # Asked of the kernel: modes alone do not tell what groups and ACLs allow.
        closed = [str(each) for each in directories if not os.access(each, os.W_OK)]
        if closed:
            # These alone: what is below them has modes of its own, for keys and memory.
            names = " ".join(closed)
            raise HostError(
                f"no right to write in {', '.join(closed)}",
                hint=f"sudo chgrp libvirt {names} && sudo chmod 2775 {names}, "
                "or set STACKLAB_HOME to a directory of your own",
            )

    def _make_root_by_sudo(self, root: Path) -> None:
        """Make the host's directory where only root can; else it is made like all others."""
        if root.exists() or os.geteuid() == 0 or os.access(root.parent, os.W_OK):
            return
        owner = str(os.getuid())
        # setgid: files in it belong to the group of all who may use libvirt here.
        install = ("install", "-d", "-m", "2775", "-o", owner, "-g", "libvirt", str(root))
        command = Command(argv=("sudo", "-n", *install), what=f"making {root}")
        try:
            self.runner.run(command)
        except ToolError as error:
            raise HostError(
                f"{root} can't be made\n{error.message}",
                hint=_own_home(root),
            ) from error

    def other_labs(self, name: str) -> tuple[Lab, ...]:
        """Return the labs on record on this host but for this one, as they were brought up."""
        labs: list[Lab] = []
        for other in record.names(self.host):
            if other == name:
                continue
            # A damaged record must not keep other labs from starting; its own tasks report it.
            with contextlib.suppress(LabError):
                lab = last_resolved(self.host.lab(other))
                if lab is not None:
                    labs.append(lab)
        return tuple(labs)


def _own_home(root: Path) -> str:
    return (
        f"sudo install -d -m 2775 -g libvirt {root}, "
        "or set STACKLAB_HOME to a directory of your own"
    )


def _share_directory(directory: Path) -> None:
    """Let all who may use libvirt write there: images and records are one set per host."""
    # No such group, or somebody else's directory: then it stays as it is.
    with contextlib.suppress(KeyError, PermissionError):
        os.chown(directory, -1, grp.getgrnam("libvirt").gr_gid)
        directory.chmod(0o2775)


def last_resolved(paths: LabPaths) -> Lab | None:
    """Return the lab as it was when it was last brought up."""
    try:
        return from_json(paths.resolved.read_text())
    except FileNotFoundError:
        return None
    except (LabError, OSError, UnicodeDecodeError) as error:
        why = error.message if isinstance(error, LabError) else error
        hint = f"./invoke lab.destroy {paths.name}"
        raise LabError(f"lab {paths.name}: {paths.resolved}: {why}", hint=hint) from error


def read_own(paths: LabPaths) -> LabRecord | None:
    """Return the lab's record; raises AlreadyRunning when another checkout holds the lab."""
    lab_record = registry.read(paths)
    if lab_record is not None:
        record.refuse_foreign(lab_record)
    return lab_record


def not_up(context: Context, name: str) -> LabError:
    """Return the error for a lab of which nothing exists."""
    guess, hint = _lab_meant(context, name)
    meant = f" (did you mean {guess}?)" if guess else ""
    return LabError(f"lab {name} is not up: nothing of it exists on this host{meant}", hint=hint)


def _lab_meant(context: Context, name: str) -> tuple[str, str]:
    """Return the name that was probably meant, "" if none is near, and what to type."""
    known = known_labs()
    if name in known:
        return "", f"./invoke lab.up {name}"
    # A lab that is up first: its name was most likely mistyped.
    guess = nearest(name, record.names(context.host))
    if guess:
        return guess, "./invoke lab.status"
    guess = nearest(name, known)
    if guess:
        return guess, f"./invoke lab.up {guess}"
    return "", "./invoke lab.list"


def running_lab(context: Context, name: str) -> tuple[Lab, LabPaths]:
    """Return the lab as it was brought up; raises LabError when it is not up."""
    paths = context.host.lab(name)
    lab = last_resolved(paths)
    if lab is None or registry.read(paths) is None:
        raise not_up(context, name)
    return lab, paths
