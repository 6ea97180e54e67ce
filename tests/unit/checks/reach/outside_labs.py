"""Labs with a cloud, and what their nodes make of the outside."""

from __future__ import annotations

from stacklab.checks.reach import outside
from stacklab.model.lab import Lab
from stacklab.model.stack import Installer, Mirrors
from tests.unit.checks.fake_lab import make_lab
from tests.unit.checks.reach.apart_labs import with_stack

PLAIN = make_lab()


CLOUD = with_stack(
    PLAIN,
    installer=Installer.DEVSTACK,
    release="2026.1",
    git_base="https://git.example.org",
    mirrors=Mirrors(pip="https://pip.example.org/simple", apt="http://apt.example.org:3142/debian"),
)


def places(lab: Lab, node: str = "controller") -> tuple[str, ...]:
    return outside.places(lab, lab.node(node))
