"""Linux bridges: an agent on every node, tunnels by VXLAN, routers and DHCP on the controller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stacklab.installers.debian.answers import ports, tls
from stacklab.installers.debian.answers.backends.contract import (
    ML2_CONF,
    NEUTRON_CONF,
    Backend,
    BackendOptions,
    controllers_complaints,
)
from stacklab.installers.debian.answers.database import wait_for_count
from stacklab.installers.debian.answers.options.config import Sections
from stacklab.installers.debian.answers.place import PHYSICAL_NETWORK, CloudPlace
from stacklab.installers.debian.answers.service import Service
from stacklab.installers.kit.roles import is_in_cloud
from stacklab.model.lab import Lab
from stacklab.model.stack import NetworkingMode
from stacklab.stages.stage import Step

EXTERNAL_BRIDGE = "br-ex"
# An agent's program -> its configuration, and what neutron calls it.
_BRIDGE_AGENT = "neutron-linuxbridge-agent"
_CONTROLLER_AGENTS = ("neutron-dhcp-agent", "neutron-l3-agent", "neutron-metadata-agent")
_FILES = {
    _BRIDGE_AGENT: "/etc/neutron/plugins/ml2/linuxbridge_agent.ini",
    "neutron-dhcp-agent": "/etc/neutron/dhcp_agent.ini",
    "neutron-l3-agent": "/etc/neutron/l3_agent.ini",
    "neutron-metadata-agent": "/etc/neutron/metadata_agent.ini",
}
_TITLES = {
    _BRIDGE_AGENT: "Linux bridge agent",
    "neutron-dhcp-agent": "DHCP agent",
    "neutron-l3-agent": "L3 agent",
    "neutron-metadata-agent": "Metadata agent",
}
# Seconds; what neutron heard longer ago may be from before a reboot.
_HEARD_WITHIN_S = 60
# They run as root.
_AS_ROOT = {"root_helper": "", "report_interval": 30}


class _LinuxBridgeOptions(BackendOptions):
    """Options of clouds with Linux bridges."""

    def all_files(self) -> Mapping[str, Sections]:
        """See BackendOptions.all_files."""
        files: dict[str, Sections] = {
            NEUTRON_CONF: {
                "DEFAULT": {"service_plugins": "router", "dhcp_agents_per_network": 1},
                # Zed's neutron starts neither server nor agent without it.
                "experimental": {"linuxbridge": True},
            },
            _FILES[_BRIDGE_AGENT]: self._bridge_agent(),
        }
        if self._place.is_controller:
            files[ML2_CONF] = self._ml2()
            files[_FILES["neutron-dhcp-agent"]] = self._namespaces()
            files[_FILES["neutron-l3-agent"]] = self._namespaces()
            files[_FILES["neutron-metadata-agent"]] = self._metadata()
        return files

    def _ml2(self) -> Sections:
        return {
            "ml2": {
                "type_drivers": "flat,vxlan",
                "tenant_network_types": "vxlan",
                "mechanism_drivers": "linuxbridge,l2population",
                "extension_drivers": "port_security",
            },
            "ml2_type_flat": {"flat_networks": PHYSICAL_NETWORK},
            "ml2_type_vxlan": {"vni_ranges": "1:1000"},
            "securitygroup": {"enable_security_group": True},
        }

    def _bridge_agent(self) -> Sections:
        mappings = f"{PHYSICAL_NETWORK}:{EXTERNAL_BRIDGE}" if self._place.external_nic else ""
        return {
            "linux_bridge": {"bridge_mappings": mappings},
            "vxlan": {
                "enable_vxlan": True,
                "local_ip": self._place.data_nic.address.ip,
                # No multicast: neutron tells each agent where the others' ports are.
                "l2_population": True,
            },
            "agent": _AS_ROOT,
            "securitygroup": {
                "enable_security_group": True,
                "firewall_driver": "iptables",
                "enable_ipset": False,
            },
        }

    def _namespaces(self) -> Sections:
        """Return the options of an agent that works in namespaces of its own."""
        return {
            "DEFAULT": {"interface_driver": "linuxbridge", "state_path": "/var/lib/neutron"},
            "agent": _AS_ROOT,
        }


def _programs(*, is_controller: bool) -> tuple[str, ...]:
    return (_BRIDGE_AGENT, *_CONTROLLER_AGENTS) if is_controller else (_BRIDGE_AGENT,)


def _agents(place: CloudPlace) -> Iterator[Service]:
    at = place.controller
    for program in _programs(is_controller=place.is_controller):
        yield Service(
            name=program,
            user="root",
            command=f"/usr/bin/{program} --config-file={NEUTRON_CONF} "
            f"--config-file={_FILES[program]}",
            waits_for=(f"tcp:{at}:{ports.MESSAGES}", tls.api_answers(place, ports.NEUTRON)),
            # haproxy, by which VMs get metadata, wants two for each of 1,024 connections.
            lines=("LimitNOFILE=65535",),
        )


def _wait_for_agents(lab: Lab) -> Step:
    """Return the step that asks the database: a client would be a minute's work under emulation."""
    wanted = []
    for node in lab.nodes:
        if is_in_cloud(lab, node):
            is_controller = node.name == lab.controller.name
            for program in _programs(is_controller=is_controller):
                wanted.append(f"('{_TITLES[program]}', '{node.name}')")
    query = (
        "SELECT COUNT(*) FROM neutron.agents "
        f"WHERE (agent_type, host) IN ({', '.join(wanted)}) "
        f"AND heartbeat_timestamp > UTC_TIMESTAMP() - INTERVAL {_HEARD_WITHIN_S} SECOND"
    )
    return Step(
        node=lab.controller.name,
        title="wait until neutron has heard every agent",
        command=wait_for_count(query, len(wanted)),
        user="root",
    )


# It tells what the controller's bridges have for ports: of a tenant's network, its tunnel and those
# of its router and of DHCP.
_CLUES = r"""
echo "bridges of the controller, with their ports:"
bridge link show | cut -c1-160 | tail -n 12
for tunnel in $(ip -o link show type vxlan | cut -d: -f2); do
    ends=$(bridge fdb show dev "$tunnel" | grep -o 'dst [0-9.]*' | sort -u)
    echo "tunnel $tunnel leads to:" $ends
done
"""

LINUX_BRIDGE = Backend(
    word=NetworkingMode.LINUXBRIDGE,
    bridges_script="debian/linux-bridges.sh.j2",
    bridges_unit="debian/linux-bridges.service.j2",
    options=_LinuxBridgeOptions,
    agents=_agents,
    wait_for_agents=_wait_for_agents,
    clues=controllers_complaints("neutron-linuxbridge-agent", "neutron-l3-agent") + _CLUES,
)
