"""OVN: Open vSwitch on every node, OVN's databases on the controller, tunnels by Geneve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stacklab.installers.debian.answers import ports, tls
from stacklab.installers.debian.answers.backends.contract import (
    ML2_CONF,
    NEUTRON_CONF,
    NOVA_CONF,
    Backend,
    BackendOptions,
    controllers_complaints,
)
from stacklab.installers.debian.answers.options.config import Sections
from stacklab.installers.debian.answers.place import PHYSICAL_NETWORK, CloudPlace
from stacklab.installers.debian.answers.service import Service
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import NetworkingMode
from stacklab.stages.stage import Step

_METADATA_CONF = "/etc/neutron/neutron_ovn_metadata_agent.ini"
_TIMEOUT_S = 600
# OVN's databases are never probed: under emulation an answer comes late, and a connection
# that is dropped loses the events that ports are waiting for.
_PROBE_MS = 600_000


class _OvnOptions(BackendOptions):
    """Options of OVN's clouds."""

    def all_files(self) -> Mapping[str, Sections]:
        """See BackendOptions.all_files."""
        files: dict[str, Sections] = {NEUTRON_CONF: {"DEFAULT": {"service_plugins": "ovn-router"}}}
        if self._place.is_controller:
            files[ML2_CONF] = self._ml2()
        if self._place.has_compute:
            files[NOVA_CONF] = {
                "os_vif_ovs": {"ovsdb_connection": f"tcp:127.0.0.1:{ports.OVSDB}"},
            }
            files[_METADATA_CONF] = self._metadata_agent()
        return files

    def _ml2(self) -> Sections:
        return {
            "ml2": {
                "type_drivers": "flat,geneve",
                "tenant_network_types": "geneve",
                "mechanism_drivers": "ovn",
                "extension_drivers": "port_security",
            },
            "ml2_type_flat": {"flat_networks": PHYSICAL_NETWORK},
            # neutron writes a row for each at its first start: 65,536 of them took 90 s.
            "ml2_type_geneve": {"vni_ranges": "1:1000", "max_header_size": 38},
            "securitygroup": {"enable_security_group": True},
            "ovn": {
                # Addresses, since python-ovs resolves no names.
                "ovn_nb_connection": f"tcp:{self._at(ports.NORTHBOUND)}",
                "ovn_metadata_enabled": True,
                "ovn_l3_scheduler": "leastloaded",
                "enable_distributed_floating_ip": False,
                **self._southbound(),
            },
        }

    def _metadata_agent(self) -> Sections:
        agent = self._metadata()
        return {
            **agent,
            "ovs": {
                "ovsdb_connection": "unix:/run/openvswitch/db.sock",
                "ovsdb_connection_timeout": _TIMEOUT_S,
            },
            "ovn": self._southbound(),
        }

    def _southbound(self) -> dict[str, object]:
        return {
            "ovn_sb_connection": f"tcp:{self._at(ports.SOUTHBOUND)}",
            "ovsdb_probe_interval": _PROBE_MS,
            "ovsdb_connection_timeout": _TIMEOUT_S,
        }


def _texts(place: CloudPlace, node: Node) -> Mapping[str, str]:
    # Without it Open vSwitch takes a random name at its next start, and OVN a second chassis.
    texts = {"/etc/openvswitch/system-id.conf": f"{node.name}\n"}
    if place.is_controller:
        # The databases listen as stacklab-bridges tells them.
        options = "--db-nb-create-insecure-remote=no --db-sb-create-insecure-remote=no"
        texts["/etc/default/ovn-central"] = f"OVN_CTL_OPTS='{options}'\n"
    return texts


def _debian_units(place: CloudPlace) -> tuple[str, ...]:
    """Return the units of Open vSwitch and OVN.

    Debian's openvswitch-switch, ovn-host and ovn-central only start others, and seem to run
    whatever becomes of these.
    """
    units = ("openvswitch-switch.service", "ovn-host.service")
    return (*units, "ovn-central.service") if place.is_controller else units


def _daemons(place: CloudPlace) -> tuple[str, ...]:
    names = ["ovsdb-server", "ovs-vswitchd", "ovn-controller"]
    if place.is_controller:
        names += ["ovn-ovsdb-server-nb", "ovn-ovsdb-server-sb", "ovn-northd"]
    return tuple(f"{name}.service" for name in names)


def _server_waits_for(place: CloudPlace) -> tuple[str, ...]:
    return (
        f"tcp:{place.controller}:{ports.NORTHBOUND}",
        f"tcp:{place.controller}:{ports.SOUTHBOUND}",
    )


def _agents(place: CloudPlace) -> Iterator[Service]:
    if not place.has_compute:
        return
    at = place.controller
    yield Service(
        name="neutron-ovn-metadata-agent",
        user="root",
        command=f"/usr/bin/neutron-ovn-metadata-agent --config-file={NEUTRON_CONF} "
        f"--config-file={_METADATA_CONF}",
        # Of the two it needs the databases alone; on one host, computes must not compete with the
        # controller whose services all of them wait for.
        waits_for=(f"tcp:{at}:{ports.SOUTHBOUND}", tls.api_answers(place, ports.NEUTRON)),
        # haproxy, which it starts for each network, wants two files for each of 1,024 connections.
        lines=("LimitNOFILE=65535",),
    )


def _wait_for_agents(lab: Lab) -> Step:
    sync = "ovn-nbctl --wait=hv --timeout=300 sync"
    return Step(
        node=lab.controller.name,
        title="have all network agents report to neutron",
        # Neutron ignores the first report of an agent.
        command=f"{sync} && {sync}",
        user="root",
    )


# It tells of ports that no compute node has plugged, and how far OVN would let a ping go from the
# first of the tenants' VMs to the second.
_CLUES = r"""
ports=$(ovn-nbctl --format=csv --no-headings --data=bare --columns=type,name,addresses \
    list Logical_Switch_Port | sed -n 's/^,//p' | tr ',' ' ')
echo "$ports" | while read -r name _; do
    [ -n "$name" ] || continue
    state=$(ovn-sbctl --bare --columns=up find Port_Binding logical_port="$name")
    [ "$state" = true ] || echo "port $name is plugged on no compute node"
done
# Two lines of: name, MAC address, address.
set -- $(echo "$ports" | head -n 2)
[ $# = 6 ] || exit 0
switch=$(ovn-nbctl lsp-get-ls "$1" | sed 's/.*(\(.*\))/\1/')
echo "ovn-trace of a ping from $3 to $6:"
ovn-trace --summary "$switch" "inport == \"$1\" && eth.src == $2 && ip4.src == $3 &&
    eth.dst == $5 && ip4.dst == $6 && ip.ttl == 64 && icmp4.type == 8" | tail -n 8
"""

OVN = Backend(
    word=NetworkingMode.OVN,
    bridges_script="debian/ovn-bridges.sh.j2",
    bridges_unit="debian/ovn-bridges.service.j2",
    options=_OvnOptions,
    texts=_texts,
    debian_units=_debian_units,
    daemons=_daemons,
    below_bridges=("openvswitch-switch.service",),
    server_waits_for=_server_waits_for,
    agents=_agents,
    announces_gateway=True,
    has_chassis=True,
    wait_for_agents=_wait_for_agents,
    clues=controllers_complaints() + _CLUES,
)
