"""Lab <-> JSON: what the Vagrantfile, `lab.show --json` and a lab's record read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import IPv4Interface

from stacklab.codec import JSON, Codec, Computed, NotSuchData, Spread, SpreadPart
from stacklab.errors import LabError
from stacklab.model.lab import Lab, Network, Size


# Spread's parts, joined: what is computed is not among them.
def _interface(address: str, prefix: int) -> IPv4Interface:
    return IPv4Interface((address, prefix))


# The files on disk follow the dataclasses' fields, but for these: Ruby computes no netmasks.
_CODEC = Codec(
    Lab,
    spreads={
        # As a number of MiB, so that Ruby need not parse a unit.
        Size: Spread(
            parts=(SpreadPart(key="{}_mib", kind=int, value_of=lambda size: size.mib),), join=Size
        ),
        IPv4Interface: Spread(
            parts=(
                SpreadPart(key="{}", kind=str, value_of=lambda interface: str(interface.ip)),
                SpreadPart(
                    key="prefix",
                    kind=int,
                    value_of=lambda interface: interface.network.prefixlen,
                ),
                SpreadPart(
                    key="netmask",
                    kind=str,
                    value_of=lambda interface: str(interface.netmask),
                    is_computed=True,
                ),
            ),
            join=_interface,
        ),
    },
    computed={
        Network: (
            Computed(
                key="host_address",
                after="bridge",
                value_of=lambda network: str(network.host_address),
            ),
        )
    },
)


def to_dict(lab: Lab) -> dict[str, JSON]:
    """Return everything about the lab, ready for json.dumps, in a fixed order.

    What can be computed (netmask, host_address) is there too, so that no reader has to.
    No secret is in it.
    """
    return _CODEC.encode(lab)


def from_dict(mapping: Mapping[str, object]) -> Lab:
    """Return the lab that to_dict() was given; raises LabError when the mapping is not a lab."""
    try:
        return _CODEC.decode(mapping)
    except NotSuchData as error:
        raise LabError(f"not a resolved lab: {error}", hint="./invoke lab.list") from error


def to_json(lab: Lab) -> str:
    """Return the resolved lab as JSON."""
    return json.dumps(to_dict(lab), indent=2) + "\n"


def from_json(text: str) -> Lab:
    """Return the lab that to_json was given; raise LabError for a damaged text."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise LabError(f"the resolved lab on record is damaged: {error}") from error
    return from_dict(data)
