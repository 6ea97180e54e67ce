"""Facts about a lab's installer; a lab without one has them, too."""

from __future__ import annotations

from pathlib import PurePosixPath

from stacklab import releases
from stacklab.installers import kit_of
from stacklab.installers.kit.git import CLONES
from stacklab.installers.kit.roles import is_in_cloud
from stacklab.installers.kit.sources import RemoteSource
from stacklab.model.lab import NIC, Lab, Node
from stacklab.releases import Release


def name_nic(lab: Lab, node: Node) -> NIC:
    """Return the NIC whose address a node's name stands for, on every node."""
    kit = kit_of(lab.stack.installer)
    return kit.name_nic(lab, node) if kit else node.access


def directories(lab: Lab) -> tuple[PurePosixPath, ...]:
    """Return the directories on a node that its user owns: answers are put into them."""
    kit = kit_of(lab.stack.installer)
    return kit.directories if kit else (CLONES,)


def remote_sources(lab: Lab, node: Node) -> tuple[RemoteSource, ...]:
    """Return what a node fetches from the world for its cloud; nothing on a bystander."""
    stack = lab.stack
    kit = kit_of(stack.installer)
    if kit is None or not is_in_cloud(lab, node):
        return ()
    # A release that the table lacks is refused elsewhere; here it means that nothing is known.
    if stack.release not in releases.of(stack.installer):
        return ()
    return tuple(kit.sources(lab, node))


def releases_in(lab: Lab) -> tuple[Release, ...]:
    """Return the lab's release, and those of other installers that run beside it."""
    kit = kit_of(lab.stack.installer)
    if kit is None:
        return ()
    release = releases.find(lab.stack.installer, lab.stack.release)
    return (release, *kit.companions(release))
