"""Answers for Packstack: one answer file on the controller, and scripts for all else.

Facts here were read in redhat-openstack/packstack: 26.0.0 (cd0e4455), and the tags
havana-eol (3a2d755c) to newton-eol (43baf0d9). What `if`s there would be between
releases is in localrc/packstack/keys.yaml and localrc/releases.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from stacklab.errors import RenderError
from stacklab.installers.kit.release import release_of
from stacklab.installers.kit.request import Rendered, Request
from stacklab.installers.packstack.answers import after as packstack_after
from stacklab.installers.packstack.answers import cloud as packstack_cloud
from stacklab.installers.packstack.answers import docker as packstack_docker
from stacklab.installers.packstack.answers import release_keys
from stacklab.installers.packstack.answers.steps import ANSWERS, ROOT_KEY
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Driver

# Secrets by the key that asks for them; the others every release reads.
_ONLY_WITH = {
    "service_token": "CONFIG_KEYSTONE_ADMIN_TOKEN",
    "horizon_secret": "CONFIG_HORIZON_SECRET_KEY",
}
_ALWAYS = (
    "admin_password",
    "demo_password",
    "database_password",
    "rabbit_password",
    "service_password",
)
_METADATA = "metadata_password"  # neutron's


def secret_names(lab: Lab) -> tuple[str, ...]:
    """Return the names of the secrets: Packstack shall not make up any password."""
    release = release_of(lab)
    keys = release_keys.keys_of_release(release)
    names = list(_ALWAYS)
    if not packstack_cloud.cloud_of(lab, release).is_nova_network:
        names.append(_METADATA)
    for name, key in _ONLY_WITH.items():
        if keys.has(key):
            names.append(name)
    return tuple(names)


def render(request: Request) -> Rendered:
    """Render the controller's answer file, and every node's scripts; a bystander gets none."""
    lab = request.lab
    _check_sources(lab)
    if lab.stack.mirrors.apt:
        raise RenderError(
            "stack.mirrors.apt: RDO's systems do not use APT",
            hint="remove it; CONFIG_REPO of stack.answers adds a yum mirror",
        )
    rendered: dict[str, Mapping[PurePosixPath, str]] = {node.name: {} for node in lab.nodes}
    for node in lab.nodes:
        if node in packstack_cloud.cloud_nodes(lab):
            rendered[node.name] = _render_node(request, node)
    return rendered


def _render_node(request: Request, node: Node) -> Mapping[PurePosixPath, str]:
    """Render one node's files; the answer file is the controller's alone."""
    lab = request.lab
    files = dict(packstack_after.render_files(request, node))
    if node.name == lab.controller.name:
        files[ANSWERS] = _render_answers(request, node)
        if lab.stack.driver is Driver.DOCKER:
            files |= packstack_docker.render_files(request, node)
    return files


def _render_answers(request: Request, node: Node) -> str:
    """Render the answer file by the release's own keys."""
    text = request.render(
        "packstack/answers.txt.j2",
        node,
        cloud=packstack_cloud.cloud_of(request.lab, request.release),
        ssh_key=f"{ROOT_KEY}.pub",
    )
    extra = {key: _spell_value(request, key, value) for key, value in request.lab.stack.answers}
    return release_keys.fit_to_release(text, release_keys.keys_of_release(request.release), extra)


def _spell_value(request: Request, key: str, value: str) -> str:
    """Return a value so that the release's parser reads it back.

    Raises RenderError if it can't be written so.
    """
    if value != value.strip():
        raise RenderError(
            f"stack.answers.{key}: blanks around the value are lost", hint="remove them"
        )
    if not request.release.text("python2"):
        return value
    if re.search(r"\s;", value):  # its parser takes the rest for a comment
        raise RenderError(
            f"stack.answers.{key}: Packstack {request.release.name} reads up to the ; alone"
        )
    return value.replace("%", "%%")  # and would look for a key to put in place of what follows


def _check_sources(lab: Lab) -> None:
    """Raise RenderError for sources that Packstack cannot use.

    Only nova's docker driver is from source; all else is RDO's packages.
    """
    stack = lab.stack
    # A package has no branch, so nothing of these could be meant.
    if stack.driver is not Driver.DOCKER and (stack.git_base or stack.refs):
        option = "git_base" if stack.git_base else "refs"
        raise RenderError(
            f"stack.{option}: Packstack installs packages; only driver docker has something from "
            f"source",
            hint=f"remove {option}, or driver: docker",
        )
    for project, _ref in stack.refs:
        if project != "nova":
            raise RenderError(
                f"stack.refs.{project}: with Packstack and driver docker, only nova is from source",
                hint="refs: nova",
            )
