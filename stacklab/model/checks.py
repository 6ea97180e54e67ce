"""The spec's `checks:`, resolved: the patience of a lab's checks, and those of its author."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CustomKind(StrEnum):
    """The kinds of checks that a lab's author can write."""

    COMMAND = "command"  # runs a command
    PORT = "port"  # connects to a TCP port
    HTTP = "http"  # asks for a page


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomCheck:
    """A check that the lab's author wrote: each of `nodes` runs it, on its own."""

    name: str
    kind: CustomKind
    nodes: tuple[str, ...]  # names of nodes, in the lab's order
    command: str = ""  # for the node's shell, as stack
    exit_code: int = 0
    host: str = ""  # of PORT: a node's name or an address; "": the node itself
    port: int = 0
    url: str = ""
    http_status: int = 200
    text: str = ""  # must be in the command's output, or in the page
    retries: int = 0  # after the first try
    interval_s: float = 1.0
    timeout_s: float = 10.0  # of one try
    is_warning: bool = False  # its failing is a warning


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPolicy:
    """The patience of the checks, and those that the lab's author added."""

    retries: int
    interval_s: float
    boot_timeout_s: float
    custom: tuple[CustomCheck, ...] = ()
