"""Installers, and what the house asks of a lab's installer; a lab without one has answers, too.

Each is one folder here with a `kit.py`, and one word in `model.stack.Installer`.

`KITS` is the only list of installers. Importing it imports no kit: `kit_of` does, when
a lab asks for one, so that no lab waits for the installers of others.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from pathlib import PurePath, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING

from stacklab import releases
from stacklab.installers.kit.git import CLONES
from stacklab.installers.kit.roles import compute_nodes, is_in_cloud
from stacklab.installers.kit.sources import GitProject, RemoteSource
from stacklab.model.cloud import ComputesProgram
from stacklab.model.lab import NIC, Lab, Node
from stacklab.model.release import Release
from stacklab.model.stack import NO_INSTALLER, Installer

if TYPE_CHECKING:
    from stacklab.installers.contract import Kit

# Where each installer's kit is: the folder has the installer's own name.
KITS: Mapping[Installer, str] = MappingProxyType(
    {word: f"{__name__}.{word}.kit" for word in Installer if word is not NO_INSTALLER}
)


@functools.cache
def kit_of(word: Installer) -> Kit | None:
    """Import and return an installer's kit; None for a lab without an installer."""
    if word is NO_INSTALLER:
        return None
    kit: Kit = importlib.import_module(KITS[word]).KIT
    return kit


def is_secret_file(path: PurePath) -> bool:
    """Return True if some installer keeps nothing but secrets in files of that name."""
    # A tuple of beginnings, which is empty for most installers: then nothing matches.
    return any(path.name.startswith(kit.secret_files) for kit in all_kits())


def all_kits() -> tuple[Kit, ...]:
    """Import and return every kit, in the order of `KITS`."""
    kits = []
    for word in KITS:
        kit = kit_of(word)
        if kit is not None:  # never, as KITS has only installers
            kits.append(kit)
    return tuple(kits)


def name_nic(lab: Lab, node: Node) -> NIC:
    """Return the NIC whose address a node's name stands for, on every node."""
    kit = kit_of(lab.stack.installer)
    return kit.name_nic(lab, node) if kit else node.access


def directories(lab: Lab) -> tuple[PurePosixPath, ...]:
    """Return the directories on a node that its user owns: answers are put into them."""
    kit = kit_of(lab.stack.installer)
    return kit.directories if kit else (CLONES,)


def is_quick(lab: Lab) -> bool:
    """Return True if the lab's installer is so quick that `lab.up` runs it."""
    kit = kit_of(lab.stack.installer)
    return kit is not None and kit.is_quick


def left_out(lab: Lab) -> tuple[str, ...]:
    """Return what the lab's spec asks for and its nodes can't have, with the reasons."""
    kit = kit_of(lab.stack.installer)
    return kit.left_out(lab) if kit else ()


def dashboard_url(lab: Lab) -> str:
    """Return where the cloud's dashboard is for people; "" without one."""
    kit = kit_of(lab.stack.installer)
    access = kit.access(lab) if kit else None
    return access.dashboard_url if access else ""


def computes_program(lab: Lab) -> ComputesProgram | None:
    """Return what lists a compute's VMs and has the lab's cloud forget it; None: nothing does."""
    kit = kit_of(lab.stack.installer)
    return kit.computes_program(lab) if kit else None


def leaving_computes(made: Lab, lab: Lab) -> tuple[str, ...]:
    """Return the computes of a lab as it was made that its cloud of today does not have.

    None of them where the cloud itself is another one: by its installer or its controller.
    """
    if kit_of(made.stack.installer) is None:
        return ()
    cloud_then = (made.stack.installer, made.controller.name)
    cloud_now = (lab.stack.installer, lab.controller.name)
    if cloud_then != cloud_now:
        return ()
    in_cloud = {node.name for node in lab.nodes if is_in_cloud(lab, node)}
    computes_then = [node.name for node in compute_nodes(made)]
    return tuple(name for name in computes_then if name not in in_cloud)


def own_modules(lab: Lab) -> tuple[str, ...]:
    """Return the kernel modules that the lab's installer builds and loads on nodes."""
    kit = kit_of(lab.stack.installer)
    return kit.own_modules if kit else ()


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


def git_projects(lab: Lab) -> tuple[GitProject, ...]:
    """Return what a mirror of git needs to have for the lab; () if its kit clones nothing of it."""
    kit = kit_of(lab.stack.installer)
    if kit is None or lab.stack.release not in releases.of(lab.stack.installer):
        return ()
    return tuple(kit.git_projects(lab))


def releases_in(lab: Lab) -> tuple[Release, ...]:
    """Return the lab's release, and those of other installers that run beside it."""
    kit = kit_of(lab.stack.installer)
    if kit is None:
        return ()
    release = releases.find(lab.stack.installer, lab.stack.release)
    return (release, *kit.companions(release))
