"""Rules for the files of several nodes: what the controller says and what the computes say.

Nodes belong together where a lab says so, or where one's SERVICE_HOST is
another's HOST_IP. No finding holds a password.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stacklab.installers.devstack.lint import local_conf, localrc
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.installers.devstack.lint.rules.secrets import PASSWORDS
from stacklab.installers.devstack.lint.rules.sources import named_release
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.kinds import FileKind, LintedFile
from stacklab.lint.scope import Scope, Source

_GUIDE = "openstack/devstack@493835a:doc/source/guides/multinode-lab.rst"
RULES = (
    # Servers that computes connect to, and how.
    rule("across-password", "a password that differs between controller and compute", _GUIDE),
    rule(
        "across-database-type",
        "a compute that expects another kind of database",
        "openstack/devstack@493835a:lib/database",
    ),
    rule(
        "across-host", "a server that services look for on another node than the controller", _GUIDE
    ),
    rule("across-service-host", "a compute whose SERVICE_HOST is not the controller", _GUIDE),
    rule("across-host-ip", "two nodes with one HOST_IP", _GUIDE),
    rule(
        "across-tls-proxy",
        "tls-proxy on one side only",
        "openstack/devstack@493835a:lib/neutron_plugins/ovn_agent: OVN_PROTO",
    ),
    # What both sides must have alike.
    rule("across-release", "nodes of different releases", "openstack/devstack@493835a:stackrc"),
    rule(
        "across-backend",
        "neutron's backend differs between nodes",
        "openstack/devstack@493835a:lib/neutron",
    ),
    rule(
        "across-network-type",
        "types of tenant networks differ between nodes",
        "openstack/devstack@493835a:lib/neutron_plugins/ml2",
    ),
    rule("across-region", "nodes of different regions", "openstack/devstack@493835a:stackrc"),
)
_BOOK = Book(RULES)

# Servers that only a controller runs; a compute finds them by these.
_SERVER_HOSTS = (
    "DATABASE_HOST",
    "MYSQL_HOST",
    "RABBIT_HOST",
    "Q_HOST",
    "GLANCE_HOSTPORT",
    "KEYSTONE_SERVICE_HOST",
)
_NETWORK_TYPES = (
    "Q_ML2_TENANT_NETWORK_TYPE",
    "Q_ML2_PLUGIN_TYPE_DRIVERS",
    "Q_TUNNEL_TYPES",
    "TENANT_VLAN_RANGE",
)
_REGIONS = ("REGION_NAME", "KEYSTONE_REGION_NAME")
_BACKEND_NAMES = {True: "OVN", False: "another backend"}


@dataclass(frozen=True, kw_only=True)
class NodeLocalrc:
    """One node's localrc; `node` is its name, or the directory that its files lie in."""

    node: str
    rc: Localrc


def load(source: Source, is_local_conf: bool, scope: Scope) -> Localrc:
    """Return the localrc that a file is, or holds."""
    if is_local_conf:
        source = Source(name=source.name, text=local_conf.localrc_text(source))
    return localrc.load(source, scope)


def of_kinds(
    files: Sequence[LintedFile], plain: FileKind, local_conf_kind: FileKind | None = None
) -> list[NodeLocalrc]:
    """Return the localrc of every file of these kinds; others' files are left out."""
    nodes: list[NodeLocalrc] = []
    for file in files:
        if file.kind in (plain, local_conf_kind):
            is_local_conf = file.kind is local_conf_kind
            rc = load(file.source, is_local_conf, file.scope)
            nodes.append(NodeLocalrc(node=file.node, rc=rc))
    return nodes


def check(nodes: Sequence[NodeLocalrc]) -> Iterator[Finding]:
    """Yield what DevStack's files of one cloud contradict each other in."""
    yield from same_address(nodes, "HOST_IP")
    controller = _find_controller(nodes)
    if controller is None:
        return
    for node in nodes:
        if node is not controller and _belongs_to(node, controller):
            yield from _compare_pair(controller.rc, node.rc)


def _find_controller(nodes: Sequence[NodeLocalrc]) -> NodeLocalrc | None:
    """Return the only controller; None if there are several, or none."""
    controllers = [node for node in nodes if _is_controller(node.rc)]
    return controllers[0] if len(controllers) == 1 else None


def _is_controller(rc: Localrc) -> bool:
    """Return True for a controller: the lab says so, or it has an address and is not a compute."""
    if rc.scope.is_controller is not None:
        return rc.scope.is_controller
    return bool(rc.value("HOST_IP")) and not rc.is_compute


