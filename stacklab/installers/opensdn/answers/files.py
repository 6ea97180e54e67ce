"""Answers for OpenSDN: instances.yaml for tf-ansible-deployer, which uses kolla-ansible.

It is one file, on the controller, where the playbooks run. What they do with it was read in,
and tried with, OpenSDN-io/tf-ansible-deployer R26.1 (8efda5e), R25.1 (55454cb) and R24.1
(bac9cc5), tf-kolla-ansible (75c6dcb) and tf-container-builder (701b232).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from types import MappingProxyType

from stacklab.errors import RenderError
from stacklab.installers.kit.addresses import address, api_address, nic_on
from stacklab.installers.kit.git import CLONES
from stacklab.installers.kit.host import proxy_variables
from stacklab.installers.kit.request import Rendered, Request
from stacklab.installers.kit.roles import has_compute
from stacklab.installers.opensdn.answers import kolla
from stacklab.model.lab import Lab, NetworkMode, Node
from stacklab.model.release import Release
from stacklab.model.stack import Proxy, Role

HOME = CLONES / "opensdn"  # ours: instances.yaml, the venv of Ansible, its log
INSTANCES = HOME / "instances.yaml"
DEPLOYER = CLONES / "tf-ansible-deployer"  # kolla-ansible is looked for, and cloned, beside it
DOCKER_PROXY = PurePosixPath("/etc/systemd/system/docker.service.d/stacklab-proxy.conf")
_TEMPLATE = "opensdn/instances.yaml.j2"
_KEY = "/home/stack/.ssh/id_ed25519"  # the lab's key: see seed.py

# Each of these would be the first controller's `ip`.
_API_HOSTS = (
    "KEYSTONE_AUTH_HOST",
    "IPFABRIC_SERVICE_HOST",
    "computeManager_ip",
    "imageManager_ip",
    "networkManager_ip",
)

# What follows from the nodes, or is an option of its own.
_OURS = MappingProxyType(
    {
        "CLOUD_ORCHESTRATOR": "remove it: OpenStack is all that we bring",
        "CONTROL_NODES": "remove it: they are the nodes of role controller",
        "KOLLA_MODE": "write stack.kolla_mode",
        "OPENSTACK_VERSION": "write stack.openstack",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A node as an instance of the deployer's; a role without options is null, not an empty map."""

    node: Node
    address: IPv4Address
    roles: Mapping[str, Mapping[str, str]]


def secret_names(_lab: Lab) -> tuple[str, ...]:
    """Return the names of the secrets: kolla's passwords, by kolla's names."""
    return kolla.PASSWORDS


def render(request: Request) -> Rendered:
    """Render instances.yaml for the controller, and the way out for every node's docker."""
    lab, release = request.lab, request.release
    flavour = kolla.flavour(lab, release)
    context = {
        "instances": instances(lab, release),
        "flavour": flavour,
        "configuration": _configuration(lab, release, flavour),
        "proxy": _global_proxy(lab),
        "globals": kolla.global_variables(lab, flavour),
        "passwords": {name: request.secrets[name] for name in kolla.PASSWORDS},
        "customize": kolla.customize(lab, flavour),
        "key": _KEY,
        "path": INSTANCES,
    }
    # A bystander gets no file, but it is in the result, too.
    files: dict[str, dict[PurePosixPath, str]] = {node.name: {} for node in lab.nodes}
    files[lab.controller.name][INSTANCES] = request.render(_TEMPLATE, lab.controller, **context)
    if lab.stack.proxy == Proxy():
        return files
    for node in members(lab):
        files[node.name][DOCKER_PROXY] = request.render(
            "opensdn/docker-proxy.conf.j2",
            node,
            variables=proxy_variables(lab),
        )
    return files


def members(lab: Lab) -> tuple[Node, ...]:
    """Return the nodes of the cloud, the deployer first; one of role `node` is a bystander."""
    controller = lab.controller
    others = []
    for node in lab.nodes:
        if node.role is not Role.NODE and node.name != controller.name:
            others.append(node)
    return (controller, *others)


def instances(lab: Lab, release: Release) -> tuple[Instance, ...]:
    """Return each node as the deployer sees it."""
    devices = {nic_on(lab, node, _data_network(lab)).device for node in members(lab)}
    has_one_device = len(devices) == 1
    found = []
    for node in members(lab):
        roles = {}
        for role in _roles(lab, node, release):
            roles[role] = _role_options(lab, node, role, has_one_device=has_one_device)
        instance = Instance(
            node=node,
            address=address(lab, node),
            roles=MappingProxyType(roles),
        )
        found.append(instance)
    return tuple(found)


