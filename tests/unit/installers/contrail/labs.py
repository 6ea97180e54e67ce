"""Labs made by hand, without a spec: what the tests of the answers render."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from hypothesis import strategies as st

from stacklab.model.checks import CheckPolicy
from stacklab.model.lab import NIC, Lab, Network, NetworkMode, Node, Size
from stacklab.model.stack import Glance, Installer, Overcommit, Plugin, Role, Stack
from stacklab.paths.project import PROJECT

SECRETS = {
    "admin_password": "Admin0123456789abcd",
    "database_password": "Database0123456789",
    "rabbit_password": "Rabbit0123456789abcd",
    "service_password": "Service0123456789abc",
    "service_token": "0123456789abcdef0123456789abcdef",
}
BRANCHES = {"master": "mitaka", "R3.0": "mitaka", "R2.20": "kilo", "R1.06": "havana"}
THREE_NODES = (
    ("controller", Role.CONTROLLER),
    ("compute1", Role.COMPUTE),
    ("compute2", Role.COMPUTE),
)


def make_lab(
    branch: str = "master",
    devstack_branch: str = "",
    *,
    nodes: tuple[tuple[str, Role], ...] = THREE_NODES,
    installer: Installer = Installer.CONTRAIL,
    cloud: str = "10.150.0.0/24",
    device: str = "eth1",
    source: Path = PROJECT / "labs" / "contrail-3node.yaml",
) -> Lab:
    """The lab of mission row 3, or a variation of it."""
    networks = {"mgmt": IPv4Network("192.168.150.0/24"), "fabric": IPv4Network(cloud)}
    devices = {"mgmt": "eth0", "fabric": device}

    def node(number: int, name: str, role: Role) -> Node:
        nics = tuple(
            NIC(
                network=network,
                device=devices[network],
                mac=f"52:54:00:00:0{at}:{number:02x}",
                mtu=1500,
                address=IPv4Interface(f"{cidr[10 + number]}/{cidr.prefixlen}"),
            )
            for at, (network, cidr) in enumerate(networks.items())
        )
        return Node(name=name, role=role, cpus=2, memory=Size(2048), disk=Size(40960), nics=nics)

    return Lab(
        name="contrail-3node",
        description="",
        source=source,
        images=("debian-12",),
        networks=tuple(
            Network(name=name, cidr=cidr, mode=NetworkMode.NAT, mtu=1500, bridge=f"sl-{name}")
            for name, cidr in networks.items()
        ),
        nodes=tuple(node(number, *named) for number, named in enumerate(nodes)),
        stack=Stack(
            installer=installer, network="fabric", release=branch, devstack_branch=devstack_branch
        ),
        checks=CheckPolicy(retries=3, interval_s=1.0, boot_timeout_s=300.0),
    )


def with_options(lab: Lab) -> Lab:
    """The same lab with what nova, glance and DevStack beside Contrail can be asked for."""
    stack = dataclasses.replace(
        lab.stack,
        overcommit=Overcommit(cpu=8.0),
        glance=Glance(direct_copy=True, url_schemes=("http",)),
        fixed_range=IPv4Network("10.77.0.0/24"),
        plugins=(Plugin(name="extra", url="https://git.example.org/extra"),),
    )
    return dataclasses.replace(lab, stack=stack)


VARIANTS = {
    **{
        f"{branch}-3node".lower(): make_lab(branch, devstack)
        for branch, devstack in BRANCHES.items()
    },
    "master-aio": make_lab(nodes=(("aio", Role.NODE),)),
    "r1.06-aio": make_lab("R1.06", nodes=(("aio", Role.CONTROLLER),)),
    "r2.20-options": with_options(make_lab("R2.20")),
}

secrets = st.fixed_dictionaries(
    {
        name: st.text(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            min_size=16,
            max_size=32,
        )
        for name in SECRETS
    }
)


@st.composite
def labs(draw: st.DrawFn) -> Lab:
    """Any lab of one controller and some other nodes, on any network, from a file of any name."""
    others = draw(st.lists(st.sampled_from((Role.COMPUTE, Role.NODE)), max_size=4))
    controller = draw(st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True))
    nodes = (
        (controller, Role.CONTROLLER),
        *((f"n{number}.x", role) for number, role in enumerate(others)),
    )
    cloud = IPv4Network((draw(st.integers(1, 223)) << 24 | draw(st.integers(0, 0xFFFF)) << 8, 24))
    return make_lab(
        draw(st.sampled_from(sorted(BRANCHES))),
        nodes=nodes,
        cloud=str(cloud),
        device=draw(st.from_regex(r"e(th|ns|np0s)[0-9]{1,3}", fullmatch=True)),
        source=Path("/", draw(st.text(min_size=1).filter(lambda name: "\0" not in name))),
    )
