"""Command lines of ebtables that cut a bridge's taps into groups. Pure: nothing is run here.

Frames that the bridge forwards between groups are dropped. Frames of the host pass, and each tap
keeps its carrier. The rules are in chains that are named after the bridge: one for each tap that
sends, with one for each tap of the other groups.

Both the sending and the receiving tap are in every rule. The name of a tap that is gone may be
given to another lab tomorrow, and a rule for one end only would then cut that lab.
(`--logical-in` would match the bridge, but not every kernel supports it.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Argv = tuple[str, ...]

# All chains: listing a single one fails both if it does not exist and if we may not look.
LOOK: Argv = ("ebtables", "-L")
PACKAGE = "iptables (Fedora: iptables-nft)"
_CHAIN = re.compile(r"^Bridge chain: ([^,\s]+),", re.M)


def cut(bridge: str, groups: Sequence[Sequence[str]]) -> list[Argv]:
    """Return the commands that cut a bridge into groups; only the last one activates the rules."""
    commands: list[Argv] = [("ebtables", "-N", bridge, "-P", "RETURN")]
    for number, taps in enumerate(groups):
        chain = f"{bridge}-{number}"
        commands.append(("ebtables", "-N", chain, "-P", "RETURN"))
        for other, other_taps in enumerate(groups):
            if other != number:
                commands += [
                    ("ebtables", "-A", chain, "-o", tap, "-j", "DROP") for tap in other_taps
                ]
        commands += [("ebtables", "-A", bridge, "-i", tap, "-j", chain) for tap in taps]
    return [*commands, ("ebtables", "-A", "FORWARD", "-j", bridge)]


def heal(bridge: str, groups: int) -> list[Argv]:
    """Return the commands that remove all of it; each may fail if there is nothing to remove."""
    chains = [f"{bridge}-{number}" for number in range(groups)]
    return [
        ("ebtables", "-D", "FORWARD", "-j", bridge),
        ("ebtables", "-F", bridge),
        ("ebtables", "-X", bridge),
        *(("ebtables", flag, chain) for chain in chains for flag in ("-F", "-X")),
    ]


def chains(listing: str) -> frozenset[str]:
    """Return the names of all chains, from the output of LOOK."""
    return frozenset(_CHAIN.findall(listing))
