"""Every exception that stacklab raises on purpose, with the exit code of `./invoke`.

LabError               1   base class: shown as text, never as a traceback
├── SpecError          2   the lab's YAML file has problems
├── ToolError          3   a program that stacklab calls failed
│   ├── ToolNotFound           it is not installed
│   ├── CommandFailed          it ended with an unexpected exit code
│   └── CommandTimedOut        it did not end in time
├── ProviderError      4   libvirt or Vagrant refused
│   ├── NotOurs                a domain or network belongs to somebody else
│   ├── AlreadyRunning         another process or checkout holds the lab
│   └── NodeNotReady           a node did not answer in time
├── CheckFailed        5   at least one check failed
├── NotChecked         6   no check failed, but at least one could not be run
├── CheckWarned        7   all checks passed, some with a warning (lab.check --strict)
├── ImageError         8   a base image is not available, or was changed
├── HostError          9   this host cannot do what the lab needs
├── RenderError       10   a template could not be rendered
├── StageFailed       11   a stage of the lab's installer failed
│   └── SourceUnreached        what it would fetch can't be had: no stage was begun
└── Interrupted      130   the user pressed Ctrl-C

Any other exception is a bug in stacklab and keeps its traceback.
"""

from __future__ import annotations

import errno
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from stacklab.foreign import printable


@dataclass(frozen=True, order=True, slots=True)
class Problem:
    """One mistake in a spec and its place in the file; problems sort by that place."""

    file: str
    line: int  # from 1, as editors count
    column: int
    path: str  # the keys that lead there: nodes.controller.nics[0]
    wrong: str
    right: str = ""  # what to write instead, if that is known

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: "
        if self.path:
            text += f"{self.path}: "
        text += self.wrong
        if self.right:
            text += f" ({self.right})"
        return text


class LabError(Exception):
    """An expected failure: the message names the cause, `hint` the next command to type.

    A message may quote what a node or a program wrote, so it is made printable here. Whoever
    quotes several lines of foreign text also indents them (`foreign.printable` does).
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        message = printable(message, indent="")  # our own lines stand where they stand
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.hint}" if self.hint else self.message


class SpecError(LabError):
    """The lab's YAML file has problems; the message lists all of them."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem], *, hint: str | None = None) -> None:
        # A set: two rules may find the same mistake.
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)), hint=hint)


class ToolError(LabError):
    """A program that stacklab calls is missing, failed or did not end."""

    exit_code = 3


class ToolNotFound(ToolError):
    """A program is not on PATH."""

    def __init__(self, name: str, *, hint: str | None = None) -> None:
        self.name = name
        super().__init__(f"{name} is not installed", hint=hint or "./invoke doctor")


class CommandFailed(ToolError):
    """A command ended with an unexpected exit code."""


class CommandTimedOut(ToolError):
    """A command was stopped because its time limit was over."""


class ProviderError(LabError):
    """libvirt or Vagrant refused, or the lab is not as it was recorded."""

    exit_code = 4


class NotOurs(ProviderError):
    """A domain, network or file has a name that this lab needs, but belongs to somebody else."""


class AlreadyRunning(ProviderError):
    """Another process, or another checkout of stacklab, holds this lab."""


class NodeNotReady(ProviderError):
    """A node did not answer in time; the message holds what is known about the cause."""


class CheckFailed(LabError):
    """At least one check of a running lab failed."""

    exit_code = 5


class NotChecked(LabError):
    """No check failed, but at least one could not be run."""

    exit_code = 6


class CheckWarned(LabError):
    """All checks passed, but at least one gave a warning; only a strict run ends with it."""

    exit_code = 7


class RenderError(LabError):
    """A template needs a value that the lab does not have."""

    exit_code = 10


class StageFailed(LabError):
    """A stage of the lab's installer failed on a node; the message names step, node and log."""

    exit_code = 11


class SourceUnreached(StageFailed):
    """A node can't have what a stage would fetch; found out before anything was changed."""


class HostError(LabError):
    """This host lacks what the lab needs: memory, disk space, a free subnet, permissions."""

    exit_code = 9


# Errors that come from the state of this host. Others, such as ENOENT, may come from a bug.
_HOST_ERRNOS = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EMFILE,
        errno.ENFILE,
        errno.EIO,
    }
)


def of_host(error: OSError) -> HostError | None:
    """Return the HostError for an error of the system, or None if it may come from a bug."""
    if error.errno not in _HOST_ERRNOS:
        return None
    prefix = f"{error.filename}: " if error.filename is not None else ""
    return HostError(f"{prefix}{error.strerror}", hint=_host_hint(error))


def _host_hint(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f" {shlex.quote(str(Path(str(error.filename)).parent))}" if error.filename else ""
        return f"df -h{place}, then ./invoke image.prune"
    if error.errno in (errno.EACCES, errno.EPERM) and error.filename is not None:
        return f"ls -ld {error.filename}, or set STACKLAB_HOME to a directory of your own"
    return "./invoke doctor"


class ImageError(LabError):
    """A base image is not available, does not match its pinned digest, or was changed."""

    exit_code = 8


class Interrupted(LabError):
    """The user pressed Ctrl-C; all that was done so far is recorded."""

    exit_code = 130  # 128 + SIGINT, as shells have it
