"""Units of systemd on a node, and what is added to them for a while.

Runs on the node, in one piece with the program that imports it (see `nodes.programs`), with nothing
but Python's own library. All that is changed is drop-ins for a unit, which systemd reads beside the
unit itself; most of them are below /run.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stacklab.drivers.node_calls import NodeError, call
from stacklab.drivers.node_containers import Container, container_of

HOOKED = "stacklab-debug.conf"  # its processes listen for a debugger
# Drop-ins that give a unit variables, by the word for what they are for:
GIVEN = {
    "patience": "stacklab-debug-calm.conf",  # it waits longer for others
    "detail": "stacklab-trace-detail.conf",  # it logs more
    # It imports other code. Systemd reads drop-ins in the order of their names, and a variable's
    # last value counts: that of a debugger.
    "source": "stacklab-code.conf",
}
DROP_INS = "/run/systemd/system"  # which a boot empties
_LASTING_DROP_INS = "/etc/systemd/system"
SOURCES = "/opt/stacklab-source"  # of projects, which units import in place of their packages
RECORDS = "/run/stacklab-debug"
DIRECTORY = "/usr/local/lib/stacklab-debug"  # the hook and debuggers
CONTAINER_RECORDS = f"{DIRECTORY}/records"  # in a container, of its processes
# systemd leaves out what begins so. Of a container, its command gets these arguments.
ARGUMENTS = "X-Arguments="
_PROPERTIES = "Id,ExecStart,Environment,User,ActiveState,SubState,MainPID,NRestarts"
_ARGUMENTS = re.compile(r"argv\[\]=(.*?) ; ignore_errors=")
_PYTHON_S = 60.0
POLL_S = 0.5
STAYS_S = 3.0  # a program that can't import its code ends in that time
_LINES = 5  # of a journal


class Unit:
    """A unit of systemd, as it was a moment ago."""

    def __init__(self, properties: dict[str, str]) -> None:
        self.name = properties["Id"]
        self.user = properties.get("User") or "root"
        self.state = properties.get("ActiveState", "")
        self.environment = properties.get("Environment", "")
        self.pid = properties.get("MainPID", "")
        # Of one start: another has another.
        self.start = (self.pid, properties.get("NRestarts", ""))
        found = _ARGUMENTS.search(properties.get("ExecStart", ""))
        self.argv = found.group(1).split() if found else []
        self.is_program = bool(self.argv)
        self.container: Container | None = container_of(self.argv)
        if self.container:
            # What it starts there is the service; its own process only waits for that.
            self.pid = self.container.pid
            self.argv = self.container.argv
        self.is_uwsgi = bool(self.argv) and "uwsgi" in Path(self.argv[0]).name
        self.python = self._find_python()

    def _find_python(self) -> str:
        """Return the interpreter that runs its program; "" for a program that is not Python's."""
        if not self.argv:
            return ""
        program = self.argv[0]
        if self.is_uwsgi:
            return self._find_python_of_uwsgi(program)
        if Path(program).name.startswith("python"):
            return program
        if self.container:
            return ""  # of a script, the kernel lists the interpreter first
        try:
            with Path(program).open("rb") as stream:
                first = stream.readline(256)
        except OSError:
            return ""
        words = first.removeprefix(b"#!").decode(errors="replace").split()
        if not first.startswith(b"#!") or not words:
            return ""
        if Path(words[0]).name == "env":
            words = [shutil.which(word) or "" for word in words[1:]]
        return words[0] if words and "python" in Path(words[0]).name else ""

    def _find_python_of_uwsgi(self, program: str) -> str:
        """Return the Python of its venv, or else of the system."""
        if self.container:
            return "python3"  # its path names that of kolla's venv first
        for option in ("--venv", "--virtualenv", "-H"):
            if option in self.argv[:-1]:
                return str(Path(self.argv[self.argv.index(option) + 1], "bin", "python3"))
        beside = Path(program).with_name("python3")
        return str(beside) if beside.exists() else "/usr/bin/python3"

    @property
    def python_path(self) -> list[str]:
        """Return the directories that its environment adds to Python's own."""
        if self.container:
            return self.container.python_path
        for word in shlex.split(self.environment):
            if word.startswith("PYTHONPATH="):
                return [part for part in word.partition("=")[2].split(":") if part]
        return []

    @property
    def is_hooked(self) -> bool:
        """Return True if its processes listen, or will at their next start."""
        if drop_in(self.name, HOOKED).exists() or self.processes():
            return True
        # Of an order to take it away that was cut off.
        return self.container is not None and self.container.is_changed and not self.given

    def run_python(self, *words: str, path: str | None = None, limit_s: float = _PYTHON_S) -> str:
        """Run its interpreter as its program is run, and return what that writes.

        `path` is a PYTHONPATH in place of its own. Raises NodeError if it fails.
        """
        path = ":".join(self.python_path) if path is None else path
        given = ("env", f"PYTHONPATH={path}", self.python, *words)
        if self.container:
            return self.container.run(*given, limit_s=limit_s)
        return call(*given, limit_s=limit_s)

    def has_file(self, path: str) -> bool:
        """Return True for a file, or a directory, that its program would find there."""
        return (self.container.path(path) if self.container else Path(path)).exists()

    @property
    def given(self) -> list[str]:
        """Return the words for what it was given variables for."""
        return [word for word, file in GIVEN.items() if drop_in(self.name, file).exists()]

    def processes(self) -> list[dict[str, Any]]:
        """Return what its processes have written of themselves, in the order of their ports."""
        directory = records(self)
        found = []
        for path in directory.glob("*.json") if directory else ():
            try:
                said = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
            pid = self._living(said.get("pid")) if isinstance(said, dict) else None
            # Another process may have its number by now.
            if pid is not None and started(pid) == said.get("started"):
                program = _title(pid) or said.get("program", "")
                found.append({**said, "pid": pid, "program": program})
        return sorted(found, key=lambda said: said.get("port", 0))

    def _living(self, pid: object) -> int | None:
        """Return the number on this node of one of the unit's processes; None for others."""
        if self.container:
            return self.container.host_pid(pid)
        try:
            is_own = self.name in Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            return None
        return pid if is_own and isinstance(pid, int) else None


