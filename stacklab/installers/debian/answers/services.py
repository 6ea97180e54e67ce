"""The services of a node, as units of systemd; whole units, because Debian's order them otherwise.

Each waits for what it needs itself (`waits_for`), so that a target starts all of them at once,
after every boot of a node. Debian's own units stay as they are for Open vSwitch, OVN and libvirt.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import PurePosixPath

from stacklab.installers.debian.answers import ports, tls
from stacklab.installers.debian.answers.backends import backend_of
from stacklab.installers.debian.answers.place import CloudPlace, place_of
from stacklab.installers.debian.answers.service import (
    BRIDGES,
    COMPUTE_TARGET,
    CONTROLLER_TARGET,
    GATEWAY,
    VOLUMES,
    Service,
    Wsgi,
)
from stacklab.model.lab import Lab, Node

# Without root's rights, a port below 1024.
_LOW_PORTS = "AmbientCapabilities=CAP_NET_BIND_SERVICE"
# Without these two variables Python imports dnspython and setuptools.
LESS_TO_IMPORT = {"EVENTLET_NO_GREENDNS": "yes", "SETUPTOOLS_USE_DISTUTILS": "stdlib"}

# Ours, because Debian's imports what a lab does not use.
KEYSTONE_WSGI = "/etc/stacklab/keystone.wsgi"
# Ours, because the parents of Debian's never rest: the module with the program of each.
QUIET_LAUNCHERS = {"nova-api": "nova.cmd.api", "cinder-volume": "cinder.cmd.volume"}
# What uWSGI imports before a service of OpenStack.
UWSGI_LOCKS = PurePosixPath("/etc/stacklab/stacklab_uwsgi_locks.py")

_WSGI = (
    Wsgi(name="keystone", file=KEYSTONE_WSGI, port=ports.KEYSTONE),
    Wsgi(name="placement", file="/usr/bin/placement-api", port=ports.PLACEMENT),
    Wsgi(name="glance", file="/usr/bin/glance-wsgi-api", port=ports.GLANCE, takes_uploads=True),
)
_CINDER_WSGI = Wsgi(name="cinder", file="/usr/bin/cinder-wsgi", port=ports.CINDER)


def launcher_of(name: str) -> str:
    """Return the path of what starts a service of OpenStack's: the package's, or ours."""
    return f"/etc/stacklab/{name}" if name in QUIET_LAUNCHERS else f"/usr/bin/{name}"


def wsgi_of(place: CloudPlace) -> tuple[Wsgi, ...]:
    """Return the WSGI applications of a controller."""
    return (*_WSGI, _CINDER_WSGI) if place.volume_types else _WSGI


def debian_units(lab: Lab, place: CloudPlace) -> tuple[str, ...]:
    """Return the units that Debian's packages bring and that the node runs as they are."""
    units = list(backend_of(lab).debian_units(place))
    if place.has_compute:
        units += ["virtlogd.socket", "libvirtd.service"]
    if place.has_compute and place.volume_types:
        units.append("iscsid.socket")
    return tuple(units)


def targets(place: CloudPlace) -> tuple[str, ...]:
    """Return the targets that the node starts at boot."""
    words = []
    if place.is_controller:
        words.append(CONTROLLER_TARGET)
    if place.has_compute:
        words.append(COMPUTE_TARGET)
    return tuple(words)


def units(lab: Lab, node: Node) -> tuple[str, ...]:
    """Return the units that have to run on a node, those of Debian's packages first."""
    place = place_of(lab, node)
    if place is None:
        return ()
    names = list(backend_of(lab).daemons(place))
    if place.has_compute:
        names.append("libvirtd.service")
    own = tuple(service.unit for service in services_of(lab, place))
    return (*names, *preparing_units(lab, place), *own)


def preparing_units(lab: Lab, place: CloudPlace) -> tuple[str, ...]:
    """Return the units that prepare the node's networks and disks, and then have nothing to do."""
    units = [BRIDGES]
    if place.external_nic and backend_of(lab).announces_gateway:
        units.append(GATEWAY)
    if place.is_controller and place.volume_types:
        units.append(VOLUMES)
    return tuple(units)


def services_of(lab: Lab, place: CloudPlace) -> tuple[Service, ...]:
    """Return the node's services, in the order in which they become ready."""
    backend = backend_of(lab)
    services: list[Service] = []
    if place.is_controller:
        services += _controller_services(place, backend.server_waits_for(place))
    if place.has_compute:
        services.append(_nova_compute(place))
    services += backend.agents(place)
    return tuple(services)


def _controller_services(
    place: CloudPlace, neutron_waits_for: tuple[str, ...]
) -> Iterator[Service]:
    yield from _infrastructure(place.controller)
    database = f"tcp:{place.controller}:{ports.DATABASE}"
    for application in wsgi_of(place):
        yield Service(
            name=application.name,
            command=f"/usr/bin/uwsgi_python3 --ini /etc/stacklab/{application.name}-uwsgi.ini",
            waits_for=(database,),
            ready=tls.api_answers(place, application.port),
        )
    yield from _nova_services(place)
    yield Service(
        name="neutron-server",
        user="neutron",
        # One process tree for API, RPC and OVN's maintenance: one import of all that Python.
        command="/usr/bin/neutron-server --config-file=/etc/neutron/neutron.conf "
        "--config-file=/etc/neutron/plugins/ml2/ml2_conf.ini",
        waits_for=(
            database,
            *neutron_waits_for,
            tls.api_answers(place, ports.KEYSTONE),
        ),
        ready=tls.api_answers(place, ports.NEUTRON),
    )
    if place.volume_types:
        yield from _volume_services(place)
    if place.has_dashboard:
        yield _dashboard_service(place)
    if place.has_tls:
        yield _tls_service(place)


