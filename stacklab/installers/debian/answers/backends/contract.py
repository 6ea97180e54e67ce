"""The contract of neutron's backends: everything in which the kit's clouds differ by theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stacklab.installers.debian.answers.options.config import Sections
from stacklab.installers.debian.answers.options.connections import Connections
from stacklab.installers.debian.answers.place import CloudPlace
from stacklab.installers.debian.answers.service import UNIT_PREFIX, Service
from stacklab.installers.kit.complaints import complaints
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import NetworkingMode
from stacklab.stages.stage import Step

NEUTRON_CONF = "/etc/neutron/neutron.conf"
ML2_CONF = "/etc/neutron/plugins/ml2/ml2_conf.ini"
NOVA_CONF = "/etc/nova/nova.conf"


class BackendOptions(Connections):
    """Options of a node's services, beside those of any backend."""

    def all_files(self) -> Mapping[str, Sections]:
        """Return them by file."""
        raise NotImplementedError


def _no_units(_place: CloudPlace) -> tuple[str, ...]:
    return ()


def _no_texts(_place: CloudPlace, _node: Node) -> Mapping[str, str]:
    return MappingProxyType({})


def controllers_complaints(*further_services: str) -> str:
    """Return lines of a script that tell what the controller's services complained of."""
    services = ("nova-scheduler", "nova-conductor", "neutron-server", *further_services)
    return complaints([f"{UNIT_PREFIX}{name}" for name in services])


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One backend: its options, its daemons, its agents."""

    word: NetworkingMode
    # Templates of the script that sets a node's bridges up at each boot, and of its unit.
    bridges_script: str
    bridges_unit: str
    options: type[BackendOptions]
    agents: Callable[[CloudPlace], Iterator[Service]]
    # Waits until neutron has heard every agent: before that, it binds no port.
    wait_for_agents: Callable[[Lab], Step]
    # A script for the controller, as root, that tells why VMs do not reach each other.
    clues: str
    # Further files that everybody may read.
    texts: Callable[[CloudPlace, Node], Mapping[str, str]] = _no_texts
    # Units of Debian's packages that the node's target starts.
    debian_units: Callable[[CloudPlace], tuple[str, ...]] = _no_units
    # Units that have to run then. Some of Debian's only start these.
    daemons: Callable[[CloudPlace], tuple[str, ...]] = _no_units
    # Those of them that are begun again before the bridges are set up.
    below_bridges: tuple[str, ...] = ()
    # What neutron's server needs beside its database, in the words of stacklab-wait.
    server_waits_for: Callable[[CloudPlace], tuple[str, ...]] = _no_units
    # Neutron's gateway has to be told of by the script stacklab-gateway.
    announces_gateway: bool = False
    # OVN's databases on the controller have a chassis for each node, and keep it when that is gone.
    has_chassis: bool = False
