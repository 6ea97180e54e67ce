"""What every workflow needs of this host, made when it is first asked for."""

from __future__ import annotations

import contextlib
import grp
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stacklab import accelerator, files, locks, record
from stacklab.accelerator import Accelerator
from stacklab.doctor import Machine
from stacklab.errors import AlreadyRunning, HostError, LabError, ProviderError, ToolError
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.paths import LABS, HostPaths, LabPaths
from stacklab.process import Command, Conversing
from stacklab.progress import Progress
from stacklab.providers.libvirt.provider import VagrantLibvirt
from stacklab.record import LabRecord
from stacklab.spec import from_json, names
from stacklab.tools import libvirt, libvirtd, vagrant
from stacklab.tools.console import tail
from stacklab.words import nearest

_WAIT_FOR_LOCK_S = 30.0


@dataclass(kw_only=True)
class Context:
    """This host, and how to run things on it and tell about them."""

    host: HostPaths
    runner: Conversing
    progress: Progress
    connect: Callable[[], libvirt.Libvirt] = libvirt.Libvirt
    why_unreachable: Callable[[], str | None] = libvirt.why_unreachable  # None: libvirtd answers
    _libvirt: libvirt.Libvirt | None = field(default=None, repr=False)

    @property
    def libvirt(self) -> libvirt.Libvirt:
        """The connection to libvirtd, which is started if it is not running."""
        if self._libvirt is None:
            libvirtd.ensure(
                self.runner, self.why_unreachable, lambda text: self.progress.note("host", text)
            )
            self._libvirt = self.connect()
        return self._libvirt

    def states(self, kept: LabRecord) -> Mapping[str, NodeState]:
        """What a lab's nodes do, as libvirtd tells; {} where it is not running, and it is not started for that."""
        if self.why_unreachable() is not None:
            return {}
        connection = self._libvirt or self.connect()
        try:
            return VagrantLibvirt(connection, self.host, self.progress, None).status(kept)
        except ProviderError:
            self._libvirt = None  # libvirtd was started anew: the next look connects again
            raise

    @property
    def machine(self) -> Machine:
        """This host, as the probes look at it."""
        return Machine(runner=self.runner)

    def provider(self, chosen: Accelerator | None = None) -> VagrantLibvirt:
        """The provider of nodes."""
        return VagrantLibvirt(self.libvirt, self.host, self.progress, chosen, self.runner)

    def accelerator(self) -> Accelerator:
        """KVM or TCG, tried once per host and kernel."""
        return accelerator.pick(self.host, self.runner)

    @contextmanager
    def lab_lock(self, name: str) -> Iterator[LabPaths]:
        """Hold a lab: whoever else wants to change it waits a little, then is refused."""
        paths = self.host.lab(name)
        self.prepare_root()

        def waiting(text: str) -> None:
            self.progress.say("host", text)

        with locks.held(paths.lock, f"lab {name}", wait_s=_WAIT_FOR_LOCK_S, waiting=waiting):
            self._wait_for_orphan(paths)
            try:
                yield paths
            finally:
                if not paths.root.exists():  # nothing of the lab is left, or ever was
                    paths.lock.unlink(
                        missing_ok=True
                    )  # while it is held: whoever waits for it looks again

    def _wait_for_orphan(self, paths: LabPaths) -> None:
        """Let a killed command's vagrant end: it would make domains, or delete disks, behind our back."""
        lock = vagrant.lock(paths.root)
        if not lock.exists():
            return

        def waiting(_text: str) -> None:
            words = f"waiting for the vagrant of a command that was killed, {_WAIT_FOR_LOCK_S:.0f} s at most"
            self.progress.say("host", words)

        try:
            with locks.held(lock, "vagrant", wait_s=_WAIT_FOR_LOCK_S, waiting=waiting):
                return
        except AlreadyRunning as error:
            raise AlreadyRunning(
                f"lab {paths.name}: the vagrant of a command that was killed is still at work after "
                f"{_WAIT_FOR_LOCK_S:.0f} s{_last_words(paths.vagrant_log)}",
                hint=f"wait for it: tail -f {paths.vagrant_log}",
            ) from error

    def prepare_root(self) -> None:
        """Have the host's directory, by sudo where we are not root."""
        host = self.host
        root = host.root
        if not root.exists() and os.geteuid() != 0 and not os.access(root.parent, os.W_OK):
            argv = (
                "sudo",
                "-n",
                "install",
                "-d",
                "-m",
                "2775",
                "-o",
                str(os.getuid()),
                "-g",
                "libvirt",
                str(root),
            )
            try:
                self.runner.run(Command(argv=argv, what=f"making {root}"))
            except ToolError as error:
                raise HostError(
                    f"{root} can't be made\n{error.message}", hint=_own_home(root)
                ) from error
        shared = (
            root,
            host.labs,
            host.images,
            host.building,
            host.downloads,
            host.volumes,
            host.locks,
            host.logs,
        )
        try:
            for directory in shared:
                if not directory.is_dir():
                    files.make_directory(directory)
                    _share(directory)
        except OSError as error:
            raise HostError(
                f"{error.filename}: {error.strerror}",
                hint=_own_home(root),
            ) from error
        closed = [str(directory) for directory in shared if not os.access(directory, os.W_OK)]
        if closed:
            raise HostError(
                f"no right to write in {', '.join(closed)}",
                hint=f"sudo chgrp -R libvirt {root} && sudo chmod -R g+rwX {root}, or set STACKLAB_HOME to a directory "
                "of your own",
            )

    def other_labs(self, name: str) -> tuple[Lab, ...]:
        """The labs on record on this host but for this one, as they were brought up."""
        found: list[Lab] = []
        for other in record.names(self.host):
            # A damaged one is told by its own tasks, and keeps nobody else's lab from starting.
            with contextlib.suppress(LabError):
                if other != name and (lab := last_resolved(self.host.lab(other))) is not None:
                    found.append(lab)
        return tuple(found)


