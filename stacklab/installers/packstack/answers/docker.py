"""nova's docker driver after Packstack: nova from source, docker, its registry, redis."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from stacklab.installers.kit.git import CLONES, git_base
from stacklab.installers.kit.request import Request
from stacklab.installers.packstack.answers import cloud as packstack_cloud
from stacklab.installers.packstack.answers.after import DIRECTORY
from stacklab.model.lab import Node

SCRIPT = DIRECTORY / "docker-steps.sh"
REGISTRY = DIRECTORY / "docker-registry"

_SOURCE, _VENV = CLONES / "nova", CLONES / "nova-venv"
_PORT = 5042  # the driver looks for the registry there
_FORMATS = "ami,ari,aki,bare,ovf,docker"

# Each step of the script, with what people are told of it; the script's order.
STEPS = (
    ("packages", "install docker, its registry, redis, and what nova is compiled with"),
    ("group", "let nova use docker's socket"),
    ("docker", "start docker"),
    ("redis", "start redis"),
    ("registry", "start docker's registry on port 5042, with its images in glance"),
    ("options", "choose nova's docker driver, and let glance take docker's images"),
    ("source", "clone nova, with the docker driver"),
    ("venv", "install nova into a virtualenv"),
    ("filters", "let the driver do its part as root"),
    ("database", "bring nova's database up to the source"),
    ("services", "start nova's services from the virtualenv"),
    ("restart", "restart them"),
)


def render_files(request: Request, node: Node) -> Mapping[PurePosixPath, str]:
    """Return the script of all steps, and the registry's settings."""
    lab, release = request.lab, request.release
    script = request.render(
        "packstack/docker-steps.sh.j2",
        node,
        path=SCRIPT,
        registry=REGISTRY,
        source=_SOURCE,
        venv=_VENV,
        driver=release.text("docker_driver"),
        formats=_FORMATS,
        url=f"{git_base(lab)}/openstack/nova",
        ref=dict(lab.stack.refs).get("nova") or release.text("nova_ref"),
        driver_ref=release.text("docker_ref"),
        version=release.text("nova_version"),
        packages=release.words("venv_packages"),
    )
    controller = packstack_cloud.cloud_of(lab, release).controller
    settings = request.render(
        "packstack/docker-registry.j2", node, controller=controller, port=_PORT
    )
    return {SCRIPT: script, REGISTRY: settings}
