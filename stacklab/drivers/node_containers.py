"""Containers that kolla-ansible makes for services, each started by a unit of systemd.

Runs on the node, in one piece with the program that imports it (see `nodes.programs`), with nothing
but Python's own library.

The unit's only process is `docker start -a NAME`, which waits for the container. At each start the
container reads config.json, which lies on the node, and runs the command that it finds there. So
its program gets variables and arguments by another config.json, which is mounted over the first
and lies below /run: neither the mount nor the file outlives a boot.

Source: kolla-ansible stable/2025.2, kolla_systemd_worker.py and the roles' *.json.j2; kolla
stable/2025.2, docker/base/start.sh, whose shell splits the command at blanks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stacklab.drivers.node_calls import NodeError, call

_ENGINES = ("docker", "podman")
_CONFIGS = "/var/lib/kolla/config_files"  # where a container has its directory below /etc/kolla
_CHANGED = "/run/stacklab-containers"
_INIT = "dumb-init"  # starts the program, and waits for it
_PROC = "/proc"
_MOUNTS = "/proc/self/mountinfo"


class Container:
    """A container, and the process in it that does the work, as they were a moment ago."""

    def __init__(self, engine: str, name: str) -> None:
        self.engine = Path(engine).name
        self.name = name
        self._said = _inspect(self.engine, name)
        self.pid = self._find_pid()
        words = _words(Path(_PROC, self.pid, "cmdline")) if self.pid else []
        self.argv = _without_title(words)

    def _find_pid(self) -> str:
        """Return the process that works, by its number on the node; "" where none runs."""
        first = str(self._said.get("State", {}).get("Pid") or "")
        if not first or _text(Path(_PROC, first, "comm")).strip() != _INIT:
            return first
        children = _text(Path(_PROC, first, "task", first, "children")).split()
        return children[0] if children else first

    @property
    def user_id(self) -> int:
        """Return the number of the user whose process it is."""
        return Path(_PROC, self.pid).stat().st_uid

    @property
    def python_path(self) -> list[str]:
        """Return the directories that its environment adds to Python's own."""
        for variable in _words(Path(_PROC, self.pid, "environ")):
            if variable.startswith("PYTHONPATH="):
                return [part for part in variable.partition("=")[2].split(":") if part]
        return []

    @property
    def has_own_network(self) -> bool:
        """Return True if its loopback is not the node's."""
        return bool(self._said.get("HostConfig", {}).get("NetworkMode") != "host")

    @property
    def is_changed(self) -> bool:
        """Return True if its next start does not follow kolla's own config.json."""
        config = self._config()
        return config is not None and _is_mounted(config)

    def path(self, inside: str | Path) -> Path:
        """Return where the node sees a file of the container's, which runs."""
        return Path(_PROC, self.pid, "root", str(inside).lstrip("/"))

    def run(self, *words: str, user: str = "", limit_s: float = 60) -> str:
        """Run a program in it, and return what that wrote; raises NodeError if it fails."""
        as_user = ("-u", user) if user else ()
        return call(self.engine, "exec", *as_user, self.name, *words, limit_s=limit_s)

    def host_pid(self, inside: object) -> int | None:
        """Return the number on the node of a process of its own; None for one that is gone."""
        own = _text(Path(_PROC, self.pid, "cgroup"))
        for path in Path(_PROC).glob("[0-9]*"):
            if _inner_pid(path) == str(inside) and _text(path / "cgroup") == own:
                return int(path.name)
        return None

    def change(self, variables: Sequence[str], arguments: Sequence[str]) -> None:
        """Have its next start run the command with these; with neither, as kolla has it.

        Raises NodeError for words with blanks, and for a container that kolla did not make.
        """
        config = self._own_config()
        for word in (*variables, *arguments):
            if word.split() != [word]:
                raise NodeError(f"a container can't be given a value with blanks: {word}")
        while _is_mounted(config):
            # Lazily: a container that is being started may be reading it.
            call("umount", "--lazy", str(config))
        changed = Path(_CHANGED, self.name, config.name)
        if not variables and not arguments:
            changed.unlink(missing_ok=True)
            return
        whole = _read_config(config)
        whole["command"] = " ".join(["env", *variables, whole["command"], *arguments])
        changed.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        changed.write_text(json.dumps(whole))
        changed.chmod(config.stat().st_mode & 0o777)
        call("mount", "--bind", str(changed), str(config))

    def refuse_unusable(self) -> None:
        """Raise NodeError for a container that `change` could not change."""
        _read_config(self._own_config())

    def _own_config(self) -> Path:
        """Return the config.json on the node; raises NodeError where the container has none."""
        config = self._config()
        if config is None:
            raise NodeError(f"the container {self.name} has no config.json of kolla's")
        return config

    def _config(self) -> Path | None:
        """Return the config.json on the node; None where the container has none."""
        for mount in self._said.get("Mounts", []):
            if str(mount.get("Destination", "")).rstrip("/") == _CONFIGS:
                return Path(mount["Source"], "config.json")
        return None

    def put_directory(self, directory: str) -> None:
        """Copy a directory of the node to the same place in it, in place of one that is there."""
        parent = str(Path(directory).parent)
        self.remove_directory(directory)
        self.run("mkdir", "-p", parent, user="root")
        call(self.engine, "cp", directory, f"{self.name}:{parent}", limit_s=300)

    def remove_directory(self, directory: str) -> None:
        """Remove a directory from it."""
        self.run("rm", "-rf", directory, user="root")

    def make_own(self, directory: str) -> None:
        """Make a directory in it that belongs to the user of its process."""
        self.run("install", "-d", "-o", str(self.user_id), directory, user="root")


