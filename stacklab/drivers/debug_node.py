"""Make services on a node debuggable, and undo that; what is done does not outlive a boot.

Runs on the node as root, in one piece with `node_units`, with nothing but Python's own library:

    python3 - look PREFIX             each unit PREFIX*.service that runs a Python program
    python3 - port UNIT               the port that `attach` of a debugger that is called will call
    python3 - attach UNIT [--with DEBUGGER] [--set NAME=VALUE]...
    python3 - detach UNIT...
    python3 - give UNIT... --for WORD --set NAME=VALUE     variables, and no debugger
    python3 - take UNIT... --for WORD                      without these
    python3 - find UNIT FILE          where that unit's Python has a source file, or a package
    python3 - report UNIT             what its main process does: threads, greenlets, options

All that is changed is a drop-in for the unit, and the unit is restarted. `attach` has its program
import the hook that lies in DIRECTORY; `debug_hook.py` says what that does. `detach` also takes
what was given for patience with it. `--limit SECONDS` is how long a restart may take.

Writes a line of JSON for each thing, at once. A last line {"failed": WORDS} says what went wrong,
and the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stacklab.drivers.node_calls import WORDS_MAX, NodeError, call, write
from stacklab.drivers.node_units import (
    ARGUMENTS,
    CONTAINER_RECORDS,
    DIRECTORY,
    DROP_INS,
    GIVEN,
    HOOKED,
    POLL_S,
    RECORDS,
    Unit,
    drop_in,
    environment_line,
    give,
    last_words,
    put,
    quote,
    restart,
    take,
    unit_of,
    units,
)

_WORKER = "stacklab_debug_worker"
_LISTENING = "debugpy"  # the others call
_FIRST_PORT = 5678  # debugpy's own
_PORTS_PER_UNIT = 10
_REPORT_S = 1.0  # between two looks at a report
_COMPILE_S = 600
_SETTLED_S = 3.0  # after one process listens, others of the same unit follow soon
# Where a package that the debugged program would import lies, as its own interpreter finds it.
_FIND = """\
import importlib.util, os, sys
sys.path[:] = [path for path in sys.path if path]  # without the current directory
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


def look(prefix: str) -> None:
    """Write each unit of a Python program whose name begins so."""
    for unit in units(f"{prefix}*.service"):
        # One that does not start under the debugger has no program in its container.
        if not unit.python and not unit.is_hooked and not unit.given:
            continue
        write(
            unit=unit.name,
            service=_service_of(unit.name.removeprefix(prefix)),
            kind="uwsgi" if unit.is_uwsgi else "python",
            container=unit.container.name if unit.container else "",
            engine=unit.container.engine if unit.container else "",
            python=unit.python,
            state=unit.state,
            hooked=unit.is_hooked,
            debugger=_debugger_of(unit.name),
            given=unit.given,
            processes=unit.processes(),
        )


def _service_of(name: str) -> str:
    """Return a service's name; kolla's units are called kolla-NAME-container.service."""
    return name.removesuffix(".service").removesuffix("-container")


def attach(name: str, debugger: str, limit_s: float, variables: Sequence[str]) -> None:
    """Have a unit's processes listen, or call, and write which do.

    Those that listen for this debugger already are left alone.
    """
    unit = unit_of(name)
    if not unit.python:
        raise NodeError(f"{name} does not run a Python program: {shlex.join(unit.argv)}")
    listening = [said for said in unit.processes() if "error" not in said]
    if debugger != _LISTENING or _debugger_of(name) != _LISTENING or not listening:
        _place(unit)
        put(unit, HOOKED, _hook_lines(unit, debugger, variables))
        restart([name])
    write(processes=_wait_for_processes(name, limit_s))


def find(name: str, file: str) -> None:
    """Write where a unit's Python finds a file, given as `nova/api/manager.py` or in full."""
    unit = unit_of(name)
    if Path(file).is_absolute():
        place = file if unit.has_file(file) else ""
    else:
        place = unit.run_python("-c", _FIND, file).strip()
    if not place:
        raise NodeError(f"{unit.python} of {name} finds no {file}")
    write(path=place)


def report(name: str, limit_s: float) -> None:
    """Have a unit's main process write a Guru Meditation Report, and write its lines.

    Source: docs.openstack.org/oslo.reports, "Usage": it is asked for by SIGUSR2.
    """
    pid = unit_of(name).pid
    if not _catches_report_signal(pid):
        raise NodeError(f"{name} does not write reports: its main process would end of SIGUSR2")
    since = time.time()
    os.kill(int(pid), signal.SIGUSR2)
    deadline = time.monotonic() + limit_s
    argv = ("journalctl", "-q", "-o", "cat", "-u", name, f"--since=@{int(since)}")
    lines: list[str] = []
    while time.monotonic() < deadline:
        before = lines
        lines = _report_of(call(*argv).splitlines())
        # It has a thousand lines, which come one by one.
        if lines and lines == before:
            break
        time.sleep(_REPORT_S)
    if not lines:
        raise NodeError(f"{name} has written no report in {limit_s:.0f} s: is it stopped?")
    for line in lines:
        write(line=line)


def _report_of(lines: Sequence[str]) -> list[str]:
    """Return the last report among the lines of a journal."""
    starts = [number for number, line in enumerate(lines) if "Guru Meditation" in line]
    return list(lines[starts[-1] - 1 if starts[-1] else 0 :]) if starts else []


