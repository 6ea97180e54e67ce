"""What a healthy node would write, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Collection

from stacklab.checks.pairs import shell as script
from stacklab.dev.simulated import simulate
from stacklab.dev.simulated.simulate import node_of, script_of
from stacklab.installers import name_nic
from stacklab.model.lab import Lab
from stacklab.process import Command, Result

__all__ = ["answer", "node_of", "script_of"]


def answer(
    lab: Lab,
    command: Command,
    *,
    lost: Collection[str] = (),
    unknown: Collection[str] = (),
    refused: Collection[str] = (),
) -> Result:
    """Answer what the script asks, no more.

    `lost` addresses, `unknown` names, `refused` ssh peers.
    """
    nameless = {str(name_nic(lab, lab.node(name)).address.ip) for name in unknown}

    def spoil(node: str, tag: str, lines: list[str], code: int) -> tuple[list[str], int]:
        if tag == script.PINGS:
            heard = [line for line in lines if line.split()[0].rstrip(":") not in lost]
            # Who is silent is asked for no other size; the rest of the addresses come after `size`.
            silent = [line.split()[0] for line in lines[: _own(lines)] if line.split()[0] in lost]
            return [*(f"{address} : - - -" for address in silent), *heard], 1 if silent else code
        if tag == script.NAMES:
            lines = [line for line in lines if line.split()[0] not in nameless]
        if tag == script.LOGINS:
            shut = {name: name_nic(lab, lab.node(name)).address.ip for name in refused}
            said = "ssh: connect to host port 22: Connection refused"
            lines = [
                f"login {name} 255 {said}" if (name := _login(line)) in shut else line
                for line in lines
            ]
            lines += [
                f"silent {shut[name]} 1 {said}" for line in lines if (name := _login(line)) in shut
            ]
        return lines, code

    return Result(
        exit_code=0, stdout="\n".join(simulate.answer(lab, command, spoil)) + "\n", elapsed_s=0.8
    )


def _own(lines: list[str]) -> int:
    """How many lines there are before the first with another size."""
    return next(
        (number for number, line in enumerate(lines) if line.startswith("size ")), len(lines)
    )


def _login(line: str) -> str:
    """Whose login a line is about."""
    return line.split()[1] if line.startswith("login ") else ""
