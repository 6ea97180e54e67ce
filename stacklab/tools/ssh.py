"""Use OpenSSH: the lab's ssh_config, commands that use it, and the meaning of its errors.

Host keys are made by us and pinned, so every command here checks them strictly.
"""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from stacklab.model.lab import Lab, Node
from stacklab.paths import LabPaths
from stacklab.process import Command

USER = "stack"
CONNECT_TIMEOUT_S = 10
_TRIPS = 12  # answers of a node before a session has begun: TCP, versions, keys, log-in
UNREACHED = 255  # ssh's own exit code when it, not the remote command, failed

# unix(7): sun_path has 108 bytes with its NUL; ssh first binds `<path>.<16 random letters>`.
_SOCKET_PATH_MAX = 107
_SOCKET_SUFFIX = 17
_ANY_CODE = tuple(range(256))
# Of what one command on a node writes: the node may be hostile, and this host's memory is not.
MOST_BYTES = 8 * 1024 * 1024


class Trouble(StrEnum):
    """Meanings of ssh's errors, in stable words."""

    HOST_KEY = "host-key"  # the host key is not the one on record
    DENIED = "denied"
    REFUSED = "refused"
    TIMED_OUT = "timed-out"
    UNREACHABLE = "unreachable"
    NAME_UNKNOWN = "name-unknown"
    CLOSED = "closed"


# The first match wins, so the loudest and surest causes stand first.
_CAUSES = tuple(
    (re.compile(pattern, re.IGNORECASE), trouble, words)
    for pattern, trouble, words in (
        (
            r"REMOTE HOST IDENTIFICATION HAS CHANGED|HOST KEY FOR .{1,300} HAS CHANGED",
            Trouble.HOST_KEY,
            "HOST KEY MISMATCH",
        ),
        (
            r"Host key verification failed|No \w+ host key is known",
            Trouble.HOST_KEY,
            "HOST KEY MISMATCH",
        ),
        (
            r"UNPROTECTED PRIVATE KEY FILE",
            Trouble.DENIED,
            "permission denied: the private key is open to others",
        ),
        (
            r"Permission denied|Too many authentication failures",
            Trouble.DENIED,
            "permission denied",
        ),
        (r"Connection refused", Trouble.REFUSED, "refused"),
        (r"timed out|timeout, server|no end after", Trouble.TIMED_OUT, "timed out"),
        (
            r"No route to host|(Network|Host) is unreachable",
            Trouble.UNREACHABLE,
            "unreachable",
        ),
        (
            r"Could not resolve hostname|Name or service not known|Temporary failure in name",
            Trouble.NAME_UNKNOWN,
            "name not known",
        ),
        (
            r"Connection (reset|closed)|Broken pipe|kex_exchange_identification",
            Trouble.CLOSED,
            "connection closed",
        ),
    )
)


def render_config(lab: Lab, paths: LabPaths) -> str:
    """Render an ssh_config with one entry per node, and nothing from the user's own."""
    sections = ["# Written by stacklab. Use: ssh -F THIS_FILE NODE"]
    sections += [_host_section(node) for node in lab.nodes]
    # Last: ssh takes the first value that it finds of an option.
    sections.append(_common_section(lab, paths))
    return "\n".join(sections)


def _host_section(node: Node) -> str:
    address = node.access.address.ip
    return f"Host {node.name}\n  HostName {address}\n  HostKeyAlias {node.name}\n"


def _common_section(lab: Lab, paths: LabPaths) -> str:
    options = [
        ("User", USER),
        ("Port", "22"),
        ("AddressFamily", "inet"),
        ("IdentityFile", _quote_path(paths.private_key)),
        ("IdentitiesOnly", "yes"),
        ("IdentityAgent", "none"),
        ("UserKnownHostsFile", _quote_path(paths.known_hosts)),
        ("GlobalKnownHostsFile", "/dev/null"),
        ("StrictHostKeyChecking", "yes"),
        ("UpdateHostKeys", "no"),
        ("PasswordAuthentication", "no"),
        ("KbdInteractiveAuthentication", "no"),
        ("BatchMode", "yes"),
        ("ConnectTimeout", str(patience_s(lab))),
        ("ServerAliveInterval", "10"),
        ("ServerAliveCountMax", "3"),
        ("LogLevel", "ERROR"),
    ]
    if can_share(lab, paths):
        options += [
            ("ControlMaster", "auto"),
            ("ControlPath", _quote_path(paths.sockets, tokens="/%n")),
            ("ControlPersist", "10m"),
        ]
    lines = [f"  {name} {value}\n" for name, value in options]
    return "Host *\n" + "".join(lines)


