"""Stages of a cloud from Debian's packages: configure, start, wait until everything answers."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.debian.answers import service as names
from stacklab.installers.debian.answers import services
from stacklab.installers.debian.answers.backends import backend_of
from stacklab.installers.debian.answers.database import wait_for_count
from stacklab.installers.debian.answers.files import INSTALL
from stacklab.installers.debian.answers.place import CloudPlace, place_of
from stacklab.installers.kit.roles import compute_nodes
from stacklab.model.lab import Lab, Node
from stacklab.stages.stage import MINUTE_S, Stage, Step, name_at

_SERVICES = "services"
_WAIT = "/usr/local/sbin/stacklab-wait"


def stages(lab: Lab) -> tuple[Stage, ...]:
    """Return the stages; nodes are configured and started at once, and services wait themselves."""
    listed: list[Stage] = []
    # The controller first: what is begun anew there, its computes have to begin anew, too.
    nodes = sorted(lab.nodes, key=lambda node: node.name != lab.controller.name)
    for node in nodes:
        place = place_of(lab, node)
        if place is not None:
            listed += _stages_on(lab, node, place)
    services_run = tuple(stage.name for stage in listed if stage.name.startswith(_SERVICES))
    listed.append(_agents(lab, services_run))
    return tuple(listed)


def _agents(lab: Lab, after: tuple[str, ...]) -> Stage:
    """Return the stage after which neutron knows every agent: before, it binds no port."""
    return Stage(
        name="agents",
        steps=(
            *_know_each_other(lab),
            backend_of(lab).wait_for_agents(lab),
            _wait_for_mapping(lab),
        ),
        limit_s=15 * MINUTE_S,
        after=after,
        hint="an ovn-controller is not connected (ovn-sbctl show on the controller), or a "
        "nova-compute does not reach RabbitMQ (journalctl -u stacklab-nova-compute)",
    )


def _know_each_other(lab: Lab) -> Iterator[Step]:
    """Yield what lets VMs move to a compute that came later: its host key, on all computes.

    install.sh has placed the keys of then; only this stage runs again when a compute comes.
    """
    computes = compute_nodes(lab)
    for node in computes if len(computes) > 1 else ():
        yield Step(
            node=node.name,
            title="know the other computes' host keys",
            command="install -m 0644 /home/stack/.ssh/known_hosts /etc/ssh/ssh_known_hosts",
            user="root",
        )


def _wait_for_mapping(lab: Lab) -> Step:
    """Return the step that waits until nova may schedule to every compute node.

    The scheduler maps new ones by itself, see discover_hosts_in_cells_interval. The database is
    asked, since nova-manage is a minute's work under emulation.
    """
    computes = [node.name for node in compute_nodes(lab)]
    hosts = ", ".join(f"'{name}'" for name in computes)
    query = f"SELECT COUNT(*) FROM nova_api.host_mappings WHERE host IN ({hosts})"
    return Step(
        node=lab.controller.name,
        title="wait until nova has mapped every compute node to its cell",
        command=wait_for_count(query, len(computes)),
        user="root",
    )


def _stages_on(lab: Lab, node: Node, place: CloudPlace) -> Iterator[Stage]:
    configure = name_at("configure", node.name)
    # A controller that was made anew has an empty database, in which its computes have to register.
    configured = (configure, name_at("configure", lab.controller.name))
    start = name_at("start", node.name)
    yield Stage(
        name=configure,
        steps=(
            Step(
                node=node.name,
                title="place the configuration",
                command=f"sh {INSTALL}",
                user="root",
            ),
        ),
        limit_s=5 * MINUTE_S,
        done=f"test -e {names.WANTS}/{services.targets(place)[0]}",
        hint="the node's image may not have OpenStack in it: ./invoke image.list",
    )
    yield Stage(
        name=start,
        steps=(_start(lab, node, place),),
        limit_s=15 * MINUTE_S,
        after=tuple(dict.fromkeys(configured)),
        # It waits for the bridges: at a boot they may still be on their way.
        done=f"timeout 120 systemctl start {names.BRIDGES} && {_all_active(names.BRIDGES)}",
        hint=f"journalctl -u {names.BRIDGES} on {node.name}",
    )
    yield Stage(
        name=name_at(_SERVICES, node.name),
        steps=(_wait_for_services(lab, node, place),),
        limit_s=45 * MINUTE_S,
        after=(start,),
        done=_all_active(*(service.unit for service in services.services_of(lab, place))),
        hint=f"on {node.name}: systemctl list-units --all '{names.UNIT_PREFIX}*'",
    )


def _all_active(*units: str) -> str:
    """Return a command that succeeds if every unit runs; `is-active` is content with one."""
    return f"! systemctl is-active {' '.join(units)} | grep -qvx active"


def _start(lab: Lab, node: Node, place: CloudPlace) -> Step:
    # The bridges first: whoever can't have them should be told here.
    restarts = [f"systemctl restart {unit}" for unit in backend_of(lab).below_bridges]
    restarts.append(_restart_bridges())
    restarts.append(f"systemctl restart --no-block {' '.join(services.targets(place))}")
    return Step(
        node=node.name,
        title="start all services",
        command=" && ".join(restarts),
        user="root",
    )


def _restart_bridges() -> str:
    """Return a command whose output tells why bridges failed."""
    told = f"journalctl -q -o cat -n 20 -u {names.BRIDGES}"
    return f"{{ systemctl restart {names.BRIDGES} || {{ {told}; false; }}; }}"


def _wait_for_services(lab: Lab, node: Node, place: CloudPlace) -> Step:
    """Return one step for all of them: each step costs an emulated node five seconds."""
    waits = []
    for service in services.services_of(lab, place):
        wait = f"{_WAIT} --unit {service.unit} {service.ready}".strip()
        # Its last line is what is shown.
        waits.append(f"echo waiting for {service.name} && {wait}")
    return Step(
        node=node.name,
        title="wait until every service works",
        command=" && ".join(waits),
        user="root",
    )
