"""What is done with the answers: the controller whole, then the computes, then what ties them together."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.contract import CLONES, Step, clone, install_git, is_in_cloud, release_of
from stacklab.installers.devstack.answers import images
from stacklab.installers.devstack.answers.files import LOGS, TREE
from stacklab.installers.devstack.answers.projects import devstack_ref, devstack_url, driver_plugins
from stacklab.installers.devstack.answers.seat import Seat, seat
from stacklab.installers.kit.host import workarounds
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Driver
from stacklab.releases import Release, When

_SUMMARY = LOGS / "stack.sh.log.summary"  # of the last run
_DOCKER = CLONES / "nova-docker"
_AS_ADMIN = f"cd {TREE} && set +u && . ./openrc admin admin"


def steps(lab: Lab) -> tuple[Step, ...]:
    """The order in which the files are used; raises RenderError for a lab that DevStack can't be."""
    release = release_of(lab)
    computes = [
        node for node in lab.nodes if node.name != lab.controller.name and is_in_cloud(lab, node)
    ]
    found: list[Step] = []
    for node in (lab.controller, *computes):
        if place := seat(lab, release, node):
            found += _prepare(lab, release, node, place)
            found += images.see(lab, node)
            found.append(_stack(node))
            found += workarounds(lab, release, node, When.AFTER)
            found += _after(lab, release, node, place)
    if computes and release.text("discover_hosts"):
        found.append(
            Step(
                node=lab.controller.name,
                title="map the computes to nova's cell",
                command=f"cd {TREE} && ./tools/discover_hosts.sh",
            )
        )
    return tuple(found)


def _prepare(lab: Lab, release: Release, node: Node, place: Seat) -> Iterator[Step]:
    yield install_git(node)
    yield clone(node, devstack_url(lab, release), devstack_ref(lab, release), TREE)
    yield from workarounds(lab, release, node, When.AFTER_CLONE, tree=TREE)
    if lab.stack.driver is Driver.DOCKER:
        yield from _docker(lab, release, node, place)


def _docker(lab: Lab, release: Release, node: Node, place: Seat) -> Iterator[Step]:
    style = release.text("docker_style")
    if not place.is_controller:
        yield Step(
            node=node.name,
            title="make a directory for glance-api.conf, which the docker driver writes to without glance",
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
    # By hand and not by prepare_devstack.sh, which would append to localrc at every run.
    for name in (
        "lib/nova_plugins/hypervisor-docker",
        *(("extras.d/70-docker.sh",) if style == "prepare" else ()),
    ):
        source = _DOCKER / "contrib" / "devstack" / name
        yield Step(
            node=node.name,
            title=f"give DevStack nova-docker's {name.rpartition('/')[2]}",
            command=f"install -D -m 644 {source} {TREE / name}",
            done=f"cmp -s {source} {TREE / name}",
        )


def _stack(node: Node) -> Step:
    return Step(
        node=node.name,
        title="run stack.sh",
        command=f"cd {TREE} && ./stack.sh",
        done=f"grep -qs 'stack.sh completed' {_SUMMARY}",
    )


def _after(lab: Lab, release: Release, node: Node, place: Seat) -> Iterator[Step]:
    if not place.is_controller:
        return
    yield from images.share(lab, node)
    if place.public_device and not release.text("public_interface") and not _is_nova_network(lab):
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
    """Icehouse's stack.sh and older make back ends alone."""
    backends = ("LVM_iSCSI", "LVM_iSCSI_2")
    for name, backend in zip(lab.stack.volume_types, backends, strict=False):
        yield Step(
            node=node.name,
            title=f"make volume type {name}",
            command=f"{_AS_ADMIN} && cinder type-create {name} && cinder type-key {name} set "
            f"volume_backend_name={backend}",
            done=f"{_AS_ADMIN} && cinder type-list | grep -qw {name}",
        )


def _is_nova_network(lab: Lab) -> bool:
    return lab.stack.network_mode is not None and lab.stack.network_mode.is_nova_network
