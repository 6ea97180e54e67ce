"""Rules for the files of several nodes: what the controller says and what the computes say.

Nodes belong together where a lab says so, or where one's SERVICE_HOST is
another's HOST_IP. No finding holds a password.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.installers.devstack.lint.secrets import PASSWORDS
from stacklab.installers.devstack.lint.sources import named_release
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding

_GUIDE = "openstack/devstack@493835a:doc/source/guides/multinode-lab.rst"
RULES = (
    rule("across-password", "a password that differs between controller and compute", _GUIDE),
    rule(
        "across-database-type",
        "a compute with another kind of database",
        "openstack/devstack@493835a:lib/database",
    ),
    rule("across-host", "a server that is looked for on another node than the controller", _GUIDE),
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
    rule(
        "across-contrail",
        "Contrail's localrc and DevStack's disagree on one node",
        "Juniper/contrail-installer@cfe0fc0",
    ),
    rule(
        "across-contrail-branch",
        "Contrail's branch differs between nodes",
        "Juniper/contrail-installer@cfe0fc0:contrail.sh",
    ),
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
class Seat:
    """One node's localrc; `node` is its name, or the directory that its files lie in."""

    node: str
    rc: Localrc
    is_contrail: bool = False


def check(seats: Sequence[Seat]) -> Iterator[Finding]:
    """Every finding between these files."""
    devstack = [each for each in seats if not each.is_contrail]
    contrail = [each for each in seats if each.is_contrail]
    yield from _same_address(devstack, "HOST_IP")
    yield from _same_address(contrail, "COMPUTE_HOST_IP")
    controller = _controller(devstack)
    for each in devstack:
        if controller is not None and each is not controller and _belongs(each, controller):
            yield from _pair(controller, each)
    head = _contrail_controller(contrail)
    for each in contrail:
        if head is not None and each is not head:
            yield from _contrail_pair(head, each)
    for each in contrail:
        for other in devstack:
            if each.node == other.node:
                yield from _halves(each.rc, other.rc)


def _controller(seats: Sequence[Seat]) -> Seat | None:
    """The one node that the others are computes of; None if there are several, or none."""
    heads = [
        each
        for each in seats
        if each.rc.scope.is_controller
        or (
            each.rc.scope.is_controller is None
            and each.rc.value("HOST_IP")
            and not each.rc.is_compute
        )
    ]
    return heads[0] if len(heads) == 1 else None


def _belongs(seat: Seat, controller: Seat) -> bool:
    """Whether it is a compute of that controller, if perhaps a wrong one."""
    if seat.rc.scope.lab is not None:
        return seat.rc.is_set("SERVICE_HOST") or seat.rc.is_set("HOST_IP")
    return seat.rc.is_compute or seat.rc.value("SERVICE_HOST") == controller.rc.value("HOST_IP")


def _same_address(seats: Sequence[Seat], name: str) -> Iterator[Finding]:
    seen: dict[str, Seat] = {}
    for each in seats:
        value = each.rc.value(name)
        if not value or value.startswith("127."):
            continue
        first = seen.setdefault(value, each)
        if first is not each and first.node != each.node and _is_one_cloud(first, each):
            yield _BOOK.finding(
                "across-host-ip",
                each.rc.file,
                each.rc.line(name),
                f"{first.rc.file}:{first.rc.line(name)} has {name} {value} too: two nodes answer to one address",
                f"{name}=ADDRESS, with this node's own",
            )


def _is_one_cloud(one: Seat, other: Seat) -> bool:
    hosts = {seat.rc.value("SERVICE_HOST") or seat.rc.value("HOST_IP") for seat in (one, other)}
    return one.rc.scope.lab is not None or len(hosts) == 1


def _pair(controller: Seat, compute: Seat) -> Iterator[Finding]:
    for each in (_service_host, _passwords, _database, _hosts, _tls, _release, _backend, _types):
        yield from each(controller.rc, compute.rc)


def _at(rc: Localrc, name: str) -> str:
    return f"{rc.file}:{rc.line(name)}" if rc.line(name) else rc.file


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
        yield _BOOK.finding(
            "across-service-host",
            compute.file,
            compute.line("SERVICE_HOST"),
            f"{host} is not the controller, which is {own} ({_at(controller, 'HOST_IP')}): nothing answers there",
            f"SERVICE_HOST={own}",
        )


