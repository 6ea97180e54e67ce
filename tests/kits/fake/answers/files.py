"""fake.conf on every node, and a stage that reads it."""

from __future__ import annotations

from pathlib import PurePosixPath

from stacklab.installers.kit.addresses import address
from stacklab.installers.kit.request import Rendered, Request
from stacklab.model.lab import Lab
from stacklab.stages.stage import MINUTE_S, Stage, Step, name_at

CONF = PurePosixPath("/opt/stack/fake.conf")


def secret_names(_lab: Lab) -> tuple[str, ...]:
    """Return the only secret."""
    return ("admin_password",)


def render(request: Request) -> Rendered:
    """Render fake.conf of every node."""
    password = request.secrets["admin_password"]
    return {
        node.name: {CONF: f"fake_host: {address(request.lab, node)}\nfake_password: {password}\n"}
        for node in request.lab.nodes
    }


def stages(lab: Lab) -> tuple[Stage, ...]:
    """Return one stage per node, each after the controller's."""
    first = name_at("fake", lab.controller.name)
    return tuple(
        Stage(
            name=name_at("fake", node.name),
            steps=(Step(node=node.name, title="run fake", command=f"fake --conf {CONF}"),),
            limit_s=MINUTE_S,
            after=() if node is lab.controller else (first,),
        )
        for node in lab.nodes
    )
