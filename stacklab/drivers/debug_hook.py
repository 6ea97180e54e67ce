"""Have a service of OpenStack listen for a debugger; its own Python imports this at its start.

On a node it lies as `stacklab_debug.py` beside debugpy, `sitecustomize.py` and
`stacklab_debug_worker.py`, which both call `start`. A drop-in of the service's unit sets

    STACKLAB_DEBUG_PORT     the port of its first process; others take the following ones
    STACKLAB_DEBUG_RECORDS  a directory in which each process writes PID.json once it listens

Whatever goes wrong here is written there, and never keeps the service from its work.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

PORT = "STACKLAB_DEBUG_PORT"
RECORDS = "STACKLAB_DEBUG_RECORDS"
MOST_PROCESSES = 10
_LOOPBACK = "127.0.0.1"  # whoever reaches the port can run any code as the service's user
# Their first process only looks after others, which do the work and have to be debugged instead.
_FORKING = (
    "cinder-volume",
    "glance-api",
    "neutron-api",
    "neutron-rpc-server",
    "neutron-server",
    "nova-api",
    "nova-api-metadata",
)
# What eventlet patches, and what these are made of.
_PATCHED = (
    "_thread",
    "os",
    "posix",
    "queue",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
)
_OF_DEBUGGER = ("debugpy", "pydev", "_pydev")
_WORDS_MAX = 300  # of an error


def start() -> None:
    """Begin to listen, unless nobody asked for it."""
    # Taken away at once: debugpy's adapter and all that the service starts inherit what is left,
    # and would begin to listen, too, each with an adapter of its own that does the same.
    port, records = os.environ.pop(PORT, ""), os.environ.pop(RECORDS, "")
    _leave_python_path()
    if not port or not records:
        return
    process = _Process(int(port), records)
    process.prepare()
    if _program() in _FORKING:
        os.register_at_fork(after_in_child=process.listen)
    else:
        process.listen()


def _leave_python_path() -> None:
    """Take this module's directory out of the path that programs of the service inherit."""
    own = str(Path(__file__).absolute().parent)
    left = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path != own]
    if any(left):
        os.environ["PYTHONPATH"] = os.pathsep.join(left)
    else:
        os.environ.pop("PYTHONPATH", None)


def _program() -> str:
    """Return the program's name; sys.argv is not there yet when sitecustomize is imported."""
    for word in sys.orig_argv[1:]:
        if not word.startswith("-"):
            return Path(word).name
    return Path(sys.executable).name  # uWSGI, which gives its Python no arguments


class _Process:
    """This process of the service."""

    def __init__(self, first_port: int, records: str) -> None:
        self._first_port = first_port
        self._records = Path(records)
        self._is_listening = False
        self._debugpy: Any = None
        self._apart = _Apart()

    def prepare(self) -> None:
        """Import debugpy, before the service has patched anything."""
        try:
            with self._apart:
                # debugpy itself would import the debugger when it is told to listen.
                importlib.import_module("debugpy.server.api")
                self._debugpy = sys.modules["debugpy"]
        except Exception as error:
            self._write(error=f"{type(error).__name__}: {error}"[:_WORDS_MAX])

    def listen(self) -> None:
        """Listen at the first port that no other process of the service has."""
        if self._is_listening or self._debugpy is None:
            return  # a child of one that listens: its parent is the one to be debugged
        self._is_listening = True
        try:
            port = self._first_port + self._claim()
            with self._apart:
                self._debugpy.configure(subProcess=False, python=_python())
                self._debugpy.listen((_LOOPBACK, port))
        except Exception as error:
            self._write(error=f"{type(error).__name__}: {error}"[:_WORDS_MAX])
        else:
            self._write(port=port)

    def _claim(self) -> int:
        """Return a number that is this process's own as long as it lives."""
        for number in range(MOST_PROCESSES):
            path = self._records / f"{number}.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                return number  # the open file keeps it
        raise RuntimeError(f"the service has more than {MOST_PROCESSES} processes")

    def _write(self, **said: object) -> None:
        path = self._records / f"{os.getpid()}.json"
        new = path.with_suffix(".new")
        try:
            new.write_text(json.dumps({"pid": os.getpid(), "program": _program(), **said}))
            new.replace(path)
        except OSError as error:
            print(f"stacklab_debug: {path}: {error}", file=sys.stderr)


def _python() -> str:
    """Return the interpreter for debugpy's adapter; under uWSGI sys.executable is uWSGI."""
    if Path(sys.executable).name.startswith("python"):
        return sys.executable
    return str(Path(sys.prefix, "bin", "python3"))


class _Apart:
    """A context in which the debugger finds modules that are its own.

    A debugger does not work with the threads, sockets and clocks of eventlet, and a service whose
    threads are left as they are waits for itself. eventlet patches modules in place: so the
    debugger keeps others, those of before.
    """

    def __init__(self) -> None:
        self._own: dict[str, ModuleType] = {}
        self._before: dict[str, ModuleType] = {}

    def __enter__(self) -> None:
        """Take the service's modules away."""
        self._before = dict(sys.modules)
        if self._own:
            sys.modules.update(self._own)
            return
        for name in _PATCHED:
            module = sys.modules.pop(name, None)
            if module is not None and not hasattr(module, "__file__"):
                # Built into the interpreter, which would return the same one again.
                sys.modules[name] = _copy(module)

    def __exit__(self, *error: object) -> None:
        """Give the service its own back; what the debugger has imported it imports anew."""
        for name, module in list(sys.modules.items()):
            if self._before.get(name) is not module:
                self._own[name] = module
                if not name.startswith(_OF_DEBUGGER):
                    del sys.modules[name]
        sys.modules.update(self._before)


def _copy(module: ModuleType) -> ModuleType:
    copy = ModuleType(module.__name__)
    vars(copy).update(vars(module))
    return copy
