"""What a healthy node's script would write, and ways to spoil it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection

from stacklab.model import Lab
from stacklab.process import Command, Result


def node_of(command: Command) -> str:
    """Which node a session goes to."""
    return command.argv[command.argv.index("--") + 1]


def script_of(command: Command) -> str:
    """The script that a session carries."""
    return (command.stdin or b"").decode()


def answer(
    lab: Lab,
    command: Command,
    *,
    lost: Collection[str] = (),
    unknown: Collection[str] = (),
    refused: Collection[str] = (),
) -> Result:
    """Answer what the script asks, no more: `lost` addresses, `unknown` names, `refused` ssh peers."""
    node, text = node_of(command), script_of(command)
    found = re.search(r"^m=(\S+)$", text, re.MULTILINE)
    assert found is not None
    m = found[1]
    out = [f"{m} begin"]
    if "hostname" in text:
        out.append(f"{m} hostname {node}")
    if line := re.search(r"^fping (.*) 2>&1$", text, re.MULTILINE):
        addresses = shlex.split(line[1])[9:]
        out += [f"{each} : {'- - -' if each in lost else '0.5 1.25 0.4'}" for each in addresses]
        out.append(f"{m} fping {int(any(each in lost for each in addresses))}")
    for name in re.findall(r"^lookup (\S+) &$", text, re.MULTILINE):
        address = lab.node(name).access.address.ip
        out.append(
            f"{m} name {name} 2 " if name in unknown else f"{m} name {name} 0 {address} STREAM {name} {address} DGRAM"
        )
    for name in re.findall(r"^reach (\S+) &$", text, re.MULTILINE):
        bad = f"{m} ssh {name} 255 ssh: connect to host {name} port 22: Connection refused"
        out.append(bad if name in refused else f"{m} ssh {name} 0 ")
    return Result(exit_code=0, stdout="\n".join([*out, f"{m} end", ""]), elapsed_s=0.8)
