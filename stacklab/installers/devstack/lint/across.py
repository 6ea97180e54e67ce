"""Rules for the files of several nodes: what the controller says and what the computes say.

Nodes belong together where a lab says so, or where one's SERVICE_HOST is
another's HOST_IP. No finding holds a password.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stacklab.installers.devstack.lint import local_conf, localrc
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.installers.devstack.lint.secrets import PASSWORDS
from stacklab.installers.devstack.lint.sources import named_release
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.kinds import FileKind, LintedFile
from stacklab.lint.scope import Scope, Source

_GUIDE = "openstack/devstack@493835a:doc/source/guides/multinode-lab.rst"
RULES = (
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

_HOSTS = (
    "DATABASE_HOST",
    "MYSQL_HOST",
    "RABBIT_HOST",
    "Q_HOST",
    "GLANCE_HOSTPORT",
    "KEYSTONE_SERVICE_HOST",
)
_TYPES = (
    "Q_ML2_TENANT_NETWORK_TYPE",
    "Q_ML2_PLUGIN_TYPE_DRIVERS",
    "Q_TUNNEL_TYPES",
    "TENANT_VLAN_RANGE",
)


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
    return [
        NodeLocalrc(node=file.node, rc=load(file.source, file.kind is local_conf_kind, file.scope))
        for file in files
        if file.kind in (plain, local_conf_kind)
    ]


def check(nodes: Sequence[NodeLocalrc]) -> Iterator[Finding]:
    """Yield what DevStack's files of one cloud contradict each other in."""
    yield from same_address(nodes, "HOST_IP")
    controller = _controller(nodes)
    if controller is None:
        return
    for node in nodes:
        if node is not controller and _belongs(node, controller):
            yield from _pair(controller, node)


def _controller(nodes: Sequence[NodeLocalrc]) -> NodeLocalrc | None:
    """Return the only controller; None if there are several, or none."""
    heads = [
        node
        for node in nodes
        if node.rc.scope.is_controller
        or (
            node.rc.scope.is_controller is None
            and node.rc.value("HOST_IP")
            and not node.rc.is_compute
        )
    ]
    return heads[0] if len(heads) == 1 else None


def _belongs(node: NodeLocalrc, controller: NodeLocalrc) -> bool:
    """Return True for a compute of that controller, even with wrong addresses."""
    if node.rc.scope.lab is not None:
        return node.rc.is_set("SERVICE_HOST") or node.rc.is_set("HOST_IP")
    return node.rc.is_compute or node.rc.value("SERVICE_HOST") == controller.rc.value("HOST_IP")


def same_address(nodes: Sequence[NodeLocalrc], name: str) -> Iterator[Finding]:
    """Yield nodes whose variable of that name holds another node's address."""
    seen: dict[str, NodeLocalrc] = {}
    for node in nodes:
        value = node.rc.value(name)
        if not value or value.startswith("127."):
            continue
        first = seen.setdefault(value, node)
        if first is not node and first.node != node.node and _is_one_cloud(first, node):
            yield _BOOK.finding(
                "across-host-ip",
                node.rc.file,
                node.rc.line(name),
                f"two nodes have the same address: {name} is {value} in "
                f"{first.rc.file}:{first.rc.line(name)}, too",
                f"{name}=ADDRESS, with this node's own",
            )


def _is_one_cloud(one: NodeLocalrc, other: NodeLocalrc) -> bool:
    hosts = {node.rc.value("SERVICE_HOST") or node.rc.value("HOST_IP") for node in (one, other)}
    return one.rc.scope.lab is not None or len(hosts) == 1


def _pair(controller: NodeLocalrc, compute: NodeLocalrc) -> Iterator[Finding]:
    for pair_check in (
        _service_host,
        passwords,
        _database,
        _hosts,
        _tls,
        _release,
        _backend,
        _types,
    ):
        yield from pair_check(controller.rc, compute.rc)


def at(rc: Localrc, name: str) -> str:
    """Return file:line of a variable; the file alone if it is not set there."""
    return f"{rc.file}:{rc.line(name)}" if rc.line(name) else rc.file


def wrong_service_host(rc: Localrc, host: str, right: str, place: str) -> Finding:
    """Return the finding for a SERVICE_HOST that is not the controller's address."""
    return _BOOK.finding(
        "across-service-host",
        rc.file,
        rc.line("SERVICE_HOST"),
        f"nothing answers on {host}: the controller is {right} ({place})",
        f"SERVICE_HOST={right}",
    )