def _infrastructure(at: IPv4Address) -> Iterator[Service]:
    """Yield what OpenStack's own services are built on."""
    yield Service(
        name="mariadb",
        user="mysql",
        command="/usr/sbin/mariadbd",
        type="notify",
        lines=("RuntimeDirectory=mysqld",),
        ready=f"tcp:{at}:{ports.DATABASE}",
    )
    yield Service(
        name="rabbitmq",
        command="/usr/lib/rabbitmq/bin/rabbitmq-server",
        type="notify",
        lines=(
            "NotifyAccess=all",
            "UMask=0027",
            "SuccessExitStatus=69",
            "KillMode=mixed",
            # Its threads take turns 30,000 times in a start: each would queue behind those that
            # import Python, and all of these wait for it at the end.
            "Nice=-10",
        ),
        ready=f"tcp:{at}:{ports.MESSAGES}",
    )
    yield Service(
        name="memcached",
        user="memcache",
        command=f"/usr/bin/memcached -m 64 -t 1 -l {at} -p {ports.MEMCACHED}",
        ready=f"tcp:{at}:{ports.MEMCACHED}",
    )


def _tls_service(place: CloudPlace) -> Service:
    """Return haproxy; the last, since it is ready once there is an API behind it."""
    return Service(
        name="tls",
        user=tls.USER,
        command=f"/usr/sbin/haproxy -Ws -f {tls.CONFIG}",
        type="notify",
        ready=f"https:{place.own}:{ports.KEYSTONE}",
        # Its master ends with that when it is told to stop.
        lines=("SuccessExitStatus=143", *((_LOW_PORTS,) if place.has_dashboard else ())),
    )


def _dashboard_service(place: CloudPlace) -> Service:
    port = ports.DASHBOARD_TLS if place.has_tls else ports.DASHBOARD
    return Service(
        name="horizon",
        command="/usr/bin/uwsgi_python3 --ini /etc/stacklab/horizon-uwsgi.ini",
        # Nothing needs it: it must not compete with what others wait for.
        waits_for=(tls.api_answers(place, ports.NOVA), tls.api_answers(place, ports.NEUTRON)),
        # It answers to the names by which its users know it, and to no other.
        ready=f"{tls.scheme(place.has_tls)}:{place.own}:{port}",
        lines=(_LOW_PORTS,),
    )


def _nova_services(place: CloudPlace) -> Iterator[Service]:
    at = place.controller
    database = f"tcp:{at}:{ports.DATABASE}"
    keystone = tls.api_answers(place, ports.KEYSTONE)
    api = tls.api_answers(place, ports.NOVA)
    daemons_wait_for = (
        database,
        f"tcp:{at}:{ports.MESSAGES}",
        keystone,
        # Without an answer from placement they end at once.
        tls.api_answers(place, ports.PLACEMENT),
    )
    yield _nova_service("api", (database, keystone), ready=api)
    yield _nova_service("conductor", daemons_wait_for)
    yield _nova_service("scheduler", daemons_wait_for)
    # Nothing needs it: it must not compete with what others wait for.
    yield _nova_service("novncproxy", (api, tls.api_answers(place, ports.NEUTRON)))


def _nova_service(word: str, waits_for: tuple[str, ...], ready: str = "") -> Service:
    return Service(
        name=f"nova-{word}",
        user="nova",
        command=f"{launcher_of(f'nova-{word}')} --config-file=/etc/nova/nova.conf",
        waits_for=waits_for,
        ready=ready,
    )


def _volume_services(place: CloudPlace) -> Iterator[Service]:
    """Yield the services of volumes, beside cinder's API."""
    at = place.controller
    yield Service(
        name="tgt",
        user="root",
        type="notify",
        command=f"/usr/sbin/tgtd -f --iscsi portal={at}:{ports.ISCSI}",
        # Its targets are on volumes.
        after=(VOLUMES,),
        lines=(
            # What cinder has exported before.
            "ExecStartPost=/usr/sbin/tgt-admin -e -c /etc/tgt/targets.conf",
            "ExecStop=/usr/sbin/tgt-admin --update ALL -c /dev/null -f",
        ),
        ready=f"tcp:{at}:{ports.ISCSI}",
    )
    # They wait for nova's API so that they do not compete with what it needs.
    waits_for = (
        f"tcp:{at}:{ports.DATABASE}",
        f"tcp:{at}:{ports.MESSAGES}",
        tls.api_answers(place, ports.KEYSTONE),
        tls.api_answers(place, ports.NOVA),
    )
    for name in ("cinder-scheduler", "cinder-volume"):
        yield Service(
            name=name,
            user="cinder",
            command=f"{launcher_of(name)} --config-file=/etc/cinder/cinder.conf",
            after=(VOLUMES,),
            waits_for=waits_for,
            # Who may read the files of images.
            lines=("SupplementaryGroups=glance",) if place.has_direct_copy else (),
        )


def _nova_compute(place: CloudPlace) -> Service:
    at = place.controller
    return Service(
        name="nova-compute",
        user="nova",
        command="/usr/bin/nova-compute --config-file=/etc/nova/nova.conf",
        waits_for=(
            f"tcp:{at}:{ports.MESSAGES}",
            tls.api_answers(place, ports.KEYSTONE),
            tls.api_answers(place, ports.PLACEMENT),
            tls.api_answers(place, ports.NOVA),
        ),
        after=("libvirtd.service",),
    )