def _roles(lab: Lab, node: Node, release: Release) -> Iterator[str]:
    if node.role is not Role.COMPUTE:
        yield from release.services["controller"]
    if node.name == lab.controller.name:
        # OpenStack's own control plane on two nodes would want haproxy and an address for it.
        yield from release.services["controller first"]
    if has_compute(lab, node):
        yield from release.services["compute"]


def _role_options(lab: Lab, node: Node, role: str, *, has_one_device: bool) -> Mapping[str, str]:
    options: dict[str, str] = {}
    if role == "vrouter" and not has_one_device:  # otherwise it is said once, for all nodes
        options["PHYSICAL_INTERFACE"] = nic_on(lab, node, _data_network(lab)).device
    if role.startswith("openstack") and _has_api_network(lab):
        options["api_interface"] = nic_on(lab, node, lab.stack.api_network).device
    # No network_interface: the deployer finds the NIC that has `ip`, which is vhost0 once vrouter
    # took it over.
    return options


def _data_network(lab: Lab) -> str:
    return lab.stack.data_network or lab.stack.network


def _has_api_network(lab: Lab) -> bool:
    """Return True if the APIs have a network of their own."""
    api = lab.stack.api_network
    if api and api != lab.stack.network and api == _data_network(lab):
        raise RenderError(
            f"stack.api_network: vrouter takes {api} over, and kolla would look for the APIs' "
            f"address on its NIC",
            hint=f"write network: {api}, without api_network",
        )
    return api not in ("", lab.stack.network)


def _configuration(lab: Lab, release: Release, flavour: kolla.Flavour) -> Mapping[str, str]:
    """Return contrail_configuration.

    It becomes /etc/contrail/common.env on every node, and the environment of every container.
    """
    control_addresses = []
    for instance in instances(lab, release):
        if "control" in instance.roles:
            nic = nic_on(lab, instance.node, _data_network(lab))
            control_addresses.append(str(nic.address.ip))
    configuration = {
        "CLOUD_ORCHESTRATOR": "openstack",
        "KOLLA_MODE": flavour.mode,
        "OPENSTACK_VERSION": flavour.openstack,
        "CONTRAIL_CONTAINER_TAG": release.text("container_tag"),
        "CONTROL_NODES": ",".join(control_addresses),
        "AUTH_MODE": "keystone",
        "AAA_MODE": "rbac",
        # its own default, /v2.0, is of no OpenStack since Queens
        "KEYSTONE_AUTH_URL_VERSION": "/v3",
        "JVM_EXTRA_OPTS": "-Xms256m -Xmx1g",
        # its alarm at 256 GB is for other disks
        "CONFIG_DATABASE_NODEMGR__DEFAULTS__minimum_diskGB": "2",
        **_vrouter_options(lab),
    }
    if _has_api_network(lab):
        configuration |= dict.fromkeys(_API_HOSTS, str(api_address(lab)))
    for key, value in lab.stack.answers:
        if key in _OURS:
            raise RenderError(f"stack.answers.{key} is not free to choose", hint=_OURS[key])
        kolla.check_plain(f"stack.answers.{key}", value)
        configuration[key] = value
    return configuration


def _vrouter_options(lab: Lab) -> Mapping[str, str]:
    """Return the NIC that vrouter takes over, and its gateway if the default route is over it.

    Elsewhere the agent wants none: another NIC has the way out.
    """
    options = {}
    data_network = lab.network(_data_network(lab))
    devices = {nic_on(lab, node, data_network.name).device for node in members(lab)}
    if len(devices) == 1:
        options["PHYSICAL_INTERFACE"] = devices.pop()
    access_networks = {node.access.network for node in members(lab)}
    if data_network.mode is NetworkMode.NAT and data_network.name in access_networks:
        options["VROUTER_GATEWAY"] = str(data_network.host_address)
    return options


def _global_proxy(lab: Lab) -> Mapping[str, str]:
    """Return the playbooks' proxy; docker's is in a file of its own."""
    variables = dict(proxy_variables(lab))
    variables.pop("no_proxy", None)
    return {name.upper(): value for name, value in variables.items()}