def units(pattern: str) -> Iterator[Unit]:
    """Yield the units whose names fit a pattern of systemctl's."""
    text = call("systemctl", "show", f"--property={_PROPERTIES}", pattern)
    for block in text.split("\n\n"):
        properties = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in properties:
            yield Unit(properties)


def unit_of(name: str) -> Unit:
    """Return the unit of that name; raises NodeError for none that runs a program."""
    unit = next((unit for unit in units(name) if unit.is_program), None)
    if unit is None:
        raise NodeError(f"{name} is not a unit of this node")
    return unit


def give(names: Sequence[str], word: str, limit_s: float, variables: Sequence[str]) -> None:
    """Give units variables for a purpose, and restart those that did not have just these."""
    lines = [environment_line(variables)]
    changed = [name for name in names if put(unit_of(name), GIVEN[word], lines)]
    restart(changed)
    wait_until_active(changed, limit_s)


def take(names: Sequence[str], files: Sequence[str], limit_s: float) -> None:
    """Remove these drop-ins, and restart the units that had one.

    What processes have written of themselves goes last: of an order that was cut off, it tells
    which still listen.
    """
    changed = [name for name in names if _has_any(unit_of(name), files)]
    for name in changed:
        for file in files:
            path = drop_in(name, file)
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others may be there
                path.parent.rmdir()
    restart(changed)
    wait_until_active(changed, limit_s)
    if HOOKED in files:
        for name in changed:
            _remove_hook(unit_of(name))


def _has_any(unit: Unit, files: Sequence[str]) -> bool:
    """Return True for a unit with one of these drop-ins, or with what one of them has done."""
    if any(drop_in(unit.name, file).exists() for file in files):
        return True
    return HOOKED in files and unit.is_hooked


