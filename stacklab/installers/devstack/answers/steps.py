"""Stages of DevStack: the controller, then the computes, then what joins them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from stacklab.installers.devstack.answers import images
from stacklab.installers.devstack.answers.files import LOGS, TREE
from stacklab.installers.devstack.answers.projects import devstack_ref, devstack_url, driver_plugins
from stacklab.installers.devstack.answers.seat import (
    DevStackSeat,
    is_nova_network,
    seat,
)
from stacklab.installers.kit import container
from stacklab.installers.kit.git import CLONES, clone, install_git
from stacklab.installers.kit.release import release_of, workarounds
from stacklab.installers.kit.roles import is_in_cloud
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release, When
from stacklab.model.stack import Driver
from stacklab.stages.stage import HOUR_S, MINUTE_S, Stage, Step, name_at

_SUMMARY = LOGS / "stack.sh.log.summary"  # of the last run
_DOCKER = CLONES / "nova-docker"
_COMPUTE_ID = PurePosixPath("/etc/nova/compute_id")
UNITS = "devstack@*"  # of its services
# It shows them with their last words, and ends with 0 if there is none.
_SHOW_FAILED = (
    f"listed=$(systemctl list-units --failed --plain --no-legend '{UNITS}') && "
    '{ [ -z "$listed" ] || '
    "systemctl status --no-pager --lines 20 $(echo \"$listed\" | cut -d ' ' -f 1); }"
)
# Of computes' UUIDs, so that they are the same at each stack.sh.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "computes.stacklab")
_AS_ADMIN = f"cd {TREE} && set +u && . ./openrc admin admin"


def stages(lab: Lab) -> tuple[Stage, ...]:
    """Return the stages of every node; raises RenderError for a lab that DevStack can't be."""
    release = release_of(lab)
    others = [node for node in lab.nodes if node.name != lab.controller.name]
    computes = [node for node in others if is_in_cloud(lab, node)]
    node_stages: list[Stage] = []
    stacked: list[Node] = []
    # A node that is not in the cloud has no seat, and no stages.
    for node in (lab.controller, *computes):
        place = seat(lab, release, node)
        if place:
            node_stages += _stages_on(lab, release, node, place)
            stacked.append(node)
    # Since cells came, computes that register later than the controller's stack.sh stay unknown.
    if computes and release.text("discover_hosts"):
        node_stages.append(_make_discover_stage(lab, tuple(stage.name for stage in node_stages)))
    if release.text("units"):
        node_stages.append(_make_services_stage(stacked, node_stages))
    return tuple(node_stages)


def _stages_on(lab: Lab, release: Release, node: Node, place: DevStackSeat) -> Iterator[Stage]:
    is_controller = node.name == lab.controller.name
    # A compute's stack.sh asks the controller's services, so those must run by then.
    controller_is_up = () if is_controller else (name_at("stack", lab.controller.name),)
    yield Stage(
        name=name_at("sources", node.name),
        steps=tuple(_prepare(lab, release, node, place)),
        limit_s=HOUR_S,
        hint="a repository may have moved: try a mirror in stack.git_base",
    )
    yield Stage(
        name=name_at("stack", node.name),
        steps=(
            _run_unstack_sh(node),
            # After unstack.sh, which stops a container's Open vSwitch.
            *container.prepare(node),
            *images.see(lab, node),
            *_name_compute(lab, release, node, place),
            _run_stack_sh(node),
        ),
        limit_s=4 * HOUR_S,
        after=(name_at("sources", node.name), *controller_is_up),
        done=f"grep -qs 'stack.sh completed' {_SUMMARY}",
        hint=f"the last lines of {LOGS}/stack.sh.log name the command that failed",
    )
    yield Stage(
        name=name_at("finish", node.name),
        steps=(
            *workarounds(lab, release, node, When.AFTER),
            *_finish_controller(lab, release, node, place),
        ),
        limit_s=HOUR_S,
        after=(name_at("stack", node.name),),
        hint="a service that stack.sh started may have ended since",
    )


def _make_discover_stage(lab: Lab, after: tuple[str, ...]) -> Stage:
    step = Step(
        node=lab.controller.name,
        title="map the computes to nova's cell",
        command=f"cd {TREE} && ./tools/discover_hosts.sh",
    )
    return Stage(
        name="discover-hosts",
        steps=(step,),
        limit_s=10 * MINUTE_S,
        after=after,
        hint="nova-compute may not have registered: openstack compute service list",
    )


def _make_services_stage(nodes: Sequence[Node], before: Sequence[Stage]) -> Stage:
    """Return the stage that fails if a service has ended since its node's stack.sh was content."""
    return Stage(
        name="services",
        steps=tuple(
            Step(
                node=node.name,
                title="see that no service has ended",
                command=_SHOW_FAILED,
                user="root",
            )
            for node in nodes
        ),
        limit_s=5 * MINUTE_S,
        after=tuple(stage.name for stage in before),
        hint="journalctl -u UNIT on that node has its traceback",
    )


