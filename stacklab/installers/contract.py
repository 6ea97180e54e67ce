"""The contract of installers: their kit, which the house asks.

A kit holds facts and functions. Functions of one kind stand in one folder: `answers`
renders files and lists stages, `lint` judges files. Neither imports the other: a lint
that shared code with its renderer could not find the renderer's mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType

from stacklab.installers.kit.addresses import login_nic
from stacklab.installers.kit.git import CLONES
from stacklab.installers.kit.request import Rendered, Request
from stacklab.installers.kit.sources import GitProject, RemoteSource
from stacklab.lint.kinds import Linting
from stacklab.model.certificate import ServerName
from stacklab.model.cloud import CloudAccess, ComputesProgram
from stacklab.model.lab import NIC, Lab, Node
from stacklab.model.release import Release
from stacklab.model.stack import Installer
from stacklab.stages.stage import Stage


def _no_other_forms(_lab: Lab, _secrets: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType({})


def _no_access(_lab: Lab) -> CloudAccess | None:
    return None


def _no_computes_program(_lab: Lab) -> ComputesProgram | None:
    return None


def _no_certificate(_lab: Lab) -> ServerName | None:
    return None


def _no_projects(_lab: Lab) -> tuple[GitProject, ...]:
    return ()


def _no_units(_lab: Lab, _node: Node) -> tuple[str, ...]:
    return ()


def _nothing_left_out(_lab: Lab) -> tuple[str, ...]:
    return ()


def _no_companions(_release: Release) -> tuple[Release, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """One installer, as the rest of the house sees it.

    What a spec's `stack` may ask of it is not here but in its rows of releases
    (localrc/releases.yaml, or releases.yaml in the kit's folder): the spec is read
    before any kit is imported.
    """

    word: Installer
    secret_names: Callable[[Lab], tuple[str, ...]]
    render: Callable[[Request], Rendered]
    stages: Callable[[Lab], tuple[Stage, ...]]
    # Called when something is linted: rendering need not wait for 200 rules.
    linting: Callable[[], Linting]
    # What a node of the cloud fetches from the world while the installer runs.
    sources: Callable[[Lab, Node], Iterable[RemoteSource]]
    # What a mirror of git has to have, so that the nodes need no other server of git.
    git_projects: Callable[[Lab], Iterable[GitProject]] = _no_projects
    # Secrets by name, where a file holds them in another form than they are kept in.
    shaped_secrets: Callable[[Lab, Mapping[str, str]], Mapping[str, str]] = _no_other_forms
    # What other installers call a secret -> what this one calls it.
    secret_aliases: Mapping[str, str] = field(default_factory=dict)
    # The NIC whose address a node's name stands for, on every node.
    name_nic: Callable[[Lab, Node], NIC] = login_nic
    # Directories on a node that the installer's user owns, whatever answers lie in them.
    directories: tuple[PurePosixPath, ...] = (CLONES,)
    # Files and directories on a node where the installer and its services log.
    log_places: tuple[PurePosixPath, ...] = ()
    # Modules that it builds for a node's kernel and loads there.
    own_modules: tuple[str, ...] = ()
    # What the names of files begin with in which every value is a secret.
    secret_files: tuple[str, ...] = ()
    # Units of systemd that have to run on a node once the installer is done.
    units: Callable[[Lab, Node], tuple[str, ...]] = _no_units
    # Patterns, as systemctl takes them, of units that it makes for its services and that all have
    # to run; each fits one at least.
    unit_patterns: Callable[[Lab, Node], tuple[str, ...]] = _no_units
    # What the names of its services' units begin with, before the service's own; "" for others.
    service_prefix: str = ""
    # Each of these units starts a container, in which the service runs.
    has_containers: bool = False
    # How a client logs in to the cloud; None where the kit does not say.
    access: Callable[[Lab], CloudAccess | None] = _no_access
    # Lists computes' VMs, and has the cloud forget computes that are gone; None: nothing does.
    computes_program: Callable[[Lab], ComputesProgram | None] = _no_computes_program
    # Who the certificate of its APIs is for, which is then one of its secrets; None: no TLS.
    certified: Callable[[Lab], ServerName | None] = _no_certificate
    # What the spec asks for and nodes of their kind can't have: each a sentence with the reason.
    left_out: Callable[[Lab], tuple[str, ...]] = _nothing_left_out
    # Releases of other installers that run beside one of this installer's.
    companions: Callable[[Release], tuple[Release, ...]] = _no_companions
    # Its stages take minutes: `lab.up` runs them, too, instead of leaving them to `lab.stack`.
    is_quick: bool = False