def put(unit: Unit, file: str, lines: Sequence[str]) -> bool:
    """Write a drop-in; returns False if it is there with the same lines."""
    path = drop_in(unit.name, file)
    text = "\n".join(["# stacklab has made this, for a while", "[Service]", *lines, ""])
    try:
        if path.read_text() == text:
            return False
    except OSError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)
    return True


def drop_in(name: str, file: str) -> Path:
    """Return the path of a unit's drop-in."""
    root = _LASTING_DROP_INS if file == GIVEN["source"] else DROP_INS
    return Path(root, f"{name}.d", file)


def records(unit: Unit) -> Path | None:
    """Return the directory in which a unit's processes write of themselves; None where none run."""
    if unit.container:
        return unit.container.path(CONTAINER_RECORDS) if unit.pid else None
    return Path(RECORDS, unit.name)


def _remove_hook(unit: Unit) -> None:
    """Remove what a hook has written, and in a container the hook."""
    if not unit.container:
        shutil.rmtree(Path(RECORDS, unit.name), ignore_errors=True)
    elif unit.pid:
        # A container that is restarted just then keeps it, and nothing imports it.
        with contextlib.suppress(NodeError):
            unit.container.remove_directory(DIRECTORY)


def _change_container(unit: Unit) -> None:
    """Have a unit's container start with the variables and arguments of the unit's drop-ins."""
    if not unit.container:
        return
    lines: list[str] = []
    for file in sorted([HOOKED, *GIVEN.values()]):
        with contextlib.suppress(OSError):
            lines += drop_in(unit.name, file).read_text().splitlines()
    arguments = [
        word
        for line in lines
        if line.startswith(ARGUMENTS)
        for word in line.removeprefix(ARGUMENTS).split()
    ]
    unit.container.change(list(_variables_of(lines)), arguments)


def restart(names: Sequence[str]) -> None:
    """Restart units without waiting for them."""
    for name in names:
        _change_container(unit_of(name))
    if names:
        call("systemctl", "daemon-reload")
        call("systemctl", "restart", "--no-block", *names)


def wait_until_active(names: Sequence[str], limit_s: float) -> None:
    """Wait for units that were restarted; raises NodeError for one that does not start and stay.

    To systemd a program is active as soon as it was started.
    """
    deadline = time.monotonic() + limit_s
    for name in names:
        while _has_job(name) or unit_of(name).state != "active":
            if time.monotonic() > deadline:
                raise _does_not_start(name)
            time.sleep(POLL_S)
    if names:
        before = {name: unit_of(name).start for name in names}
        time.sleep(STAYS_S)
        for name in names:
            unit = unit_of(name)
            if unit.state != "active" or unit.start != before[name]:
                raise _does_not_start(name)


def _does_not_start(name: str) -> NodeError:
    return NodeError(f"{name} ({unit_of(name).state}) does not start: {last_words(name)}")


def _has_job(name: str) -> bool:
    return bool(call("systemctl", "list-jobs", "--no-legend", name).strip())


def last_words(name: str) -> str:
    """Return the end of a unit's journal."""
    return call("journalctl", "-q", "-o", "cat", "-n", str(_LINES), "-u", name).strip()


def environment_line(variables: Sequence[str]) -> str:
    """Return the line of a unit file that sets variables, each NAME=VALUE."""
    return "Environment=" + " ".join(quote(variable) for variable in variables)


def _variables_of(lines: Sequence[str]) -> Iterator[str]:
    """Yield the variables that such lines set; all other lines are left out."""
    for line in lines:
        key, _, value = line.partition("=")
        if key == "Environment":
            yield from (word.replace("%%", "%") for word in shlex.split(value))


def quote(word: str) -> str:
    """Quote a word for a unit file: see systemd.syntax(7)."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'


def started(pid: int) -> str:
    """Return when a process began, in the kernel's ticks since the boot; "" for one that is gone.

    Source: proc(5), the 22nd field of /proc/PID/stat.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _title(pid: int) -> str:
    """Return what a worker calls itself, `neutron-server: api worker`; "" for none that does."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""
    title, opening, _ = text.strip("\0").partition(" (")
    return title if opening and "\0" not in title else ""