def container_of(argv: Sequence[str]) -> Container | None:
    """Return the container that a unit's command starts; None for any other command."""
    if len(argv) < 4 or Path(argv[0]).name not in _ENGINES or list(argv[1:3]) != ["start", "-a"]:
        return None
    return Container(argv[0], argv[3])


def _inspect(engine: str, name: str) -> dict[str, Any]:
    """Return what the engine tells of a container; nothing of one that it does not know.

    Its unit may well be there: the others have to be listed all the same.
    """
    try:
        said = json.loads(call(engine, "container", "inspect", name))
    except (NodeError, ValueError):
        return {}
    return dict(said[0]) if said and isinstance(said[0], dict) else {}


def _read_config(config: Path) -> dict[str, Any]:
    """Return what kolla's start script reads; raises NodeError for what it could not use."""
    try:
        whole = json.loads(config.read_text())
    except (OSError, ValueError) as error:
        raise NodeError(f"{config}: {error}") from error
    if not isinstance(whole, dict) or not isinstance(whole.get("command"), str):
        raise NodeError(f"{config} does not say which command the container runs")
    return whole


def _is_mounted(path: Path) -> bool:
    """Return True if something is mounted on a file."""
    lines = _text(Path(_MOUNTS)).splitlines()
    return any(line.split()[4] == str(path) for line in lines)


def _inner_pid(process: Path) -> str:
    """Return the number that a process has for those in its container."""
    for line in _text(process / "status").splitlines():
        if line.startswith("NSpid:"):
            return line.split()[-1]
    return ""


def _without_title(words: list[str]) -> list[str]:
    """Return the words of a command, also of a process that has given itself a title.

    Neutron's agents call themselves `neutron-dhcp-agent (/usr/bin/python3 ...)`, in one word.
    """
    if len(words) == 1 and " (" in words[0]:
        return words[0].partition(" (")[2].removesuffix(")").split()
    return words


def _words(path: Path) -> list[str]:
    """Return the words of a command or an environment as the kernel lists them."""
    return [word for word in _text(path).split("\0") if word]


def _text(path: Path) -> str:
    """Return a file's text; "" for a process that has ended."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
