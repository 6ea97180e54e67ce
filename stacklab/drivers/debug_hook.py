"""Put a service of OpenStack under a debugger; its own Python imports this at its start.

On a node it lies as `stacklab_debug.py` beside `sitecustomize.py` and `stacklab_debug_worker.py`,
which both call `start`, and beside a directory for each debugger. A drop-in of the service's unit
sets

    STACKLAB_DEBUG_WITH     debugpy, for which the service listens; or pydev or pycharm, whose
                            debug server is called by the service
    STACKLAB_DEBUG_PORT     debugpy: the port of its first process, others take the following ones;
                            pydev, pycharm: the port that leads to the debug server
    STACKLAB_DEBUG_RECORDS  a directory in which each process writes PID.json once it listens, or
                            has called

Whatever goes wrong here is written there, and never keeps the service from its work.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threading import Event

WITH = "STACKLAB_DEBUG_WITH"
PORT = "STACKLAB_DEBUG_PORT"
RECORDS = "STACKLAB_DEBUG_RECORDS"
MOST_PROCESSES = 10
_LOOPBACK = "127.0.0.1"  # whoever reaches the port can run any code as the service's user
# The modules of debuggers that call a debug server.
_CALLING = {"pydev": "pydevd", "pycharm": "pydevd_pycharm"}
_ANSWER_S = 10.0  # a debug server that has not answered by then is not waited for
_LOOK_S = 0.1
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
    kind = os.environ.pop(WITH, "")
    _leave_python_path()
    if not port or not records:
        return
    process = _ServiceProcess(_debugger_of(kind or "debugpy"), int(port), Path(records))
    process.prepare()
    if _program() in _FORKING:
        os.register_at_fork(after_in_child=process.begin)
    else:
        process.begin()


def _started() -> str:
    """Return when this process began, in the kernel's ticks: another one has another number."""
    return Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]


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


def _debugger_of(kind: str) -> _Debugpy | _Calling:
    # Last, so that none of its modules hides one of the service's.
    sys.path.append(str(Path(__file__).absolute().parent / f"with-{kind}"))
    return _Calling(_CALLING[kind]) if kind in _CALLING else _Debugpy()


class _ServiceProcess:
    """This process of the service."""

    def __init__(self, debugger: _Debugpy | _Calling, first_port: int, records: Path) -> None:
        self._debugger = debugger
        self._first_port = first_port
        self._records = records
        self._is_ready = False
        self._has_begun = False
        self._apart = _Apart()

    def prepare(self) -> None:
        """Import the debugger, before the service has patched anything."""
        try:
            with self._apart:
                self._debugger.load()
            self._is_ready = True
        except Exception as error:
            self._write(error=f"{type(error).__name__}: {error}"[:_WORDS_MAX])

    def begin(self) -> None:
        """Listen for a debugger, or call it."""
        if self._has_begun or not self._is_ready:
            return  # a child of one that has: its parent is the one to be debugged
        self._has_begun = True
        try:
            port = self._first_port
            if self._debugger.listens:
                port += self._claim()
            with self._apart:
                self._debugger.begin(port)
        # A debugger that can't connect may call sys.exit.
        except (Exception, SystemExit) as error:
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
            own = {"pid": os.getpid(), "started": _started(), "program": _program()}
            new.write_text(json.dumps({**own, **said}))
            new.replace(path)
        except OSError as error:
            print(f"stacklab_debug: {path}: {error}", file=sys.stderr)


class _Debugpy:
    """A debugger that listens; an IDE attaches at any time."""

    listens = True

    def __init__(self) -> None:
        self._module: Any = None

    def load(self) -> None:
        # debugpy itself would import the debugger when it is told to listen.
        importlib.import_module("debugpy.server.api")
        self._module = sys.modules["debugpy"]

    def begin(self, port: int) -> None:
        self._module.configure(subProcess=False, python=_python())
        self._module.listen((_LOOPBACK, port))


class _Calling:
    """A debugger that calls the debug server of an IDE, once.

    Source: pydevd's `settrace` (PyDev.Debugger), and that of pydevd-pycharm.
    """

    listens = False

    def __init__(self, module: str) -> None:
        self._name = module
        self._module: Any = None
        self._connected: Any = None  # pydevd's own debugger

    def load(self) -> None:
        self._module = importlib.import_module(self._name)

    def begin(self, port: int) -> None:
        # It waits for the server's word to go on, without an end. These are of before eventlet.
        threading = importlib.import_module("threading")
        gone_on: Event = threading.Event()
        patience = threading.Thread(target=self._go_on, args=(gone_on,), daemon=True)
        patience.start()
        try:
            with self._kept():
                # Otherwise it would stop here, and take what the service logs.
                self._module.settrace(
                    _LOOPBACK,
                    port=port,
                    suspend=False,
                    stdout_to_server=False,
                    stderr_to_server=False,
                    patch_multiprocessing=False,
                )
        finally:
            is_answered = not gone_on.is_set()
            gone_on.set()
        if not is_answered:
            raise ConnectionError("the debug server has ended, or does not answer")

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """Keep the debugger that connects: at the end of its connection it is known no more."""
        debugger_class = sys.modules["pydevd"].PyDB
        connect = debugger_class.connect

        def keep(debugger: Any, *words: Any) -> Any:  # noqa: ANN401  pydevd's
            self._connected = debugger
            return connect(debugger, *words)

        debugger_class.connect = keep
        try:
            yield
        finally:
            debugger_class.connect = connect

    def _go_on(self, gone_on: Event) -> None:
        """Say in place of a server that does not, or has gone, that the program may run."""
        holder = sys.modules["_pydevd_bundle.pydevd_constants"].GlobalDebuggerHolder
        deadline = time.monotonic() + _ANSWER_S
        while time.monotonic() < deadline:
            if gone_on.wait(_LOOK_S):
                return
            if self._connected is not None and holder.global_dbg is None:
                break  # the connection has ended, and with it all but the wait
        gone_on.set()
        if self._connected is not None:
            self._connected.ready_to_run = True


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
