"""Stages of Packstack: ways in for root and packages, the run, and what comes after it.

Packstack runs on the controller, and reaches every host, its own too, as root by ssh.
Nodes let no root in, so each is opened to root by the lab's own key, from the cloud's
networks alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from stacklab.installers.kit.release import release_of, workarounds
from stacklab.installers.packstack.answers import after as packstack_after
from stacklab.installers.packstack.answers import docker as packstack_docker
from stacklab.installers.packstack.answers.after import DIRECTORY
from stacklab.installers.packstack.answers.cloud import cloud_nodes
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release, When
from stacklab.model.stack import Driver
from stacklab.stages.stage import HOUR_S, Stage, Step, name_at

ANSWERS = DIRECTORY / "answers.txt"
ROOT_KEY = PurePosixPath("/root/.ssh/id_ed25519")

_COPY = PurePosixPath("/root/packstack-answers.txt")
_DONE = PurePosixPath("/root/packstack-answers.done")  # what it was given when it last came through
_LAB_KEY = PurePosixPath("/home/stack/.ssh/id_ed25519")  # every node's stack has it, from the seed
_SSHD = "/etc/ssh/sshd_config"
_PROXY = "/etc/profile.d/stacklab-proxy.sh"


def stages(lab: Lab) -> tuple[Stage, ...]:
    """Return the stages: every node made ready, the run on the controller, what comes after it."""
    release, nodes = release_of(lab), cloud_nodes(lab)
    prepared = tuple(name_at("packages", node.name) for node in nodes)
    return (
        *(_prepare_stage(lab, release, node) for node in nodes),
        Stage(
            name="packstack",
            steps=tuple(_run_packstack(lab, release)),
            # Puppet installs every package there, too.
            limit_s=4 * HOUR_S,
            after=prepared,
            hint="its ERROR names the puppet manifest that failed, whose log is below "
            "/var/tmp/packstack on the controller; if it asked for something, that is a key for "
            "stack.answers",
        ),
        *(_finish_stage(lab, release, node) for node in nodes),
    )


def _prepare_stage(lab: Lab, release: Release, node: Node) -> Stage:
    """Return the stage that lets root in on a node, and adds RDO's repository."""
    return Stage(
        name=name_at("packages", node.name),
        steps=(*_let_root_in(lab, node), *_add_repository(lab, release, node)),
        limit_s=HOUR_S,
        hint="RDO's repository of this release does not answer, or moved: its address is in "
        "localrc/releases.yaml",
    )


def _finish_stage(lab: Lab, release: Release, node: Node) -> Stage:
    """Return the stage that does on a node what Packstack has no keys for."""
    return Stage(
        name=name_at("finish", node.name),
        steps=(*workarounds(lab, release, node, When.AFTER), *_finish_node(lab, release, node)),
        limit_s=HOUR_S,
        after=("packstack",),
        hint=f"a service does not start with its new options: journalctl -u NAME on {node.name}; "
        "or, with the docker driver, what nova of that time needs is gone from pip's index",
    )


def _let_root_in(lab: Lab, node: Node) -> Iterator[Step]:
    """Yield the steps that open a node to root, by the lab's key alone."""
    # Packstack's ssh comes from the controller, by the network of a node's address in the answers.
    names = dict.fromkeys((lab.stack.network, lab.stack.api_network or lab.stack.network))
    match = f"Match Address {','.join(str(lab.network(name).cidr) for name in names)}"
    yield Step(
        node=node.name,
        user="root",
        title="let root in by key, from the cloud's own networks",
        # A Match block goes before what the file says for all; this word is the old and the new
        # sshd's.
        command=f"printf '%s\\n' {shlex.quote(match)} '    PermitRootLogin without-password' >> "
        f"{_SSHD}"
        " && { systemctl restart sshd || service sshd restart; }",
        done=f"grep -qxF {shlex.quote(match)} {_SSHD}",
    )
    yield Step(
        node=node.name,
        user="root",
        title="take the lab's key for root's",
        command="install -d -m 0700 /root/.ssh"
        f" && cat {_LAB_KEY}.pub >> /root/.ssh/authorized_keys && chmod 0600 "
        f"/root/.ssh/authorized_keys",
        done=f"grep -qxFf {_LAB_KEY}.pub /root/.ssh/authorized_keys",
    )


def _add_repository(lab: Lab, release: Release, node: Node) -> Iterator[Step]:
    """Yield the steps that make yum find RDO's packages of the release."""
    if proxy := lab.stack.proxy.https or lab.stack.proxy.http:
        # Packstack's yum runs in a session that reads no profile.
        line = shlex.quote(f"proxy={proxy}")
        yield Step(
            node=node.name,
            user="root",
            title="tell yum of the proxy",
            command=f"sed -i '/^proxy=/d' /etc/yum.conf && sed -i '/^\\[main\\]/a '{line} "
            f"/etc/yum.conf",
            done=f"grep -qxF {line} /etc/yum.conf",
        )
    # A release that was archived has its repository rewritten after the package brought it.
    package = release.text("package")
    install = f"yum -y install {release.text('package_url') or package}"
    yield Step(
        node=node.name,
        user="root",
        title=f"add RDO's repository of {release.name}",
        command=" && ".join((*release.words("prepare"), install, *release.words("archived"))),
        done=f"rpm -q {package}",
    )


def _run_packstack(lab: Lab, release: Release) -> Iterator[Step]:
    """Yield the steps that run Packstack on the controller."""
    name = lab.controller.name
    yield Step(
        node=name,
        user="root",
        title="give root the lab's key, for packstack's ssh",
        command=f"install -m 0600 {_LAB_KEY} {ROOT_KEY} && install -m 0644 {_LAB_KEY}.pub "
        f"{ROOT_KEY}.pub",
        done=f"cmp -s {_LAB_KEY} {ROOT_KEY} && cmp -s {_LAB_KEY}.pub {ROOT_KEY}.pub",
    )
    yield Step(
        node=name,
        user="root",
        title="install packstack",
        command="yum -y install openstack-packstack",
        done="rpm -q openstack-packstack",
    )
    # Root's session by ssh reads no profile, and the run itself fetches things.
    proxy = f". {_PROXY} && " if lab.stack.proxy.http or lab.stack.proxy.https else ""
    yield Step(
        node=name,
        user="root",
        title=f"run packstack {release.name} on a copy of the answers, which it rewrites",
        command=f"{proxy}install -m 0600 {ANSWERS} {_COPY} && packstack --answer-file={_COPY}"
        f" && install -m 0600 {ANSWERS} {_DONE}",
        done=f"cmp -s {ANSWERS} {_DONE}",
    )


def _finish_node(lab: Lab, release: Release, node: Node) -> Iterator[Step]:
    """Yield the steps of a node after Packstack: the docker driver, then options."""
    if node.name == lab.controller.name and lab.stack.driver is Driver.DOCKER:
        for word, title in packstack_docker.STEPS:
            script = packstack_docker.SCRIPT
            yield Step(
                node=node.name,
                user="root",
                title=title,
                command=f"bash {script} {word}",
                done=f"bash {script} check {word}",
            )
    if packstack_after.options_of_node(lab, release, node):
        script = packstack_after.SCRIPT
        yield Step(
            node=node.name,
            user="root",
            title="install what sets options",
            command="yum -y install crudini",
            done="rpm -q crudini",
        )
        yield Step(
            node=node.name,
            user="root",
            title="set the options for which packstack does not have keys",
            command=f"bash {script}",
            done=f"bash {script} check",
        )