def _belongs_to(node: NodeLocalrc, controller: NodeLocalrc) -> bool:
    """Return True for a compute of that controller, even with wrong addresses."""
    if node.rc.scope.lab is not None:
        return node.rc.is_any_set("SERVICE_HOST", "HOST_IP")
    return node.rc.is_compute or node.rc.value("SERVICE_HOST") == controller.rc.value("HOST_IP")


def same_address(nodes: Sequence[NodeLocalrc], name: str) -> Iterator[Finding]:
    """Yield nodes whose variable of that name holds another node's address."""
    seen: dict[str, NodeLocalrc] = {}
    for node in nodes:
        value = node.rc.value(name)
        # Each node may mean itself by 127.x: that is a finding of the file alone.
        if not value or value.startswith("127."):
            continue
        first = seen.setdefault(value, node)
        # One node may have two files, such as DevStack's and Contrail's.
        if first.node == node.node or not _are_one_cloud(first, node):
            continue
        yield _BOOK.finding(
            "across-host-ip",
            node.rc.file,
            node.rc.line(name),
            effect=f"two nodes have the same address: {name} is {value} in "
            f"{first.rc.file}:{first.rc.line(name)}, too",
            fix=f"{name}=ADDRESS, with this node's own",
        )


def _are_one_cloud(one: NodeLocalrc, other: NodeLocalrc) -> bool:
    """Return True if a lab says so, or if both ask the same controller."""
    if one.rc.scope.lab is not None:
        return True
    return _api_host(one.rc) == _api_host(other.rc)


def _api_host(rc: Localrc) -> str:
    """Return where the APIs are: without SERVICE_HOST, DevStack takes the node itself."""
    return rc.value("SERVICE_HOST") or rc.value("HOST_IP")