def patience_s(lab: Lab) -> int:
    """Return how long logging in may take: a node's first NIC may be declared to be late."""
    delays_ms = [node.access.impairment.delay_ms for node in lab.nodes]
    late_ms = max(delays_ms, default=0.0)
    return CONNECT_TIMEOUT_S + math.ceil(_TRIPS * late_ms / 1000)


def can_share(lab: Lab, paths: LabPaths) -> bool:
    """Return True if the paths of the sockets of shared connections are short enough."""
    lengths = [len(os.fsencode(paths.sockets / node.name)) for node in lab.nodes]
    longest = max(lengths)
    return longest + _SOCKET_SUFFIX <= _SOCKET_PATH_MAX


def _quote_path(path: Path, *, tokens: str = "") -> str:
    """Quote for ssh_config(5), where `%` begins a token and a blank ends a word."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}{tokens}"'


def _ssh_argv(paths: LabPaths, *options: str) -> tuple[str, ...]:
    return ("ssh", "-F", str(paths.ssh_config), *options)


def script_command(paths: LabPaths, node: str, script: str, *, timeout_s: float) -> Command:
    """Run a POSIX shell script on a node, given on stdin: any size, and without quoting."""
    return Command(
        argv=_ssh_argv(paths, "-T", "--", node, "sh -s"),
        what=f"running a script on {node}",
        stdin=script.encode(),
        timeout_s=timeout_s,
        ok_codes=_ANY_CODE,
        most_bytes=MOST_BYTES,
    )


def exec_command(
    paths: LabPaths, node: str, argv: Sequence[str], *, timeout_s: float | None = None
) -> Command:
    """Run a user's command on a node; any exit code is an answer.

    One word is a line for the node's shell (`"uptime; id"`), several are kept apart as given.
    """
    return Command(
        argv=_ssh_argv(paths, "-T", "--", node, _shell_line(argv)),
        what=f"running a command on {node}",
        timeout_s=timeout_s,
        ok_codes=_ANY_CODE,
        most_bytes=MOST_BYTES,
    )


def _shell_line(argv: Sequence[str]) -> str:
    return argv[0] if len(argv) == 1 else shlex.join(argv)


def root_command(paths: LabPaths, node: str, script: str, *, what: str) -> Command:
    """Run a POSIX shell script on a node as root, given on stdin, without a time limit."""
    return Command(
        argv=_ssh_argv(paths, "-T", "--", node, "sudo -n sh -s"),
        what=what,
        stdin=script.encode(),
        ok_codes=_ANY_CODE,
        most_bytes=MOST_BYTES,
    )


def login_command(paths: LabPaths, node: str, argv: Sequence[str] = ()) -> Command:
    """Log in on the user's terminal, or run a command there, which may ask and paint."""
    words: tuple[str, ...] = ("--", node)
    if argv:
        # Without -t ssh gives a command no terminal; without one here it would complain of -t.
        terminal = ("-t",) if os.isatty(0) else ()
        words = (*terminal, *words, _shell_line(argv))
    return Command(
        argv=_ssh_argv(paths, *words),
        what=f"logged in on {node}",
        interactive=True,
        ok_codes=_ANY_CODE,
    )


def close_command(paths: LabPaths, node: str) -> Command:
    """End the shared connection of a node; if it does not exist (exit code 255), that is fine."""
    return Command(
        argv=_ssh_argv(paths, "-O", "exit", "--", node),
        what=f"closing the shared connection to {node}",
        timeout_s=5,
        ok_codes=(0, UNREACHED),
    )


def classify(text: str) -> str:
    """Return in a few words why ssh failed, from what it wrote; "" for an unknown cause."""
    for pattern, _trouble, words in _CAUSES:
        if pattern.search(text):
            return words
    return ""


def trouble(text: str) -> Trouble | None:
    """Return the stable word for the cause that `classify` names; None for an unknown cause."""
    for pattern, kind, _words in _CAUSES:
        if pattern.search(text):
            return kind
    return None
