"""Every exception that stacklab raises on purpose.

LabError                      1   base: shown as text, never as a traceback
├── SpecError(problems)       2   the user's YAML
├── ToolError                 3   a program that we call
│   ├── ToolNotFound(name)
│   ├── CommandFailed(command, result)
│   └── CommandTimedOut(command, timeout_s)
├── ProviderError             4   libvirt, Vagrant, somebody else's things
│   ├── NotOurs(name)
│   ├── AlreadyRunning(lab)
│   └── NodeNotReady(node)
├── CheckFailed               5   a node does not do what the spec promises
├── NotChecked                6   a check had no answer, none failed
├── CheckWarned               7   all passed, with warnings
├── ImageError                8   a base image cannot be had, or was changed
├── HostError                 9   this machine cannot run that lab
├── RenderError(template)    10   a template that cannot be rendered
└── Interrupted             130   Ctrl-C

The number is the exit code of `invoke`. `hint` is the next thing to type.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from stacklab.foreign import printable


@dataclass(frozen=True, order=True, slots=True)
class Problem:
    """One thing that is wrong in a spec, and where; sorts by place."""

    file: str
    line: int
    column: int
    path: str
    wrong: str
    right: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        what = f"{self.path}: {self.wrong}" if self.path else self.wrong
        return where + what + (f" ({self.right})" if self.right else "")


class LabError(Exception):
    """An expected failure: it names its cause and the next step.

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
    """The lab's YAML has problems; all of them are listed at once."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem], *, hint: str | None = None) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)), hint=hint)


class ToolError(LabError):
    """A program that stacklab calls is missing, failed or hung."""

    exit_code = 3


class ToolNotFound(ToolError):
    """A program is not on PATH."""

    def __init__(self, name: str, *, hint: str | None = None) -> None:
        self.name = name
        super().__init__(f"{name} is not installed", hint=hint or "./invoke doctor")


class CommandFailed(ToolError):
    """A command ended with an exit code that was not expected."""


class CommandTimedOut(ToolError):
    """A command was still running when its time was up."""


class ProviderError(LabError):
    """libvirt or Vagrant refused, or something is not as recorded."""

    exit_code = 4


class NotOurs(ProviderError):
    """Something has a name that this lab needs, and is not this lab's."""


class AlreadyRunning(ProviderError):
    """Another command, or another checkout, holds this lab."""


class NodeNotReady(ProviderError):
    """A node did not answer within its time; the message holds the evidence."""


class CheckFailed(LabError):
    """At least one check of a running lab failed."""

    exit_code = 5


class NotChecked(LabError):
    """Nothing failed, but at least one check could not be tried."""

    exit_code = 6


class CheckWarned(LabError):
    """All checks passed, some with a warning."""

    exit_code = 7


class RenderError(LabError):
    """A template asks for something that the lab does not have."""

    exit_code = 10


class HostError(LabError):
    """This host cannot do what the lab needs: memory, disk, subnet, rights."""

    exit_code = 9


_OF_THE_HOST = frozenset(
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
    """What this machine refused, in our words; None where the cause may as well be a bug."""
    if error.errno not in _OF_THE_HOST:
        return None
    if error.errno in (errno.EACCES, errno.EPERM) and error.filename is not None:
        hint = f"ls -ld {error.filename}, or set STACKLAB_HOME to a directory of your own"
    else:
        hint = (
            "df -h, then ./invoke image.prune"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else "./invoke doctor"
        )
    where = f"{error.filename}: " if error.filename is not None else ""
    return HostError(f"{where}{error.strerror}", hint=hint)


class ImageError(LabError):
    """A base image cannot be had, is not what was pinned, or was changed."""

    exit_code = 8


class Interrupted(LabError):
    """The user pressed Ctrl-C; everything done so far is recorded."""

    exit_code = 130
