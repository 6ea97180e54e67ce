"""What every renderer is given and gives back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import jinja2

from stacklab import releases
from stacklab.errors import RenderError
from stacklab.installers.kit.environment import render_template
from stacklab.model.lab import NIC, Lab, Node
from stacklab.model.stack import Role
from stacklab.paths import PROJECT
from stacklab.releases import Bug, Release, operating_system

Rendered: TypeAlias = Mapping[str, Mapping[PurePosixPath, str]]
"""Node name -> absolute path on that node -> text."""

OPENDEV = "https://opendev.org"  # where OpenStack's projects are
CLONES = PurePosixPath("/opt/stack")  # where everything is cloned to: DevStack's own default


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One rendering: the lab, its release, its secrets by name, and the templates."""

    lab: Lab
    release: Release
    secrets: Mapping[str, str]
    env: jinja2.Environment

    def render(self, template: str, node: Node, **context: object) -> str:
        """Render `localrc/<template>` for a node; it knows lab, node, stack, release, secrets and `context`."""
        return render_template(
            self.env,
            template,
            {
                **self.secrets,
                "secrets": self.secrets,
                "lab": self.lab,
                "stack": self.lab.stack,
                "node": node,
                "release": self.release,
                "spec": shown(self.lab.source),
                "template": f"localrc/{template}",
                **context,
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to be done on a node, in the order of the list; `command` is one line of bash."""

    node: str
    title: str
    command: str
    user: str = "stack"  # or root
    done: str = ""  # a command that succeeds when there is nothing left to do; "": always run


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallerAnswers:
    """What one installer needs, what makes its files, and the order of what is done with them."""

    secret_names: Callable[[Lab], tuple[str, ...]]
    render: Callable[[Request], Rendered]
    steps: Callable[[Lab], tuple[Step, ...]]
    shaped: Callable[[Lab, Mapping[str, str]], Mapping[str, str]] | None = (
        None  # secrets in another form than kept
    )


def install_git(node: Node) -> Step:
    """Have git, which a base image has not."""
    return Step(
        node=node.name,
        title="install git",
        command="if command -v apt-get; then apt-get -q update && apt-get -qy install git ca-certificates; "
        "else yum -qy install git ca-certificates; fi",
        user="root",
        done="command -v git",
    )


def clone(node: Node, url: str, ref: str, directory: PurePosixPath) -> Step:
    """Check a repository out into a directory that may hold answer files already, which `git clone` refuses."""
    git = f"git -C {directory}"
    return Step(
        node=node.name,
        title=f"clone {directory.name} at {ref}",
        command=f"git init -q {directory} && {git} fetch -q --depth 1 {url} {ref} && "
        f"{git} checkout -q -f FETCH_HEAD && {git} config stacklab.ref {ref}",
        done=f'test "$({git} config stacklab.ref)" = {ref}',
    )


def release_of(lab: Lab) -> Release:
    """The lab's release; raises RenderError for one that the table has not."""
    stack = lab.stack
    known = releases.of(stack.installer)
    if stack.release not in known:
        raise RenderError(
            f"stack.release: no {stack.release!r} of {stack.installer} (known: {', '.join(known)})"
        )
    return known[stack.release]


def nic_on(lab: Lab, node: Node, network: str) -> NIC:
    """A node's NIC on a network of the cloud; raises RenderError where it has none."""
    nic = node.nic_on(network)
    if nic is None:
        raise RenderError(f"node {node.name} has no NIC on {network}, the network of the stack")
    return nic


def address(lab: Lab, node: Node) -> IPv4Address:
    """A node's own address in the cloud: HOST_IP."""
    return nic_on(lab, node, lab.stack.network).address.ip


def api_address(lab: Lab) -> IPv4Address:
    """Where the controller's APIs are: SERVICE_HOST."""
    return nic_on(lab, lab.controller, lab.stack.api_network or lab.stack.network).address.ip


def git_base(lab: Lab, default: str = OPENDEV) -> str:
    """Where projects are cloned from, without a slash at its end: the spec's word goes before the default."""
    return lab.stack.git_base.rstrip("/") or default


def taken(lab: Lab, network: str) -> Iterator[tuple[str, IPv4Address]]:
    """Every address of a network that somebody has, with whose it is: the host's, then the nodes'."""
    yield "the host", lab.network(network).host_address
    for node, nic in lab.members(network):
        yield node.name, nic.address.ip


def free_of_nodes(lab: Lab, part: IPv4Network, network: str) -> IPv4Network:
    """Give back a range that floating addresses are to come from.

    Raises RenderError where it is no part of the network, and where it holds an
    address of the host or of a node; the hint names a range that does.
    """
    cidr = lab.network(network).cidr
    free = free_part(lab, network, part.prefixlen)
    right = (
        f"floating_range: {free}"
        if free
        else f"a wider cidr for {network}, or other addresses for its nodes"
    )
    if not part.subnet_of(cidr):
        raise RenderError(f"stack.floating_range: {part} is not in {network}, {cidr}", hint=right)
    if found := ", ".join(f"{ip} is {name}'s" for name, ip in taken(lab, network) if ip in part):
        raise RenderError(
            f"stack.floating_range: {part} would be given away, but {found}", hint=right
        )
    return part


def free_part(lab: Lab, network: str, prefix: int) -> IPv4Network | None:
    """The uppermost part of a network that holds nobody's address: of this size, or the next smaller one there is."""
    cidr = lab.network(network).cidr
    addresses = [int(ip) for _name, ip in taken(lab, network)]
    for length in range(max(prefix, cidr.prefixlen + 1), 30):  # the spec takes no smaller one
        size = 1 << (32 - length)
        used = {(address - int(cidr[0])) // size for address in addresses}
        # As many parts as there are addresses can be used: one more, and one of them is free.
        for index in range(count := cidr.num_addresses // size, max(count - len(used) - 1, 0), -1):
            if index - 1 not in used:
                return IPv4Network((int(cidr[0]) + (index - 1) * size, length))
    return None


def has_compute(lab: Lab, node: Node) -> bool:
    """Whether instances run on it: on computes, and on a controller that has none beside it."""
    if node.role is Role.COMPUTE:
        return True
    return node.name == lab.controller.name and not any(
        other.name != node.name for other in lab.computes
    )


def is_in_cloud(lab: Lab, node: Node) -> bool:
    """Whether a node is part of the cloud; one of role `node` is a bystander."""
    return node.role is not Role.NODE or node.name == lab.controller.name


def bugs_on(lab: Lab, release: Release, node: Node) -> tuple[Bug, ...]:
    """The known bugs that a node can meet: those of the release, of its system and role, of the lab's driver."""
    systems = {operating_system(image) for image in lab.images}
    role = "controller" if node.name == lab.controller.name else str(node.role)
    return tuple(
        bug
        for bug in release.bugs
        if bug.role in ("all", role)
        and bug.concerns(lab.stack.driver)
        and (not bug.images or systems & set(bug.images))
    )


def shown(source: Path) -> str:
    """The spec's name as a comment may hold it; the same in every checkout."""
    path = source.relative_to(PROJECT) if source.is_relative_to(PROJECT) else source
    return re.sub(r"[^A-Za-z0-9._/-]", "?", path.as_posix())
