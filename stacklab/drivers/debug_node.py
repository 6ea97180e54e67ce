"""Make services on a node debuggable, and undo that; what is done does not outlive a boot.

Runs on the node as root, given on stdin, with nothing but Python's own library:

    python3 - look PREFIX             each unit PREFIX*.service that runs a Python program
    python3 - attach UNIT [--set NAME=VALUE]...
    python3 - calm UNIT... --set NAME=VALUE     with other variables, and without a debugger
    python3 - detach UNIT...
    python3 - find UNIT FILE          where that unit's Python has a source file, or a package

All that is changed is a drop-in for the unit, below /run, which systemd reads beside the unit
itself: `attach` has the program import the hook that lies in DIRECTORY (`debug_hook.py` says what
that does), and the unit is restarted. `--limit SECONDS` is how long that may take.

Writes a line of JSON for each thing, at once. A last line {"failed": WORDS} says what went wrong,
and the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

DIRECTORY = "/usr/local/lib/stacklab-debug"  # the hook and debugpy
_DROP_INS = "/run/systemd/system"
_RECORDS = "/run/stacklab-debug"
_HOOKED = "stacklab-debug.conf"
_CALMED = "stacklab-debug-calm.conf"
_FIRST_PORT = 5678  # debugpy's own
_PORTS_PER_UNIT = 10
_PROPERTIES = "Id,ExecStart,Environment,User,ActiveState,SubState"
_ARGUMENTS = re.compile(r"argv\[\]=(.*?) ; ignore_errors=")
_CALL_S = 60
_POLL_S = 0.5
_SETTLED_S = 3.0  # after one process listens, others of the same unit follow soon
_LINES = 5  # of a journal
_WORDS_MAX = 500
# Where a package that the debugged program would import lies, as its own interpreter finds it.
_FIND = """\
import importlib.util, os, sys
name = sys.argv[1]
top = name.split("/")[0].removesuffix(".py")
spec = importlib.util.find_spec(top) if top.isidentifier() else None
places = list(spec.submodule_search_locations or [spec.origin]) if spec else []
for place in places:
    whole = os.path.join(os.path.dirname(place), name)
    if os.path.exists(whole):
        print(whole)
        break
"""


class NodeError(Exception):
    """Something that can't be done; the text is for people."""


class Unit:
    """A unit of systemd, as it was a moment ago."""

    def __init__(self, properties: dict[str, str]) -> None:
        self.name = properties["Id"]
        self.user = properties.get("User") or "root"
        self.state = properties.get("ActiveState", "")
        self.environment = properties.get("Environment", "")
        found = _ARGUMENTS.search(properties.get("ExecStart", ""))
        self.argv = found.group(1).split() if found else []
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
        for option in ("--venv", "--virtualenv", "-H"):
            if option in self.argv[:-1]:
                return str(Path(self.argv[self.argv.index(option) + 1], "bin", "python3"))
        beside = Path(program).with_name("python3")
        return str(beside) if beside.exists() else "/usr/bin/python3"

    @property
    def is_hooked(self) -> bool:
        """Return True if its processes listen, or will at their next start."""
        return _drop_in(self.name, _HOOKED).exists()

    @property
    def is_calmed(self) -> bool:
        """Return True if it waits longer than usual for others."""
        return _drop_in(self.name, _CALMED).exists()

    def processes(self) -> list[dict[str, Any]]:
        """Return what its processes have written of themselves, in the order of their ports."""
        found = []
        for path in _records(self.name).glob("*.json"):
            try:
                said = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
            if isinstance(said, dict) and self._has(said.get("pid")):
                found.append({**said, "program": _title(said["pid"]) or said.get("program", "")})
        return sorted(found, key=lambda said: said.get("port", 0))

    def _has(self, pid: object) -> bool:
        """Return True if a process lives, and is one of the unit's."""
        try:
            return self.name in Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            return False


def look(prefix: str) -> None:
    """Write each unit of a Python program whose name begins so."""
    for unit in _units(f"{prefix}*.service"):
        if not unit.python:
            continue
        _write(
            unit=unit.name,
            service=unit.name.removeprefix(prefix).removesuffix(".service"),
            kind="uwsgi" if unit.is_uwsgi else "python",
            python=unit.python,
            state=unit.state,
            hooked=unit.is_hooked,
            calmed=unit.is_calmed,
            processes=unit.processes(),
        )