def _last_words(log: Path) -> str:
    found = tail(log, 3) if log.exists() else ()
    return "".join(f"\n  | {line}" for line in found)


def _own_home(root: Path) -> str:
    return f"sudo install -d -m 2775 -g libvirt {root}, or set STACKLAB_HOME to a directory of your own"


def _share(directory: Path) -> None:
    """Let all who may use libvirt write there: images and records are one set per host."""
    with contextlib.suppress(KeyError, PermissionError):
        os.chown(directory, -1, grp.getgrnam("libvirt").gr_gid)
        directory.chmod(0o2775)


def last_resolved(paths: LabPaths) -> Lab | None:
    """The lab as it was when it was last brought up."""
    try:
        return from_json(paths.resolved.read_text())
    except FileNotFoundError:
        return None
    except (LabError, OSError, UnicodeDecodeError) as error:
        why = error.message if isinstance(error, LabError) else error
        hint = f"./invoke lab.destroy {paths.name}"
        raise LabError(f"lab {paths.name}: {paths.resolved}: {why}", hint=hint) from error


def read_own(paths: LabPaths) -> LabRecord | None:
    """The lab's record; raises AlreadyRunning when another checkout holds the lab."""
    found = record.read(paths)
    if found is not None:
        record.refuse_foreign(found)
    return found


def not_up(context: Context, name: str) -> LabError:
    """What to say of a lab of which nothing exists."""
    files, near = names(LABS), ""
    if name in files:
        hint = f"./invoke lab.up {name}"
    elif near := nearest(name, record.names(context.host)):
        hint = "./invoke lab.status"
    else:
        near = nearest(name, files)
        hint = f"./invoke lab.up {near}" if near else "./invoke lab.list"
    meant = f" (did you mean {near}?)" if near else ""
    return LabError(f"lab {name} is not up: nothing of it exists on this host{meant}", hint=hint)


def running_lab(context: Context, name: str) -> tuple[Lab, LabPaths]:
    """The lab as it was brought up; raises LabError when there is none."""
    paths = context.host.lab(name)
    lab = last_resolved(paths)
    if lab is None or record.read(paths) is None:
        raise not_up(context, name)
    return lab, paths
