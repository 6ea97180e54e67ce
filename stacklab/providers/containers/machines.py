"""Start, stop and remove containers by machine.sh, which runs as root."""

from __future__ import annotations

import sys
from pathlib import Path

from stacklab.errors import CommandTimedOut, LabError, ProviderError
from stacklab.images.root import RootDisk
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.process.command import Command, Runner, as_root
from stacklab.providers.containers import failures, layers
from stacklab.providers.containers.handles import Container
from stacklab.providers.containers.plans import ContainerPlan, NicPlan
from stacklab.providers.libvirt.storage.disks import remove_seed
from stacklab.tools.host import cgroups

_SCRIPT = Path(__file__).with_name("machine.sh")
_LIMIT_S = 60.0
_REMOVING = ("remove", "take-back")
# Of processes and threads in a node: one for each MiB of its memory, within these. Where no systemd
# runs, a host's own limit is 32768 (kernel.pid_max), and systemd gives a container 16384.
_FEWEST_TASKS = 4096
_MOST_TASKS = 16384
_ANY_CODE = tuple(range(-64, 256))  # negative ones are signals


def most_tasks(memory_bytes: int) -> int:
    """Return how many processes and threads a node of that memory may have."""
    return min(max(_FEWEST_TASKS, memory_bytes // 1024**2), _MOST_TASKS)


class Machines:
    """The containers of one lab on this host."""

    def __init__(self, runner: Runner, paths: LabPaths, root: Path | None = None) -> None:
        """`root` is where cgroup version 2 is mounted; None finds it."""
        self._runner = runner
        self._paths = paths
        self._root = root or cgroups.root()

    def group(self, container: Container) -> Path:
        """Return the container's cgroup; raises ProviderError on a host that has none."""
        if self._root is None:
            raise ProviderError(
                "this host has no cgroup version 2, by which containers are told apart",
                hint=cgroups.HOW_TO_MOUNT,
            )
        return cgroups.group_of(container.machine, self._root)

    def state(self, container: Container) -> NodeState:
        """Return what the container does; ABSENT when nothing of it exists."""
        state = cgroups.state(self.group(container))
        if state is NodeState.OFF and not container.directory.exists():
            return NodeState.ABSENT
        return state

    def start(self, container: Container, plan: ContainerPlan, base: RootDisk) -> None:
        """Boot a container; returns once it has its root and its network, before it answers."""
        options = f",{base.mount_options}" if base.mount_options else ""
        settings = {
            "BASE": str(base.path),
            "BASE_TYPE": base.filesystem,
            "BASE_OFFSET": str(base.offset),
            "BASE_OPTIONS": options,
            "CONSOLE": str(self._paths.console(container.name)),
            "CPUS": plan.cpus,
            "DEVICES": " ".join(plan.devices),
            "FROZEN": str(self._paths.frozen_disks),
            "HOST_NAME": container.name,
            "IS_PRIVILEGED": "yes" if plan.is_privileged else "no",
            # Names of ours, without blanks.
            "LAYERS": " ".join(layer.name for layer in layers.all_below(self._paths, plan.name)),
            "MEMORY": str(plan.memory_bytes),
            # For user_namespace.py: this one is there on every host.
            "PYTHON": sys.executable,
            "SEED": str(container.seed),
            "TASKS": str(most_tasks(plan.memory_bytes)),
        }
        nics = [str(nic) for nic in plan.nics]
        self._call(container, "start", *nics, settings=settings)

    def stop(self, container: Container) -> None:
        """Ask a container to shut down; one that is paused goes on first."""
        self._call(container, "thaw")
        self._call(container, "stop")

    def kill(self, container: Container) -> None:
        """End all processes of a container, and with them its mounts and its network."""
        self._call(container, "kill")

    def remove(self, container: Container) -> None:
        """End a container and remove what it has written; absent is success."""
        # First: a start that waits for its turn sees by it that it comes too late.
        remove_seed(container.seed)
        self._call(container, "remove")

    def set_aside(self, container: Container, layer: Path) -> None:
        """End a container, and move all that it has written into a frozen disk."""
        self._call(container, "set-aside", str(layer))

    def take_back(self, container: Container, layer: Path) -> None:
        """End a container, and undo `set_aside`; there may be nothing to undo."""
        self._call(container, "take-back", str(layer))

    def freeze(self, container: Container) -> None:
        """Stop all processes of a container, as they are."""
        self._call(container, "freeze")

    def thaw(self, container: Container) -> None:
        """Let a frozen container go on."""
        self._call(container, "thaw")

    def set_link(self, container: Container, end: str, *, is_up: bool) -> None:
        """Plug the cable of a NIC in or out, by its end on the host."""
        self._call(container, "link-up" if is_up else "link-down", end)

    def unplug(self, container: Container, end: str) -> None:
        """Take a NIC away."""
        self._call(container, "unplug", end)

    def plug(self, container: Container, nic: NicPlan) -> None:
        """Give a NIC back that was taken away."""
        self._call(container, "plug", str(nic))

    def console_argv(self, container: Container) -> tuple[str, ...]:
        """Return the command that is a login on a running container, without its network."""
        return as_root(self._argv(container, "login"), may_ask=True)

    def _argv(
        self, container: Container, action: str, *words: str, settings: dict[str, str] | None = None
    ) -> tuple[str, ...]:
        known = {
            "CGROUP": str(self.group(container)),
            "DIR": str(container.directory),
            "MACHINE": container.machine,
            **(settings or {}),
        }
        variables = [f"{name}={value}" for name, value in known.items()]
        # By the program `env`: sudo would drop them.
        return ("env", *variables, "sh", str(_SCRIPT), action, *words)

    def _call(
        self, container: Container, action: str, *words: str, settings: dict[str, str] | None = None
    ) -> None:
        # In English: `failures` looks for what mount and sudo say.
        english = {"LC_ALL": "C"}
        limit_s = layers.REMOVE_LIMIT_S if action in _REMOVING else _LIMIT_S
        argv = self._argv(container, action, *words, settings={**english, **(settings or {})})
        command = Command(
            argv=as_root(argv),
            env=english,
            what=f"{container.name}: container {action}",
            timeout_s=limit_s,
            # The runner's own error has the whole command line in it, with all settings.
            ok_codes=_ANY_CODE,
        )
        output = why = ""
        try:
            result = self._runner.run(command)
            if result.exit_code == 0:
                return
            output = result.stderr
        except CommandTimedOut:
            why = f"it takes longer than {limit_s:.0f} s"
        except LabError as error:
            raise ProviderError(error.message.partition("\n")[0], hint=error.hint) from error
        raise failures.error(
            container.name,
            action,
            output,
            lab=self._paths.name,
            home=self._paths.host.root,
            why=why,
        )