def _service_host(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    host, own = (
        compute.value("SERVICE_HOST"),
        controller.value("SERVICE_HOST") or controller.value("HOST_IP"),
    )
    known = {controller.value("HOST_IP"), controller.value("SERVICE_HOST")}
    node = controller.scope.node
    known |= {str(nic.address.ip) for nic in node.nics} | {node.name} if node else set()
    if (
        host
        and own
        and host not in known
        and controller.address("HOST_IP")
        and compute.address("SERVICE_HOST")
    ):
        yield wrong_service_host(compute, host, own, at(controller, "HOST_IP"))


def passwords(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    """Yield passwords of a compute that are not the controller's."""
    for name in (*PASSWORDS, "SERVICE_TOKEN"):
        ours, theirs = _password(compute, name), _password(controller, name)
        if ours and theirs and ours != theirs:
            yield _BOOK.finding(
                "across-password",
                compute.file,
                compute.line(name),
                f"the controller refuses this node: its {name} differs from {at(controller, name)}",
                f"write the same {name} on every node",
            )


def _password(rc: Localrc, name: str) -> str:
    if name == "DATABASE_PASSWORD" and rc.value("MYSQL_PASSWORD"):
        return rc.value("MYSQL_PASSWORD")
    return rc.value(name)


def _database(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    client_type, is_explicit = (
        compute.value("DATABASE_TYPE"),
        controller.services.has("mysql", "postgresql"),
    )
    server_type = "postgresql" if controller.services.has("postgresql") else "mysql"
    if client_type and client_type != server_type and (is_explicit or server_type == "mysql"):
        yield _BOOK.finding(
            "across-database-type",
            compute.file,
            compute.line("DATABASE_TYPE"),
            "services here cannot connect to the database: they expect "
            f"{client_type}, and the controller has {server_type} ({controller.file})",
            f"DATABASE_TYPE={server_type}",
        )


def _hosts(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    known = {
        controller.value("HOST_IP"),
        controller.value("SERVICE_HOST"),
        compute.value("SERVICE_HOST"),
    }
    node = controller.scope.node
    known |= {str(nic.address.ip) for nic in node.nics} if node else set()
    for name in _HOSTS:
        host = compute.value(name).partition(":")[0]
        is_address = host.count(".") == 3 and host.replace(".", "").isdigit()
        if is_address and host not in known:
            yield _BOOK.finding(
                "across-host",
                compute.file,
                compute.line(name),
                f"nothing answers on {host}: the server of {name} is on the controller "
                f"({at(controller, 'HOST_IP')})",
                f"{name}=$SERVICE_HOST" + (":9292" if name == "GLANCE_HOSTPORT" else ""),
            )


def _tls(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    ours, theirs = compute.services, controller.services
    # The release's default list has none, and a list that is written out says all.
    if not ours.is_whole or ours.has("tls-proxy") == theirs.has("tls-proxy"):
        return
    where = compute if ours.has("tls-proxy") else controller
    yield _BOOK.finding(
        "across-tls-proxy",
        where.file,
        where.services.line("tls-proxy"),
        "only one side speaks TLS: tls-proxy is enabled here and not in "
        f"{(controller if where is compute else compute).file}",
        "enable tls-proxy on every node, or on none",
    )


def _release(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    ours, theirs = named_release(compute), named_release(controller)
    if ours and theirs and ours != theirs:
        name = next(
            (n for n in compute.settled if n.endswith("_BRANCH") and ours in compute.value(n)), ""
        )
        yield _BOOK.finding(
            "across-release",
            compute.file,
            compute.line(name),
            f"services do not understand each other's messages: this node has {ours}, and the "
            f"controller {theirs} ({controller.file})",
            "write the same branches on every node",
        )


def _backend(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    if controller.is_ovn is None or compute.is_ovn is None or not compute.services.is_whole:
        return
    if controller.is_ovn != compute.is_ovn:
        names = {True: "OVN", False: "another backend"}
        line = compute.line("Q_AGENT") or compute.services.line("ovn-controller", "q-agt", "n-cpu")
        yield _BOOK.finding(
            "across-backend",
            compute.file,
            line,
            f"neutron never binds ports on this node: it has {names[compute.is_ovn]}, "
            f"and the controller {names[controller.is_ovn]} ({controller.file})",
            "write the same Q_AGENT and Q_ML2_PLUGIN_MECHANISM_DRIVERS on every node",
        )


def _types(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    for rule_id, names, effect in (
        ("across-network-type", _TYPES, "neutron never sets up tunnels to this node"),
        (
            "across-region",
            ("REGION_NAME", "KEYSTONE_REGION_NAME"),
            "this node does not find its endpoints in the catalogue",
        ),
    ):
        for name in names:
            ours, theirs = compute.value(name), controller.value(name)
            if ours and theirs and ours != theirs:
                yield _BOOK.finding(
                    rule_id,
                    compute.file,
                    compute.line(name),
                    f"{effect}: {name} is {ours} here, and {theirs} in {at(controller, name)}",
                    f"{name}={theirs}",
                )