def _catches_report_signal(pid: str) -> bool:
    """Return True if a process has a handler for SIGUSR2, which would end it otherwise."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    found = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> (signal.SIGUSR2 - 1) & 1)


def _hook_lines(unit: Unit, debugger: str, variables: Sequence[str]) -> list[str]:
    chosen = (
        f"STACKLAB_DEBUG_WITH={debugger}",
        f"STACKLAB_DEBUG_PORT={_choose_port(unit.name)}",
        f"STACKLAB_DEBUG_RECORDS={_make_records(unit)}",
    )
    # The last one: a warning on each start, which is not meant for whoever debugs.
    quiet = "PYDEVD_DISABLE_FILE_VALIDATION=1"
    settings = [*chosen, *variables, quiet]
    if unit.is_uwsgi:
        return [environment_line(settings), *_uwsgi_lines(unit)]
    others = [path for path in unit.python_path if path != DIRECTORY]
    settings.append(f"PYTHONPATH={':'.join([DIRECTORY, *others])}")
    # Some are only up when a long import is over.
    return [environment_line(settings), "TimeoutStartSec=infinity"]


def _uwsgi_lines(unit: Unit) -> list[str]:
    """Return the lines by which uWSGI imports the hook, in its only process.

    The last of an option wins over the file that uWSGI reads. One thread: none but the main one is
    traced from its beginning.
    """
    more = ["--processes", "1", "--threads", "1", "--pythonpath", DIRECTORY]
    more += ["--import", _WORKER]
    if unit.container:
        return [ARGUMENTS + " ".join(more)]
    # It has them already if it is under a debugger.
    argv = unit.argv if _WORKER in unit.argv else [*unit.argv, *more]
    # systemctl shows a command with its variables put in, so that a $ is only that.
    start = " ".join(quote(word).replace("$", "$$") for word in argv)
    return ["ExecStart=", f"ExecStart={start}"]


def _make_records(unit: Unit) -> str:
    """Make the directory in which a unit's processes write of themselves, as they see it."""
    if unit.container:
        unit.container.make_own(CONTAINER_RECORDS)
        return CONTAINER_RECORDS
    directory = Path(RECORDS, unit.name)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    owner = pwd.getpwnam(unit.user)
    os.chown(directory, owner.pw_uid, owner.pw_gid)
    return str(directory)


def _debugger_of(name: str) -> str:
    """Return the debugger that a unit's drop-in names; "" for a unit without."""
    try:
        text = drop_in(name, HOOKED).read_text()
    except OSError:
        return ""
    found = re.search(r"STACKLAB_DEBUG_WITH=(\w+)", text)
    return found[1] if found else ""


def _choose_port(name: str) -> int:
    """Return the first port of ten that no other unit here has."""
    taken: set[int] = set()
    for path in set(Path(DROP_INS).glob(f"*.d/{HOOKED}")) - {drop_in(name, HOOKED)}:
        taken |= set(map(int, re.findall(r"STACKLAB_DEBUG_PORT=(\d+)", path.read_text())))
    port = _FIRST_PORT
    while port in taken:
        port += _PORTS_PER_UNIT
    return port


def _wait_for_processes(name: str, limit_s: float) -> list[dict[str, Any]]:
    """Return the processes that listen, or have called, once no more of them appear."""
    deadline = time.monotonic() + limit_s
    seen: list[dict[str, Any]] = []
    since = time.monotonic()
    while True:
        unit = unit_of(name)
        now = unit.processes()
        if now != seen:
            seen, since = now, time.monotonic()
        broken = [said["error"] for said in seen if "error" in said]
        if broken:
            raise NodeError(f"the debugger of {name} did not start: {broken[0]}")
        if seen and unit.state == "active" and time.monotonic() - since >= _SETTLED_S:
            return seen
        if unit.state == "failed" or time.monotonic() > deadline:
            raise NodeError(f"no process of {name} ({unit.state}) is ready: {last_words(name)}")
        time.sleep(POLL_S)


def _place(unit: Unit) -> None:
    """Place the hook and debuggers where the unit's program finds them, and compile them.

    No service may write there, and each would do it anew.
    """
    compile_all = (unit.python, "-m", "compileall", "-q", DIRECTORY)
    if unit.container:
        if unit.container.has_own_network:
            raise NodeError(f"the container of {unit.name} does not have the node's network")
        unit.container.refuse_unusable()
        unit.container.put_directory(DIRECTORY)
    # PyCharm's has files that are for Python 2 alone; what is not compiled is only slower.
    with contextlib.suppress(NodeError):
        if unit.container:
            unit.container.run(*compile_all, user="root", limit_s=_COMPILE_S)
        else:
            call(*compile_all, limit_s=_COMPILE_S)


def main(words: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser()
    orders = ("look", "port", "attach", "give", "take", "detach", "find", "report")
    parser.add_argument("order", choices=orders)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--for", dest="word", choices=tuple(GIVEN), default="patience")
    parser.add_argument("--with", dest="debugger", default=_LISTENING)
    parser.add_argument("--limit", type=float, default=120.0)
    parser.add_argument("--set", action="append", default=[])
    chosen = parser.parse_args(words)
    first = chosen.names[0]
    try:
        if chosen.order == "look":
            look(first)
        elif chosen.order == "attach":
            attach(first, chosen.debugger, chosen.limit, chosen.set)
        elif chosen.order == "port":
            write(port=_choose_port(unit_of(first).name))
        elif chosen.order == "give":
            give(chosen.names, chosen.word, chosen.limit, chosen.set)
        elif chosen.order == "take":
            take(chosen.names, [GIVEN[chosen.word]], chosen.limit)
        elif chosen.order == "detach":
            take(chosen.names, [HOOKED, GIVEN["patience"]], chosen.limit)
        elif chosen.order == "report":
            report(first, chosen.limit)
        else:
            find(first, chosen.names[1])
    # A process may have ended a moment ago.
    except (NodeError, OSError) as error:
        write(failed=str(error)[:WORDS_MAX])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