def attach(name: str, limit_s: float, variables: Sequence[str]) -> None:
    """Have a unit's processes listen, and write which do; a unit that has the hook keeps it."""
    unit = _unit(name)
    if not unit.python:
        raise NodeError(f"{name} does not run a Python program: {shlex.join(unit.argv)}")
    if not unit.is_hooked or not unit.processes():
        _compile(unit.python)
        _put(unit, _HOOKED, _hook_lines(unit, variables))
        _restart([name])
    _write(processes=_wait_for_listeners(name, limit_s))


def calm(names: Sequence[str], limit_s: float, variables: Sequence[str]) -> None:
    """Give units other variables, unless they have these."""
    lines = [_environment_line(variables)]
    changed = [name for name in names if _put(_unit(name), _CALMED, lines)]
    _restart(changed)
    _wait_until_active(changed, limit_s)


def detach(names: Sequence[str], limit_s: float) -> None:
    """Take away all that `attach` and `calm` have done to these units."""
    changed = []
    for name in names:
        drop_ins = [_drop_in(name, file) for file in (_HOOKED, _CALMED)]
        if any(path.exists() for path in drop_ins):
            changed.append(name)
        for path in drop_ins:
            path.unlink(missing_ok=True)
        shutil.rmtree(_records(name), ignore_errors=True)
    _restart(changed)
    _wait_until_active(changed, limit_s)


def find(name: str, file: str) -> None:
    """Write where a unit's Python finds a file, given as `nova/api/manager.py` or in full."""
    unit = _unit(name)
    if Path(file).is_absolute():
        place = file if Path(file).exists() else ""
    else:
        # -I: without the current directory, which is on the path of what is given by -c.
        place = _call(unit.python, "-I", "-c", _FIND, file).strip()
    if not place:
        raise NodeError(f"{unit.python} of {name} finds no {file}")
    _write(path=place)


# --- units


def _units(pattern: str) -> Iterator[Unit]:
    text = _call("systemctl", "show", f"--property={_PROPERTIES}", pattern)
    for block in text.split("\n\n"):
        properties = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in properties:
            yield Unit(properties)


def _unit(name: str) -> Unit:
    unit = next((unit for unit in _units(name) if unit.argv), None)
    if unit is None:
        raise NodeError(f"{name} is not a unit of this node")
    return unit


def _hook_lines(unit: Unit, variables: Sequence[str]) -> list[str]:
    records = _records(unit.name)
    shutil.rmtree(records, ignore_errors=True)
    records.mkdir(parents=True)
    owner = pwd.getpwnam(unit.user)
    os.chown(records, owner.pw_uid, owner.pw_gid)
    port = f"STACKLAB_DEBUG_PORT={_choose_port(unit.name)}"
    # The last one: a warning on each start, which is not meant for whoever debugs.
    quiet = "PYDEVD_DISABLE_FILE_VALIDATION=1"
    settings = [port, f"STACKLAB_DEBUG_RECORDS={records}", *variables, quiet]
    if unit.is_uwsgi:
        # The last of an option wins over the file that uWSGI reads. One thread: none but the main
        # one is traced from its beginning.
        more = ["--processes", "1", "--threads", "1", "--pythonpath", DIRECTORY]
        argv = [*unit.argv, *more, "--import", "stacklab_debug_worker"]
        # systemctl shows a command with its variables put in, so that a $ is only that.
        start = " ".join(_quote(word).replace("$", "$$") for word in argv)
        return [_environment_line(settings), "ExecStart=", f"ExecStart={start}"]
    path = [DIRECTORY]
    for setting in shlex.split(unit.environment):
        if setting.startswith("PYTHONPATH="):
            path.append(setting.partition("=")[2])
    settings.append(f"PYTHONPATH={':'.join(path)}")
    # Some are only up when a long import is over.
    return [_environment_line(settings), "TimeoutStartSec=infinity"]