def _compare_pair(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    for pair_check in (
        _compare_service_host,
        passwords,
        _compare_database,
        _compare_server_hosts,
        _compare_tls,
        _compare_release,
        _compare_backend,
        _compare_networks_and_regions,
    ):
        yield from pair_check(controller, compute)


def at(rc: Localrc, name: str) -> str:
    """Return file:line of a variable; the file alone if it is not set there."""
    line = rc.line(name)
    return f"{rc.file}:{line}" if line else rc.file


def wrong_service_host(rc: Localrc, host: str, right: str, place: str) -> Finding:
    """Return the finding for a SERVICE_HOST that is not the controller's address."""
    return _BOOK.finding(
        "across-service-host",
        rc.file,
        rc.line("SERVICE_HOST"),
        effect=f"nothing answers on {host}: the controller is {right} ({place})",
        fix=f"SERVICE_HOST={right}",
    )


def _node_addresses(rc: Localrc) -> set[str]:
    """Return the addresses of a file's node: those that it says, and those of the lab."""
    addresses = {rc.value("HOST_IP"), rc.value("SERVICE_HOST")}
    if rc.scope.node is not None:
        addresses.update(str(nic.address.ip) for nic in rc.scope.node.nics)
    return addresses


def _compare_service_host(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    """Yield a SERVICE_HOST of a compute that is not an address of the controller's."""
    host = compute.value("SERVICE_HOST")
    # Any address of the controller is right: its services listen on all of them.
    known = _node_addresses(controller)
    if controller.scope.node is not None:
        known.add(controller.scope.node.name)
    if host in known:
        return
    # Only addresses can be compared: other names than the lab's may lead to the controller.
    if controller.address("HOST_IP") and compute.address("SERVICE_HOST"):
        place = at(controller, "HOST_IP")
        yield wrong_service_host(compute, host, _api_host(controller), place)


def passwords(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    """Yield passwords of a compute that are not the controller's."""
    for name in (*PASSWORDS, "SERVICE_TOKEN"):
        if _differ(_find_password(compute, name), _find_password(controller, name)):
            yield _BOOK.finding(
                "across-password",
                compute.file,
                compute.line(name),
                effect=f"the controller refuses this node: its {name} differs from "
                f"{at(controller, name)}",
                fix=f"write the same {name} on every node",
            )


def _differ(ours: str, theirs: str) -> bool:
    """Return True if both sides say something, and not the same; "" is not known, or a default."""
    return bool(ours and theirs) and ours != theirs


def _find_password(rc: Localrc, name: str) -> str:
    """Return a password, or "" if the file does not tell it."""
    # MYSQL_PASSWORD is the older name of the same password.
    older_name = "MYSQL_PASSWORD" if name == "DATABASE_PASSWORD" else name
    return rc.value(older_name) or rc.value(name)


def _compare_database(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    """Yield a compute whose services expect another database than the controller runs."""
    client_type = compute.value("DATABASE_TYPE")
    # The release's default list has mysql.
    server_type = "postgresql" if controller.services.has("postgresql") else "mysql"
    if not _differ(client_type, server_type):
        return
    yield _BOOK.finding(
        "across-database-type",
        compute.file,
        compute.line("DATABASE_TYPE"),
        effect="services here cannot connect to the database: they expect "
        f"{client_type}, and the controller has {server_type} ({controller.file})",
        fix=f"DATABASE_TYPE={server_type}",
    )


def _compare_server_hosts(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    """Yield servers that a compute looks for elsewhere than on the controller."""
    # A wrong SERVICE_HOST has its own finding, which what follows from it would only repeat.
    known = _node_addresses(controller) | {compute.value("SERVICE_HOST")}
    for name in _SERVER_HOSTS:
        host = compute.value(name).partition(":")[0]  # GLANCE_HOSTPORT has a port
        is_address = host.count(".") == 3 and host.replace(".", "").isdigit()
        if not is_address or host in known:
            continue
        port = ":9292" if name == "GLANCE_HOSTPORT" else ""
        yield _BOOK.finding(
            "across-host",
            compute.file,
            compute.line(name),
            effect=f"nothing answers on {host}: the server of {name} is on the controller "
            f"({at(controller, 'HOST_IP')})",
            fix=f"{name}=$SERVICE_HOST{port}",
        )


def _compare_tls(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    """Yield tls-proxy of the only side that has it."""
    has_here = compute.services.has("tls-proxy")
    has_there = controller.services.has("tls-proxy")
    # The release's default list has none, and a list that is written out says all.
    if not compute.services.is_whole or has_here == has_there:
        return
    with_tls, without_tls = (compute, controller) if has_here else (controller, compute)
    yield _BOOK.finding(
        "across-tls-proxy",
        with_tls.file,
        with_tls.services.line("tls-proxy"),
        effect=f"only one side speaks TLS: tls-proxy is enabled here and not in {without_tls.file}",
        fix="enable tls-proxy on every node, or on none",
    )


def _compare_release(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    """Yield a compute whose branches are of another release than the controller's."""
    ours, theirs = named_release(compute), named_release(controller)
    # A file without branches is of its DevStack's release, which is not in the file.
    if not _differ(ours, theirs):
        return
    yield _BOOK.finding(
        "across-release",
        compute.file,
        _find_branch_line(compute, ours),
        effect=f"services do not understand each other's messages: this node has {ours}, and the "
        f"controller {theirs} ({controller.file})",
        fix="write the same branches on every node",
    )


def _find_branch_line(rc: Localrc, release: str) -> int:
    """Return the line of the first branch of a release; 0 if only plugins have one."""
    for name, assignment in rc.settled.items():
        if name.endswith("_BRANCH") and release in rc.value(name):
            return assignment.line
    return 0


def _compare_backend(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    """Yield a compute that connects instances in another way than the controller expects."""
    ours, theirs = compute.is_ovn, controller.is_ovn
    # A list that goes on from the release's own does not say which agents run.
    if ours is None or theirs is None or not compute.services.is_whole:
        return
    if ours == theirs:
        return
    line = compute.line("Q_AGENT") or compute.services.line("ovn-controller", "q-agt", "n-cpu")
    yield _BOOK.finding(
        "across-backend",
        compute.file,
        line,
        effect=f"neutron never binds ports on this node: it has {_BACKEND_NAMES[ours]}, "
        f"and the controller {_BACKEND_NAMES[theirs]} ({controller.file})",
        fix="write the same Q_AGENT and Q_ML2_PLUGIN_MECHANISM_DRIVERS on every node",
    )


def _compare_networks_and_regions(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    """Yield settings of a compute that must be the controller's, word by word."""
    effects = {
        "across-network-type": "neutron never sets up tunnels to this node",
        "across-region": "this node does not find its endpoints in the catalogue",
    }
    variables = (
        *(("across-network-type", name) for name in _NETWORK_TYPES),
        *(("across-region", name) for name in _REGIONS),
    )
    for rule_id, name in variables:
        ours, theirs = compute.value(name), controller.value(name)
        if _differ(ours, theirs):
            yield _BOOK.finding(
                rule_id,
                compute.file,
                compute.line(name),
                effect=f"{effects[rule_id]}: {name} is {ours} here, and {theirs} in "
                f"{at(controller, name)}",
                fix=f"{name}={theirs}",
            )
