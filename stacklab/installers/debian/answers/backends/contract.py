"""The contract of neutron's backends: everything in which the kit's clouds differ by theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from stacklab.installers.debian.answers.config import Sections
from stacklab.installers.debian.answers.place import CloudPlace
from stacklab.installers.debian.answers.service import Service
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import NetworkingMode
from stacklab.stages.stage import Step

NEUTRON_CONF = "/etc/neutron/neutron.conf"
ML2_CONF = "/etc/neutron/plugins/ml2/ml2_conf.ini"
NOVA_CONF = "/etc/nova/nova.conf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One backend: its options, its daemons, its agents."""

    word: NetworkingMode
    # Templates of the script that sets a node's bridges up at each boot, and of its unit.
    bridges_script: str
    bridges_unit: str
    # Options by file, beside those that neutron and nova have with any backend. The lab's secrets
    # are the second argument.
    options: Callable[[CloudPlace, Mapping[str, str]], Mapping[str, Sections]]
    # Further files that everybody may read.
    texts: Callable[[CloudPlace, Node], Mapping[str, str]]
    # Units of Debian's packages that the node's target starts.
    debian_units: Callable[[CloudPlace], tuple[str, ...]]
    # Units that have to run then. Some of Debian's only start these.
    daemons: Callable[[CloudPlace], tuple[str, ...]]
    # Those of them that are begun again before the bridges are set up.
    below_bridges: tuple[str, ...]
    # What neutron's server needs beside its database, in the words of stacklab-wait.
    server_waits_for: Callable[[CloudPlace], tuple[str, ...]]
    agents: Callable[[CloudPlace], Iterator[Service]]
    # Neutron's gateway has to be told of by the script stacklab-gateway.
    announces_gateway: bool
    # Waits until neutron has heard every agent: before that, it binds no port.
    wait_for_agents: Callable[[Lab], Step]
    # A script for the controller, as root, that tells why VMs do not reach each other.
    clues: str
