"""A lab's `checks` as they are written: how patient they are, and those that its author adds."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from stacklab.spec.fields import (
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
    """A check of your own: a command, a port or a page, tried from nodes. It has one of the three."""

    name: CheckName = Field(description="What reports call it; no two checks have the same.")
    command: ShellCommand | None = Field(
        default=None,
        description="A line or a script for bash, run on each of `nodes` as user stack, without input. It passes "
        "when it ends with `exit_code` and `text` is in the last 64 KiB of its output.",
    )
    port: Port | None = Field(
        default=None, description="A TCP port of `host` that each of `nodes` can connect to."
    )
    http: PageUrl | None = Field(
        default=None,
        description="A page that each of `nodes` can get: http://controller:8774/. It passes with `status`, and "
        "`text` in its first MiB. Redirects are not followed; a certificate that the node does not trust fails.",
    )
    nodes: Annotated[tuple[NodeWord, ...], BeforeValidator(as_list), NODE_WORDS_SCHEMA] | None = (
        Field(
            default=None,
            description="Which nodes try it: names of nodes, what is written under `nodes` for all of a count, roles "
            "(controller, compute, node), or all. A node's name comes before a role. Default: all.",
        )
    )
    exit_code: ExitCode | None = Field(
        default=None, description="Of `command`: how it must end. Default: 0."
    )
    text: Phrase | None = Field(
        default=None,
        description="Of `command` or `http`: what must be in its output or page, letter by letter.",
    )
    host: CheckHost | None = Field(
        default=None,
        description="Of `port`: a node's name, or any other name or address. Default: the node itself (127.0.0.1).",
    )
    status: HttpStatus | None = Field(
        default=None, description="Of `http`: its status. Default: 200."
    )
    retries: Retries | None = Field(
        default=None,
        description="Tries on the node, the first one included, 1 to 100, until one passes. Default: 1.",
    )
    interval: Interval | None = Field(
        default=None, description="Seconds between these tries. Default: 1."
    )
    timeout: TryLimit | None = Field(
        default=None, description="Seconds that one try may take, 1 to 600. Default: 10."
    )
    level: Level | None = Field(
        default=None,
        description="warning: when it fails, the lab passes all the same, with a warning. Default: failure.",
    )


class ChecksSpec(Spec):
    """How patient the checks are, and checks of your own."""

    retries: Retries | None = Field(
        default=None, description="Tries per check, the first one included, 1 to 100. Default: 3."
    )
    interval: Interval | None = Field(
        default=None, description="Seconds between tries. Default: 2."
    )
    boot_timeout: Boot | None = Field(
        default=None, description="Seconds until a node must answer. Default: 300."
    )
    custom: tuple[CustomSpec, ...] | None = Field(
        default=None, description="Checks of your own: commands, ports and pages, tried from nodes."
    )
