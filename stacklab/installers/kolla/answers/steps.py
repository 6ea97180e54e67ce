"""Stages of kolla-ansible: nearly all run on the deployer, which reaches other nodes by ssh."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import PurePosixPath

from stacklab.installers.kit.git import CLONES, git_base
from stacklab.installers.kit.python import make_venv
from stacklab.installers.kit.release import release_of
from stacklab.installers.kolla.answers.cloud import (
    EXTERNAL_DEVICE,
    cloned_sources,
    cloud_nodes,
    controllers_of,
    external_device,
    floating_pool,
)
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release
from stacklab.stages.stage import HOUR_S, Stage, Step

EXTERNAL_UNIT = "stacklab-external.service"

_VENV = CLONES / "kolla-ansible"
# It starts ansible-playbook and ansible-galaxy by name; clouds.yaml is where post-deploy puts it.
_ENVIRONMENT = f"PATH={_VENV}/bin:$PATH OS_CLIENT_CONFIG_FILE=/etc/kolla/clouds.yaml"
_INVENTORY = PurePosixPath("/etc/kolla/inventory")
_MULTINODE = _VENV / "share/kolla-ansible/ansible/inventory/multinode"
_ASKED = _VENV / "share/kolla-ansible/etc_examples/kolla/passwords.yml"
PASSWORDS = "passwords.lab.yml"  # these three are in /etc/kolla
_NEXT, _SUMS = "passwords.next", "passwords.sha256"
# In this order: a router in use can't be deleted, nor a network. The image is the last, so that
# this, too, may break off and be run again.
_UNDO_RUNONCE = (
    "openstack router unset --external-gateway demo-router; "
    "openstack router remove subnet demo-router demo-subnet; "
    "openstack router delete demo-router; openstack network delete demo-net; "
    "openstack network delete public1; openstack keypair delete mykey; "
    "group=$(openstack security group list --project admin -f value -c ID -c Name "
    "| sed -n 's/ default$//p'); "
    "for protocol in icmp tcp; do "
    'openstack security group rule list "$group" --ingress --protocol $protocol -f value -c ID '
    "| xargs -r openstack security group rule delete; done; "
    "openstack image delete cirros"
)
_OWN_GROUPS = "control|network|compute|monitoring|storage|deployment"

# Debian's minimal Python lacks what Ansible's modules import; git is for dev mode, before kolla-
# ansible brings it.
_APT = "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install"
_APT_NODE = "python3 python3-apt git ca-certificates curl"
_DNF_NODE = "python3 git ca-certificates curl"
_APT_DEPLOYER = "python3-venv python3-dev gcc libffi-dev libssl-dev"
_DNF_DEPLOYER = "python3-devel gcc libffi-devel openssl-devel"
# EL 9's own Python is older than kolla-ansible wants it.
_NEWER = (
    " && (python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' "
    "|| dnf -qy install python3.12)"
)
_PYTHON = "$(command -v python3.12 || command -v python3)"


def stages(lab: Lab) -> tuple[Stage, ...]:
    """Return the stages of a whole installation; every step may be run again."""
    release = release_of(lab)
    return (
        Stage(
            name="packages",
            steps=tuple(step for node in cloud_nodes(lab) for step in _prepare_node(lab, node)),
            limit_s=HOUR_S,
            hint="the node may not reach a mirror of packages: try lab.check",
        ),
        Stage(
            name="deployer",
            steps=tuple(_set_up_deployer(lab, release)),
            limit_s=HOUR_S,
            after=("packages",),
            hint=("pip did not reach an index, or the node's Python is too old for this release"),
        ),
        # Beside the deployer's, on all nodes: it needs git alone.
        Stage(
            name="changes",
            steps=tuple(_check_out_changes(lab, release)),
            limit_s=HOUR_S,
            after=("packages",),
            hint=(
                "Gerrit may not have that patch set any more: write the newest one in stack.refs"
            ),
        ),
        *_deploy_stages(lab, release),
    )


def _prepare_node(lab: Lab, node: Node) -> Iterator[Step]:
    """Yield the steps that make a node ready for Ansible, whatever its distribution is."""
    is_deployer = node.name == lab.controller.name
    # The spec may mix images, so each node finds out by itself which packages it takes.
    apt = f"{_APT_NODE} {_APT_DEPLOYER}" if is_deployer else _APT_NODE
    dnf = f"{_DNF_NODE} {_DNF_DEPLOYER}" if is_deployer else _DNF_NODE
    newer = _NEWER if is_deployer else ""
    command = f"if command -v apt-get; then {_APT} {apt}; else dnf -qy install {dnf}{newer}; fi"
    yield Step(
        node=node.name,
        title="install what Ansible needs",
        command=command,
        user="root",
        done=f"command -v git curl && python3 -c 'import ssl, "
        f"json{', ensurepip' if is_deployer else ''}'",
    )
    if node in controllers_of(lab):
        yield _ready_external_nic(lab, node)


def _ready_external_nic(lab: Lab, node: Node) -> Step:
    """Return the step that makes the NIC ready which neutron takes into br-ex."""
    device = external_device(lab, node)
    is_dummy = device == EXTERNAL_DEVICE
    # An address that stays on the NIC would keep its route, by which replies miss the bridge.
    has_address = f"ip -4 -o address show dev {device} | grep -q inet"
    return Step(
        node=node.name,
        title=f"{'make' if is_dummy else 'take the address off'} {device}, which br-ex takes in",
        command=f"systemctl daemon-reload && systemctl enable {EXTERNAL_UNIT} && systemctl restart "
        f"{EXTERNAL_UNIT}",
        user="root",
        done=f"systemctl is-enabled {EXTERNAL_UNIT} && ip link show {device}"
        + ("" if is_dummy else f" && ! {has_address}"),
    )


def _set_up_deployer(lab: Lab, release: Release) -> Iterator[Step]:
    """Yield the steps that install kolla-ansible, and complete its files beside ours."""
    node = lab.controller.name
    yield Step(
        node=node,
        title="let stack write to /etc/kolla, as kolla-ansible's programs do",
        command=f"install -d -o stack -g stack /etc/kolla {_INVENTORY}",
        user="root",
    )
    yield make_venv(
        node,
        _VENV,
        (
            f"ansible-core{release.text('ansible_core')}",
            release.text("package"),
            "python-openstackclient",
        ),
        title=f"install {release.text('package')}",
        python=_PYTHON,
    )
    yield _run_kolla(lab, "install-deps")
    # Ours are dropped from the shipped inventory: Ansible would add its control01 and so on to
    # them.
    awk = rf"/^\[/ {{ dropped = $0 ~ /^\[({_OWN_GROUPS})\]/ }} !dropped"
    yield Step(
        node=node,
        title="take the groups of all services from kolla-ansible's own inventory",
        command=f"awk {shlex.quote(awk)} {_MULTINODE} > {_INVENTORY}/services",
    )
    yield _merge_passwords(node)


def _merge_passwords(node: str) -> Step:
    """Return the step that makes passwords.yml of ours, which lies beside it.

    kolla-genpwd rewrites passwords.yml, so it is not an answer file.

    The `old` of kolla-mergepwd goes before its `new`: what is there before what the
    package asks for, and the lab's own before both. Pairs of keys stay as they are,
    and those that are missing are made; a run that was cut off has changed nothing.
    """
    merge = f"{_VENV}/bin/kolla-mergepwd"
    return Step(
        node=node,
        title="make passwords.yml of the lab's passwords and of pairs of keys",
        command=f"cd /etc/kolla && umask 077 && {{ test -s passwords.yml || cp {_ASKED} "
        f"passwords.yml; }}"
        f" && {merge} --old passwords.yml --new {_ASKED} --final {_NEXT}"
        f" && {merge} --old {PASSWORDS} --new {_NEXT} --final {_NEXT}"
        f" && {_VENV}/bin/kolla-genpwd -p {_NEXT} && mv {_NEXT} passwords.yml"
        f" && sha256sum {PASSWORDS} passwords.yml > {_SUMS}",
        done=f"cd /etc/kolla && sha256sum --status -c {_SUMS}",
    )


def _check_out_changes(lab: Lab, release: Release) -> Iterator[Step]:
    """Yield steps that check changes out where kolla-ansible would clone.

    It leaves a clone alone that is there already.
    """
    for source in cloned_sources(lab, release):
        if not source.is_change:
            continue
        directory = CLONES / source.variable.replace("_", "-")
        git, url = f"git -C {directory}", f"{git_base(lab)}/openstack/{source.project}"
        # refs/changes/45/12345/6 -> change-45-12345-6
        branch = source.ref.removeprefix("refs/changes/").replace("/", "-")
        for node in cloud_nodes(lab):
            yield Step(
                node=node.name,
                title=f"clone {source.project} at {source.ref}",
                # As root, as kolla-ansible clones; whole, since pbr counts commits to say which
                # version it is.
                command=f"git init -q {directory} && {git} fetch -q --tags {url} {source.ref}"
                f" && {git} checkout -q -B change-{branch} FETCH_HEAD",
                user="root",
                done=f"{git} rev-parse -q --verify refs/heads/change-{branch}",
            )


def _deploy_stages(lab: Lab, release: Release) -> tuple[Stage, ...]:
    """Return the stages of kolla-ansible itself, one after the other.

    Each of its verbs may be run again, and none is tested: its exit code is to be trusted.
    """
    return (
        Stage(
            name="bootstrap",
            steps=(_run_kolla(lab, "bootstrap-servers"),),
            limit_s=2 * HOUR_S,
            after=("deployer", "changes"),
            hint="a node does not reach docker's repository of packages, or the controller does "
            "not reach a node by ssh",
        ),
        Stage(
            name="prechecks",
            steps=(_run_kolla(lab, "prechecks"),),
            limit_s=HOUR_S,
            after=("bootstrap",),
            hint="the last task names the node and the setting; a node's name must be its API "
            "address there",
        ),
        Stage(
            name="deploy",
            steps=(_run_kolla(lab, "deploy"),),
            limit_s=4 * HOUR_S,
            after=("prechecks",),
            hint="an image can't be pulled, or a container restarts again and again: docker ps -a "
            "on the node that failed, then its log below /var/log/kolla",
        ),
        Stage(
            name="finish",
            steps=(_run_kolla(lab, "post-deploy"), *_make_first_networks(lab, release)),
            limit_s=HOUR_S,
            after=("deploy",),
            hint="an API may not answer yet: try again in a minute; or the image of cirros can't "
            "be downloaded",
        ),
    )


def _make_first_networks(lab: Lab, release: Release) -> Iterator[Step]:
    """Yield the steps that run init-runonce.

    It does nothing, and ends with 0, where it finds the image that it makes first: if it broke
    off, what it made has to go before it is run again.
    """
    node = lab.controller.name
    is_made = f"{_ENVIRONMENT} openstack --os-cloud kolla-admin flavor show m2.tiny"  # the last
    yield Step(
        node=node,
        title="remove what an init-runonce made that broke off",
        command=f"export {_ENVIRONMENT} OS_CLOUD=kolla-admin; {_UNDO_RUNONCE}",
        done=f"{is_made} || ! {_ENVIRONMENT} openstack --os-cloud kolla-admin image show cirros",
    )
    yield Step(
        node=node,
        title="make first networks, an image and flavors",
        command=f"{_ENVIRONMENT} {_network_variables(lab, release)} "
        f"bash {_VENV}/share/kolla-ansible/init-runonce",
        done=is_made,
    )


def _run_kolla(lab: Lab, verb: str) -> Step:
    """Return the step that runs one of kolla-ansible's commands on the deployer."""
    # It is the one command that runs before there is an inventory, and takes none.
    inventory = "" if verb == "install-deps" else f" -i {_INVENTORY}"
    command = f"{_ENVIRONMENT} kolla-ansible {verb}{inventory}"
    return Step(node=lab.controller.name, title=f"kolla-ansible {verb}", command=command)


def _network_variables(lab: Lab, release: Release) -> str:
    """Return the variables that tell init-runonce which networks to make."""
    stack = lab.stack
    inner = stack.fixed_range or IPv4Network(release.text("fixed_range"))
    variables = [f"DEMO_NET_CIDR={inner}", f"DEMO_NET_GATEWAY={inner[1]}"]
    # Without an external network, br-ex is on a dummy: an address out there would lead nowhere.
    pool = floating_pool(lab)
    if pool is None:
        return " ".join((*variables, "ENABLE_EXT_NET=0"))
    outer = lab.network(stack.external_network)
    variables += [f"EXT_NET_CIDR={outer.cidr}", f"EXT_NET_GATEWAY={outer.host_address}"]
    return " ".join((*variables, f"EXT_NET_RANGE=start={pool[0]},end={pool[1]}"))
