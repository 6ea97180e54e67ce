"""The debuggers that a service can be put under, and what each of them is made of."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PathDistribution
from pathlib import Path, PurePosixPath

from stacklab.errors import LabError
from stacklab.paths.project import PROJECT
from stacklab.process.command import Runner
from stacklab.progress import Progress
from stacklab.tools.venvs import Venv, venvs_directory
from stacklab.words import suggest

_MOST_BYTES = 100 * 1024 * 1024  # of an egg, unpacked
# What reading raises for what is not an archive, for an encrypted one, and for an unknown packing.
_NO_EGG = (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class DebuggerKind:
    """A debugger, as `debug.attach --with` names it."""

    name: str
    ide: str
    distribution: str  # at PyPI
    is_called: bool  # the service calls the IDE's debug server; else the IDE attaches

    @property
    def venv(self) -> Venv:
        """Return the venv in which it is on this host, to be copied to nodes."""
        requirements = "debug" if self.name == "debugpy" else self.name
        return Venv(
            name=f".cloud/{requirements}",
            directory=venvs_directory() / ".cloud" / requirements,
            requirements=PROJECT / "requirements" / f"{requirements}.txt",
        )


DEBUGPY = DebuggerKind(name="debugpy", ide="VS Code", distribution="debugpy", is_called=False)
PYDEV = DebuggerKind(name="pydev", ide="PyDev", distribution="pydevd", is_called=True)
PYCHARM = DebuggerKind(name="pycharm", ide="PyCharm", distribution="pydevd_pycharm", is_called=True)
DEBUGGERS = (DEBUGPY, PYCHARM, PYDEV)


def debugger_named(name: str) -> DebuggerKind:
    """Return the debugger of that name; raises LabError for none."""
    for kind in DEBUGGERS:
        if kind.name == name:
            return kind
    names = [kind.name for kind in DEBUGGERS]
    raise LabError(f"{name!r} is not a debugger", hint=suggest(name, names, label="debuggers"))


def files_of(
    runner: Runner, progress: Progress, kind: DebuggerKind, egg: Path | None = None
) -> Mapping[str, bytes]:
    """Return a debugger's files, by the path that each has where its packages lie.

    As Python, for a node of any release. `egg` is PyCharm's own, in place of the one of PyPI, which
    fits only one build of the IDE. Raises LabError for a file that is not such an egg.
    """
    if egg is not None:
        return _files_of_egg(egg)
    kind.venv.prepare(runner, tell=lambda text: progress.note("host", text))
    (packages,) = kind.venv.directory.glob("lib/python*/site-packages")
    (described,) = packages.glob(f"{kind.distribution}-*.dist-info")
    names = sorted(str(path) for path in PathDistribution(described).files or ())
    return {name: (packages / name).read_bytes() for name in names if _is_wanted(name)}


def _files_of_egg(egg: Path) -> Mapping[str, bytes]:
    hint = "PyCharm has it in its own directory: debug-eggs/pydevd-pycharm.egg"
    try:
        with zipfile.ZipFile(egg) as archive:
            members = [each for each in archive.infolist() if _is_wanted(each.filename)]
            if sum(each.file_size for each in members) > _MOST_BYTES:
                raise LabError(f"{egg} is larger than any debugger", hint=hint)
            files = {each.filename: archive.read(each) for each in members}
    except _NO_EGG as error:
        raise LabError(f"{egg} can't be read as an egg: {error}", hint=hint) from error
    if "pydevd_pycharm.py" not in files:
        raise LabError(f"{egg} has no pydevd_pycharm.py", hint=hint)
    return files


def _is_wanted(name: str) -> bool:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or path.parts[:1] == ("tests",):
        return False
    # The library has threads traced that are there already.
    return path.suffix == ".py" or path.match("attach_linux_*.so")
