"""Answers for kolla-ansible, on the first controller: globals.yml, passwords, inventory, overrides.

It deploys from there. Facts here were read, and run, in openstack/kolla-ansible:
stable/2025.1 (a7fc0cd), stable/2025.2 (257605a), stable/2026.1 (762181a), master (1a68181).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

import yaml

from stacklab.errors import RenderError
from stacklab.installers.kit import host
from stacklab.installers.kit.request import Rendered, Request
from stacklab.installers.kolla.answers.cloud import (
    EXTERNAL_DEVICE,
    KollaCloud,
    cloud_of,
    controllers_of,
    external_device,
)
from stacklab.installers.kolla.answers.overrides import override_files
from stacklab.installers.kolla.answers.passwords import list_passwords
from stacklab.installers.kolla.answers.steps import EXTERNAL_UNIT, PASSWORDS
from stacklab.model.lab import Lab

CONFIG = PurePosixPath("/etc/kolla")
_UNIT_FILE = PurePosixPath("/etc/systemd/system", EXTERNAL_UNIT)
_WORDS = {"yes": "true", "true": "true", "no": "false", "false": "false"}
# Not 017, which is octal in YAML 1.1, and no more digits than fit into 64 bits.
_WHOLE = r"0|-?[1-9][0-9]{0,17}"


def render(request: Request) -> Rendered:
    """Render all that the deployer needs; it brings the other nodes what they need."""
    lab = request.lab
    cloud = cloud_of(lab, request.release)
    rendered: dict[str, dict[PurePosixPath, str]] = {node.name: {} for node in lab.nodes}
    rendered[lab.controller.name].update(_deployer_files(request, cloud))
    # Every controller has a bridge to the outside, so each gets the unit that readies its NIC.
    for node in controllers_of(lab):
        device = external_device(lab, node)
        nic = node.nic_on(lab.stack.external_network)
        rendered[node.name][_UNIT_FILE] = request.render(
            "kolla/external.service.j2",
            node,
            device=device,
            unit=EXTERNAL_UNIT,
            is_dummy=device == EXTERNAL_DEVICE,
            mtu=nic.mtu if nic else 0,
        )
    return rendered


def _deployer_files(request: Request, cloud: KollaCloud) -> Iterator[tuple[PurePosixPath, str]]:
    """Yield the files that kolla-ansible reads on the deployer, each with its text."""
    lab = request.lab
    deployer = lab.controller
    variables = request.render(
        "kolla/globals.yml.j2",
        deployer,
        cloud=cloud,
        answers={key: render_answer(key, value) for key, value in lab.stack.answers},
        proxy=tuple(_proxy_variables(lab, cloud)),
    )
    yield CONFIG / "globals.yml", variables
    passwords = request.render(
        "kolla/passwords.yml.j2",
        deployer,
        passwords=list_passwords(lab.stack.release, request.secrets),
    )
    yield CONFIG / PASSWORDS, passwords
    inventory = request.render("kolla/inventory.j2", deployer, cloud=cloud)
    yield CONFIG / "inventory" / "lab", inventory
    for path, sections in override_files(lab).items():
        override = request.render("kolla/override.conf.j2", deployer, path=path, sections=sections)
        yield path, override


class _AsAtTheTop(yaml.SafeLoader):
    """YAML in which yes and no are booleans, whole numbers are numbers, and the rest is text."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - an instance variable to mypy's eyes


# A resolver is found by a text's first character, so each lists those that it may begin with.
_AsAtTheTop.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(rf"(?i:{'|'.join(_WORDS)})$"), list("yYtTnNfF")
)
_AsAtTheTop.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(f"(?:{_WHOLE})$"), list("-0123456789")
)


def render_answer(key: str, value: str) -> str:
    """Return a value of stack.answers as YAML.

    It is what one would type into globals.yml, except that 2025.10 stays a text.

    The same holds within lists and mappings, [a, b] and {a: b}. Raises RenderError for
    a broken one.
    """
    # JSON is YAML, too, and leaves nothing to be guessed: a text always has its quotes.
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if re.fullmatch(_WHOLE, value):
        return value
    # A value that begins with {{ or {% is Jinja's, and stays a text.
    is_mapping = value.startswith("{") and not value.startswith(("{{", "{%"))
    if is_mapping or value.startswith("["):
        try:
            return json.dumps(yaml.load(value, Loader=_AsAtTheTop), ensure_ascii=False)
        except (yaml.YAMLError, TypeError, ValueError) as error:
            raise RenderError(
                f"stack.answers: {key} begins like a list or a mapping, but is not one",
                hint="e.g. [a, b] or {a: b}",
            ) from error
    return json.dumps(value, ensure_ascii=False)


def _proxy_variables(lab: Lab, cloud: KollaCloud) -> Iterator[tuple[str, str]]:
    """Yield the variables of kolla-ansible and of its collection that name a proxy."""
    variables: Mapping[str, str] = host.proxy_variables(lab)
    if not variables:
        return
    for scheme in ("http", "https"):
        url = variables.get(f"{scheme}_proxy")
        if url:
            yield f"container_{scheme}_proxy", url
            yield f"docker_{scheme}_proxy", url
            yield f"git_{scheme}_proxy", url
    # With HAProxy, the APIs' address is not one of a node, so the list lacks it.
    direct = variables["no_proxy"].split(",")
    vip = str(cloud.vip)
    if vip not in direct:
        direct.append(vip)
    yield "container_no_proxy", ",".join(direct)
    yield "docker_no_proxy", ",".join(direct)