def _passwords(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    for name in (*PASSWORDS, "SERVICE_TOKEN"):
        ours, theirs = _password(compute, name), _password(controller, name)
        if ours and theirs and ours != theirs:
            yield _BOOK.finding(
                "across-password",
                compute.file,
                compute.line(name),
                f"{name} is not the one of {_at(controller, name)}: the controller refuses this node",
                f"write the same {name} on every node",
            )


def _password(rc: Localrc, name: str) -> str:
    if name == "DATABASE_PASSWORD" and rc.value("MYSQL_PASSWORD"):
        return rc.value("MYSQL_PASSWORD")
    return rc.value(name)


def _database(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    own, is_told = compute.value("DATABASE_TYPE"), controller.services.has("mysql", "postgresql")
    theirs = "postgresql" if controller.services.has("postgresql") else "mysql"
    if own and own != theirs and (is_told or theirs == "mysql"):
        yield _BOOK.finding(
            "across-database-type",
            compute.file,
            compute.line("DATABASE_TYPE"),
            f"{own} is spoken here, and the controller's database is {theirs} ({controller.file}): nothing "
            "here connects",
            f"DATABASE_TYPE={theirs}",
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
                f"{name} names {host}, and that server is on the controller ({_at(controller, 'HOST_IP')})",
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
        f"tls-proxy is enabled here and not in {(controller if where is compute else compute).file}: "
        "one side speaks TLS and the other does not",
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
            f"this node is of {ours} and the controller ({controller.file}) of {theirs}: their messages don't fit",
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
            f"{names[compute.is_ovn]} here, {names[controller.is_ovn]} on the controller ({controller.file}): "
            "ports on this node are never bound",
            "write the same Q_AGENT and Q_ML2_PLUGIN_MECHANISM_DRIVERS on every node",
        )


def _types(controller: Localrc, compute: Localrc) -> Iterator[Finding]:
    for rule_id, names, effect in (
        ("across-network-type", _TYPES, "tunnels to this node are never set up"),
        (
            "across-region",
            ("REGION_NAME", "KEYSTONE_REGION_NAME"),
            "the catalogue has no endpoints for this node",
        ),
    ):
        for name in names:
            ours, theirs = compute.value(name), controller.value(name)
            if ours and theirs and ours != theirs:
                yield _BOOK.finding(
                    rule_id,
                    compute.file,
                    compute.line(name),
                    f"{name} is {ours}, and {theirs} in {_at(controller, name)}: {effect}",
                    f"{name}={theirs}",
                )


def _contrail_controller(seats: Sequence[Seat]) -> Seat | None:
    heads = [each for each in seats if each.rc.value("INSTALL_PROFILE") == "ALL"]
    return heads[0] if len(heads) == 1 else None


def _contrail_pair(head: Seat, seat: Seat) -> Iterator[Finding]:
    ours, theirs = seat.rc, head.rc
    host, own = ours.value("SERVICE_HOST"), theirs.value("SERVICE_HOST")
    if host and own and host != own:
        yield _BOOK.finding(
            "across-service-host",
            ours.file,
            ours.line("SERVICE_HOST"),
            f"{host} is not the controller, which is {own} ({_at(theirs, 'SERVICE_HOST')}): nothing answers there",
            f"SERVICE_HOST={own}",
        )
    yield from _passwords(theirs, ours)
    for name in ("CONTRAIL_BRANCH", "LAUNCHPAD_BRANCH", "CONTRAIL_DEFAULT_INSTALL"):
        if ours.value(name) and theirs.value(name) and ours.value(name) != theirs.value(name):
            yield _BOOK.finding(
                "across-contrail-branch",
                ours.file,
                ours.line(name),
                f"{name} is {ours.value(name)}, and {theirs.value(name)} in {_at(theirs, name)}: agent and control "
                "node differ",
                f"{name}={theirs.value(name)}",
            )


def _halves(contrail: Localrc, devstack: Localrc) -> Iterator[Finding]:
    """One node's two files: they share names, and nobody compares them."""
    same = ("SERVICE_HOST", "PHYSICAL_INTERFACE", "ADMIN_PASSWORD", "RABBIT_PASSWORD")
    for name in same:
        ours, theirs = contrail.value(name), devstack.value(name)
        if ours and theirs and ours != theirs:
            is_secret = name.endswith("PASSWORD")
            shown = "" if is_secret else f" ({ours} and {theirs})"
            yield _BOOK.finding(
                "across-contrail",
                contrail.file,
                contrail.line(name),
                f"{name} differs between here and {_at(devstack, name)}{shown}: Contrail and OpenStack do not find "
                "each other",
                f"write the same {name} into both files"
                if is_secret
                else f"{name}={theirs}, or {name}={ours} there",
            )
