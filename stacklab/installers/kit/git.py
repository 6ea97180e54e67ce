"""Git on a node: where projects come from, where they go, and the steps that fetch them."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import PurePosixPath

from stacklab.model.lab import Lab, Node
from stacklab.stages.stage import Step

OPENDEV = "https://opendev.org"  # where OpenStack's projects are
CLONES = PurePosixPath("/opt/stack")  # where everything is cloned to: DevStack's own default


def git_base(lab: Lab, default: str = OPENDEV) -> str:
    """Return where projects are cloned from, without a final slash; the spec's wish comes first."""
    return lab.stack.git_base.rstrip("/") or mirror_url(lab) or default


def mirror_url(lab: Lab) -> str:
    """Return where the nodes find the lab's mirror of git, without a final slash; "" for none."""
    if served_directory(lab):
        return f"git://{served_at(lab)}"
    return lab.stack.mirrors.git_from.rstrip("/")


def served_directory(lab: Lab) -> str:
    """Return the directory of this host that is served to the nodes; "" if none is."""
    mirror = lab.stack.mirrors.git_from
    # A base of the spec's own goes before any mirror.
    return mirror if mirror.startswith("/") and not lab.stack.git_base else ""


def served_at(lab: Lab) -> IPv4Address:
    """Return the host's own address on the network by which it logs in."""
    return lab.network(lab.controller.access.network).host_address


def install_git(node: Node) -> Step:
    """Return the step that installs git, which base images lack."""
    return Step(
        node=node.name,
        title="install git",
        command="if command -v apt-get; then apt-get -q update && "
        "apt-get -qy install git ca-certificates; "
        "else yum -qy install git ca-certificates; fi",
        user="root",
        done="command -v git",
    )


def clone(node: Node, url: str, ref: str, directory: PurePosixPath) -> Step:
    """Return the step that checks a repository out into a directory.

    `git clone` would refuse a directory that holds answer files already.
    """
    # The ref is kept in the clone's configuration: HEAD alone does not tell which it was.
    git = f"git -C {directory}"
    return Step(
        node=node.name,
        title=f"clone {directory.name} at {ref}",
        command=f"git init -q {directory} && {git} fetch -q --depth 1 {url} {ref} && "
        f"{git} checkout -q -f FETCH_HEAD && {git} config stacklab.ref {ref}",
        done=f'test "$({git} config stacklab.ref)" = {ref}',
    )