def _prepare(lab: Lab, release: Release, node: Node, place: DevStackSeat) -> Iterator[Step]:
    yield install_git(node)
    yield clone(node, devstack_url(lab, release), devstack_ref(lab, release), TREE)
    yield from workarounds(lab, release, node, When.AFTER_CLONE, tree=TREE)
    if lab.stack.driver is Driver.DOCKER:
        yield from _docker(lab, release, node, place)


def _docker(lab: Lab, release: Release, node: Node, place: DevStackSeat) -> Iterator[Step]:
    style = release.text("docker_style")
    if not place.is_controller:
        yield Step(
            node=node.name,
            title="make a directory for glance-api.conf, which the docker driver writes to without "
            "glance",
            command="install -d -o stack -g stack /etc/glance",
            user="root",
            done="test -d /etc/glance",
        )
    if style == "intree":
        if place.has_compute:
            command = f"cd {TREE} && ./tools/docker/install_docker.sh"
            yield Step(
                node=node.name,
                title="install docker and its images",
                command=command,
                done="docker info",
            )
        return
    for plugin in driver_plugins(lab, release):
        yield clone(node, plugin.url, plugin.ref, CLONES / plugin.name)
    # By hand, and not by prepare_devstack.sh, which would append to localrc at every run.
    names = ["lib/nova_plugins/hypervisor-docker"]
    if style == "prepare":
        names.append("extras.d/70-docker.sh")
    for name in names:
        source = _DOCKER / "contrib" / "devstack" / name
        yield Step(
            node=node.name,
            title=f"give DevStack nova-docker's {name.rpartition('/')[2]}",
            command=f"install -D -m 644 {source} {TREE / name}",
            done=f"cmp -s {source} {TREE / name}",
        )


def _run_unstack_sh(node: Node) -> Step:
    """Return the step that stops what an earlier stack.sh started; over it, stack.sh would fail."""
    # stack.sh writes this file once the packages are there, and removes it when it begins.
    state = TREE / ".stackenv"
    return Step(
        node=node.name,
        title="stop what stack.sh has started before",
        # Its exit code is that of the last thing which it tidies up, and says nothing.
        command=f"cd {TREE} && {{ ./unstack.sh || true; }} && rm -f {state}",
        # Nor while stack.sh runs: without its journal, lab.stack comes by here to attach to that.
        done=f"test ! -e {state} || pgrep -f '[.]/stack\\.sh$'",
    )


def _name_compute(lab: Lab, release: Release, node: Node, place: DevStackSeat) -> Iterator[Step]:
    """Yield what gives nova-compute the same UUID again after each stack.sh.

    stack.sh removes the one that nova-compute has made, and a compute that comes back with another
    finds its name taken: "Duplicate compute node record found". nova reads nova/virt/node.py's file
    beside its configuration, too. Not for fake computes, of which each has a file of its own.
    """
    is_one = place.has_compute and lab.stack.driver is not Driver.FAKE
    if not is_one or not release.text("compute_id"):
        return
    known = uuid.uuid5(_NAMESPACE, f"{lab.name}/{node.name}")
    yield Step(
        node=node.name,
        title="give nova-compute a UUID that outlives stack.sh",
        command=f"install -d -o stack -g stack {_COMPUTE_ID.parent} && "
        f"echo {known} | install -m 644 -o stack -g stack /dev/stdin {_COMPUTE_ID}",
        user="root",
        done=f"grep -qsx {known} {_COMPUTE_ID}",
    )


def _run_stack_sh(node: Node) -> Step:
    """Return the step that runs stack.sh; whether that has to be is the stage's test alone.

    With a test of its own it would be passed over where it is meant to run again: by --from, or
    after a change of local.conf.
    """
    return Step(node=node.name, title="run stack.sh", command=f"cd {TREE} && ./stack.sh")


def _finish_controller(
    lab: Lab, release: Release, node: Node, place: DevStackSeat
) -> Iterator[Step]:
    if not place.is_controller:
        return
    yield from images.share(lab, node)
    if place.public_device and not release.text("public_interface") and not is_nova_network(lab):
        yield Step(
            node=node.name,
            title=f"give br-ex {place.public_device}: it has the address already",
            command=f"ovs-vsctl --may-exist add-port br-ex {place.public_device} && "
            f"ip address flush dev {place.public_device}",
            user="root",
            done=f"ovs-vsctl list-ports br-ex | grep -qx {place.public_device}",
        )
    if lab.stack.volume_types and release.text("volume_backends") == "CINDER_MULTI_LVM_BACKEND":
        yield from _volume_types(lab, node)


def _volume_types(lab: Lab, node: Node) -> Iterator[Step]:
    """Yield the steps that make volume types: Icehouse and older make back ends only."""
    backends = ("LVM_iSCSI", "LVM_iSCSI_2")
    # lib/cinder names its two back ends so; the spec has at most two types.
    for name, backend in zip(lab.stack.volume_types, backends, strict=False):
        yield Step(
            node=node.name,
            title=f"make volume type {name}",
            command=f"{_AS_ADMIN} && cinder type-create {name} && cinder type-key {name} set "
            f"volume_backend_name={backend}",
            done=f"{_AS_ADMIN} && cinder type-list | grep -qw {name}",
        )
