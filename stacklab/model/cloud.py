"""A cloud that runs on a lab's nodes, as its clients see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalNetwork:
    """The network of floating addresses, which the host reaches."""

    physical_network: str  # as neutron calls it
    cidr: IPv4Network
    gateway: IPv4Address
    pool: IPv4Network  # the part of it that may be given away
    name: str = ""  # in the cloud, of one that the installer has made


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudAccess:
    """How its administrator logs in; `password_secret` names one of the lab's secrets."""

    auth_url: str
    username: str
    password_secret: str
    project: str
    region: str
    # What placement must have of each compute: VCPU, MEMORY_MB, DISK_GB -> allocation ratio.
    ratios: Mapping[str, float] = field(default_factory=dict)
    external: ExternalNetwork | None = None
    has_volumes: bool = False  # cinder makes them
    clues: str = ""  # a script for the controller, as root: why VMs are not made, or not reached
    can_migrate: bool = False  # VMs can move between its computes
    dashboard_url: str = ""  # "": it has none
    has_tls: bool = False  # by an authority of the lab's own: see model/certificate.py


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputesProgram:
    """A program for the controller that knows what its cloud has of compute nodes.

    It is run there as root and takes `--patience SECONDS`, for which it waits for APIs that do not
    answer yet, then an order with nodes' names: `vms NODE...` or `forget NODE...`. It writes lines
    of JSON: see drivers/cloud_computes.py.
    """

    argv: tuple[str, ...]
    stdin: bytes
    look_limit_s: float  # of `vms`, without what it waits
    forget_limit_s: float  # of `forget` for one node, without what it waits