def _choose_port(name: str) -> int:
    """Return the first port of ten that no other unit here has."""
    taken: set[int] = set()
    for path in set(Path(_DROP_INS).glob(f"*.d/{_HOOKED}")) - {_drop_in(name, _HOOKED)}:
        taken |= set(map(int, re.findall(r"STACKLAB_DEBUG_PORT=(\d+)", path.read_text())))
    port = _FIRST_PORT
    while port in taken:
        port += _PORTS_PER_UNIT
    return port


def _environment_line(variables: Sequence[str]) -> str:
    return "Environment=" + " ".join(_quote(variable) for variable in variables)


def _quote(word: str) -> str:
    """Quote a word for a unit file: see systemd.syntax(7)."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'


def _title(pid: int) -> str:
    """Return what a worker calls itself, `neutron-server: api worker`; "" for none that does."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""
    title, opening, _ = text.strip("\0").partition(" (")
    return title if opening and "\0" not in title else ""


def _put(unit: Unit, file: str, lines: Sequence[str]) -> bool:
    """Write a drop-in; returns False if it is there with the same lines."""
    path = _drop_in(unit.name, file)
    text = "\n".join(["# stacklab: debug.detach removes it", "[Service]", *lines, ""])
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


def _drop_in(name: str, file: str) -> Path:
    return Path(_DROP_INS, f"{name}.d", file)


def _records(name: str) -> Path:
    return Path(_RECORDS, name)


def _restart(names: Sequence[str]) -> None:
    if names:
        _call("systemctl", "daemon-reload")
        _call("systemctl", "restart", "--no-block", *names)


def _wait_until_active(names: Sequence[str], limit_s: float) -> None:
    """Wait for units that were restarted; raises NodeError for one that does not start."""
    deadline = time.monotonic() + limit_s
    for name in names:
        while _has_job(name) or _unit(name).state != "active":
            if time.monotonic() > deadline:
                raise NodeError(f"{name} ({_unit(name).state}) does not start: {_last_words(name)}")
            time.sleep(_POLL_S)


def _has_job(name: str) -> bool:
    return bool(_call("systemctl", "list-jobs", "--no-legend", name).strip())


def _last_words(name: str) -> str:
    """Return the end of a unit's journal."""
    return _call("journalctl", "-q", "-o", "cat", "-n", str(_LINES), "-u", name).strip()


def _wait_for_listeners(name: str, limit_s: float) -> list[dict[str, Any]]:
    """Return the processes that listen, once no more of them appear."""
    deadline = time.monotonic() + limit_s
    seen: list[dict[str, Any]] = []
    since = time.monotonic()
    while True:
        unit = _unit(name)
        now = unit.processes()
        if now != seen:
            seen, since = now, time.monotonic()
        broken = [said["error"] for said in seen if "error" in said]
        if broken:
            raise NodeError(f"the debugger of {name} did not start: {broken[0]}")
        if seen and unit.state == "active" and time.monotonic() - since >= _SETTLED_S:
            return seen
        if unit.state == "failed" or time.monotonic() > deadline:
            raise NodeError(f"no process of {name} ({unit.state}) listens: {_last_words(name)}")
        time.sleep(_POLL_S)


def _compile(python: str) -> None:
    """Compile the hook and debugpy: no service may write there, and each would do it anew."""
    _call(python, "-m", "compileall", "-q", DIRECTORY, limit_s=600)


# --- the rest


def _call(*argv: str, limit_s: float = _CALL_S) -> str:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=limit_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NodeError(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        raise NodeError(f"{shlex.join(argv[:4])}: {done.stderr.strip()[-_WORDS_MAX:]}")
    return done.stdout


def _write(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def main(words: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("order", choices=("look", "attach", "calm", "detach", "find"))
    parser.add_argument("names", nargs="+")
    parser.add_argument("--limit", type=float, default=120.0)
    parser.add_argument("--set", action="append", default=[])
    chosen = parser.parse_args(words)
    first = chosen.names[0]
    try:
        if chosen.order == "look":
            look(first)
        elif chosen.order == "attach":
            attach(first, chosen.limit, chosen.set)
        elif chosen.order == "calm":
            calm(chosen.names, chosen.limit, chosen.set)
        elif chosen.order == "detach":
            detach(chosen.names, chosen.limit)
        else:
            find(first, chosen.names[1])
    except NodeError as error:
        _write(failed=str(error)[:_WORDS_MAX])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
