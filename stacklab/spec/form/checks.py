"""The form of a lab's `checks`: limits of the built-in ones, and checks that the author adds."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from stacklab.spec.form.fields import (
    NODE_WORDS_SCHEMA,
    Boot,
    CheckHost,
    CheckName,
    ExitCode,
    HttpStatus,
    Interval,
    Level,
    NodeWord,
    PageUrl,
    Phrase,
    Port,
    Retries,
    ShellCommand,
    Spec,
    TryLimit,
    as_list,
)


class CustomSpec(Spec):
    """A check of your own, run on nodes: exactly one of a command, a port and a web page."""

    name: CheckName = Field(description="Its name in reports, unique in the lab.")
    # Exactly one of these three; spec/rules/checks.py sees to that.
    command: ShellCommand | None = Field(
        default=None,
        description="A line or a script for bash, run on each of `nodes` as user stack, without "
        "input. It passes when it ends with `exit_code` and `text` is in the last 64 KiB of its "
        "output.",
    )
    port: Port | None = Field(
        default=None, description="A TCP port of `host` that each of `nodes` can connect to."
    )
    http: PageUrl | None = Field(
        default=None,
        description="A page that each of `nodes` can get: http://controller:8774/. It passes if "
        "its status is `status` and `text` is in its first MiB. Redirects are not followed; a "
        "certificate that the node does not trust fails.",
    )
    nodes: Annotated[tuple[NodeWord, ...], BeforeValidator(as_list), NODE_WORDS_SCHEMA] | None = (
        Field(
            default=None,
            description="The nodes that run it: names of nodes, the name of an entry with a count "
            "for all of its nodes, roles (controller, compute, node), or all. A node's name comes "
            "before a role. Default: all.",
        )
    )
    # Each of these belongs to some kinds of checks only.
    exit_code: ExitCode | None = Field(
        default=None, description="Of `command`: the exit code with which it passes. Default: 0."
    )
    text: Phrase | None = Field(
        default=None,
        description="Of `command` or `http`: the exact text that its output or page must contain.",
    )
    host: CheckHost | None = Field(
        default=None,
        description="Of `port`: a node's name, or any other name or address. "
        "Default: the node itself (127.0.0.1).",
    )
    status: HttpStatus | None = Field(
        default=None, description="Of `http`: the status with which it passes. Default: 200."
    )
    # How it is tried; unlike the built-in checks, once by default.
    retries: Retries | None = Field(
        default=None,
        description="How many times it is tried on the node until it passes, 1 to 100. Default: 1.",
    )
    interval: Interval | None = Field(
        default=None, description="Seconds between these tries. Default: 1."
    )
    timeout: TryLimit | None = Field(
        default=None, description="Seconds that one try may take, 1 to 600. Default: 10."
    )
    level: Level | None = Field(
        default=None,
        description="warning: if it fails, the lab still passes, with a warning. Default: failure.",
    )


class ChecksSpec(Spec):
    """Limits of the checks, and checks of your own."""

    retries: Retries | None = Field(
        default=None,
        description="How many times a check is tried until it passes, 1 to 100. Default: 3.",
    )
    interval: Interval | None = Field(
        default=None, description="Seconds between tries. Default: 2."
    )
    boot_timeout: Boot | None = Field(
        default=None, description="Seconds within which a node must answer. Default: 300."
    )
    custom: tuple[CustomSpec, ...] | None = Field(
        default=None, description="Checks of your own, run on nodes: commands, ports and web pages."
    )
