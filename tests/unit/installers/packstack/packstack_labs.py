"""Labs for Packstack, by way of a spec: what the rules let through is what there is to render."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from stacklab import spec
from stacklab.installers import rendering as answers
from stacklab.model.lab import Lab

ANSWERS = PurePosixPath("/opt/stack/packstack/answers.txt")
OPTIONS = PurePosixPath("/opt/stack/packstack/options.sh")
DOCKER = PurePosixPath("/opt/stack/packstack/docker-steps.sh")
REGISTRY = PurePosixPath("/opt/stack/packstack/docker-registry")
METADATA = PurePosixPath("/opt/stack/packstack/glance-metadata.json")

_SPEC = """\
image: {image}
networks:
  mgmt: {{cidr: 192.168.150.0/24, mode: nat}}
  fabric: {{cidr: 10.150.0.0/24, mode: isolated}}
  data: {{cidr: 10.150.1.0/24, mode: isolated}}
  api: {{cidr: 10.150.2.0/24, mode: isolated}}
  public: {{cidr: 10.150.3.0/24, mode: nat}}
nodes:
  controller:
    role: controller
    nics: [{{network: mgmt}}, {{network: fabric}}, {{network: data}}, {{network: api}}, \
{{network: public}}]
{nodes}
stack:
  installer: packstack
  release: "{release}"
  network: fabric
{stack}
"""
COMPUTES = """\
  compute:
    role: compute
    count: 2
    nics: [{network: mgmt}, {network: fabric}, {network: data}, {network: api}]
"""


_loaded: dict[tuple[str, ...], Lab] = {}


def load(
    directory: Path,
    stack: str = "",
    *,
    release: str = "2025.1",
    nodes: str = COMPUTES,
    image: str = "",
) -> Lab:
    """The lab whose stack says `stack`, lines of YAML; `nodes` are those beside the controller."""
    key = (stack, release, nodes, image)
    if key not in _loaded:  # a lab is frozen, and many tests ask for the same
        _loaded[key] = _load(
            directory / "lab.yaml", stack, release=release, nodes=nodes, image=image
        )
    return _loaded[key]


def _load(path: Path, stack: str, *, release: str, nodes: str, image: str) -> Lab:
    lines = "".join(f"  {line}\n" for line in stack.splitlines())
    system = image or (
        "centos-stream-9"
        if release == "2025.1"
        else "fedora-20"
        if release == "havana"
        else "centos-7"
    )
    path.write_text(_SPEC.format(image=system, release=release, nodes=nodes, stack=lines))
    return spec.load(path)


def secrets(lab: Lab) -> dict[str, str]:
    """A secret of its own for each name, so that a mix-up shows."""
    return {
        name: f"{name.replace('_', '')}0123456789abcdefghij"[:20]
        for name in answers.secret_names(lab)
    }


def render(lab: Lab, node: str = "controller") -> dict[PurePosixPath, str]:
    """A node's files."""
    return dict(answers.render(lab, secrets(lab))[node])


def keys(text: str) -> dict[str, str]:
    """The assignments of an answer file."""
    pairs = [line.split("=", 1) for line in text.splitlines() if line and line[0] not in "#["]
    assert len(pairs) == len({key for key, _value in pairs}), "a key is there twice"
    return dict(pairs)


def answer_keys(lab: Lab) -> dict[str, str]:
    """The assignments of a lab's own answer file."""
    return keys(render(lab)[ANSWERS])
