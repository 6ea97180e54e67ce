"""ebtables: keep groups of taps on a bridge from hearing each other. Pure.

The frames that a bridge hands on are dropped between groups; the host's own pass, and
no tap loses its carrier. In chains that bear the bridge's name each tap has a rule for
what it sends, and each other group one for what it is sent.

Only what goes from one tap that is named to another is dropped: the name of a tap that
is gone may be another lab's tomorrow. (`--logical-in` would tell bridges apart, but not
every kernel has it.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Argv = tuple[str, ...]

# Of a single chain it would fail whether that is gone or nobody may look: all are listed.
LOOK: Argv = ("ebtables", "-L")
PACKAGE = "iptables (Fedora: iptables-nft)"
_CHAIN = re.compile(r"^Bridge chain: ([^,\s]+),", re.M)


def cut(bridge: str, groups: Sequence[Sequence[str]]) -> list[Argv]:
    """The commands that part these groups of taps; the one that makes them count is the last."""
    commands: list[Argv] = [("ebtables", "-N", bridge, "-P", "RETURN")]
    for number, taps in enumerate(groups):
        chain = f"{bridge}-{number}"
        others = (tap for other, each in enumerate(groups) if other != number for tap in each)
        commands.append(("ebtables", "-N", chain, "-P", "RETURN"))
        commands += [("ebtables", "-A", chain, "-o", tap, "-j", "DROP") for tap in others]
        commands += [("ebtables", "-A", bridge, "-i", tap, "-j", chain) for tap in taps]
    return [*commands, ("ebtables", "-A", "FORWARD", "-j", bridge)]


def heal(bridge: str, groups: int) -> list[Argv]:
    """The commands that take all of it away; each may fail where there is nothing left to take."""
    chains = [f"{bridge}-{number}" for number in range(groups)]
    return [
        ("ebtables", "-D", "FORWARD", "-j", bridge),
        ("ebtables", "-F", bridge),
        ("ebtables", "-X", bridge),
        *(("ebtables", flag, chain) for chain in chains for flag in ("-F", "-X")),
    ]


def chains(listing: str) -> frozenset[str]:
    """The chains that there are, as LOOK tells."""
    return frozenset(_CHAIN.findall(listing))
