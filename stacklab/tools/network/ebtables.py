"""Command lines of ebtables that cut a bridge's taps into groups. Pure: nothing is run here.

Frames that the bridge forwards between groups are dropped. Frames of the host pass, and each tap
keeps its carrier. The rules are in chains that are named after the bridge: one for each tap that
sends, with one for each tap of the other groups.

Both the sending and the receiving tap are in every rule. The name of a tap that is gone may be
given to another lab tomorrow, and a rule for one end only would then cut that lab.
(`--logical-in` would match the bridge, but not every kernel supports it.)
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

Argv = tuple[str, ...]

# All chains: listing a single one fails both if it does not exist and if we may not look.
LOOK: Argv = ("ebtables", "-L")
PACKAGE = "iptables (Fedora: iptables-nft)"
_CHAIN = re.compile(r"^Bridge chain: ([^,\s]+),", re.M)


def cut(bridge: str, groups: Sequence[Sequence[str]]) -> list[Argv]:
    """Return the commands that cut a bridge into groups; only the last one activates the rules."""
    commands = [_new_chain(bridge)]
    for number, taps in enumerate(groups):
        chain = f"{bridge}-{number}"
        commands.append(_new_chain(chain))
        others = [*groups[:number], *groups[number + 1 :]]
        for receiving in itertools.chain.from_iterable(others):
            commands.append(("ebtables", "-A", chain, "-o", receiving, "-j", "DROP"))
        for sending in taps:
            commands.append(("ebtables", "-A", bridge, "-i", sending, "-j", chain))
    # From here on frames are dropped: until now no chain of the kernel's led here.
    commands.append(("ebtables", "-A", "FORWARD", "-j", bridge))
    return commands


def _new_chain(name: str) -> Argv:
    # RETURN: what no rule of it matches goes on as if the chain were not there.
    return ("ebtables", "-N", name, "-P", "RETURN")


def heal(bridge: str, groups: int) -> list[Argv]:
    """Return the commands that remove all of it; each may fail if there is nothing to remove."""
    # In this order: a chain that is still called, or that has rules, can't be deleted.
    commands: list[Argv] = [
        ("ebtables", "-D", "FORWARD", "-j", bridge),
        ("ebtables", "-F", bridge),
        ("ebtables", "-X", bridge),
    ]
    for number in range(groups):
        chain = f"{bridge}-{number}"
        commands.append(("ebtables", "-F", chain))
        commands.append(("ebtables", "-X", chain))
    return commands


def chains(listing: str) -> frozenset[str]:
    """Return the names of all chains, from the output of LOOK."""
    return frozenset(_CHAIN.findall(listing))
