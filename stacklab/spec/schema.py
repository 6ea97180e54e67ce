"""A lab as it is written: LabSpec, its JSON Schema, and its errors in the project's words."""

from __future__ import annotations

import json
import types
from typing import Annotated, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails

from stacklab.codec import JSON
from stacklab.spec.checks import ChecksSpec
from stacklab.spec.fields import (
    MOST_NODES,
    Address,
    Bridge,
    Cidr,
    Count,
    Cpus,
    Delay,
    Disk,
    Flag,
    ImageName,
    LabName,
    Loss,
    Memory,
    Mode,
    Mtu,
    NetworkName,
    NodeName,
    Rate,
    RoleWord,
    Spec,
    Text,
    as_list,
)
from stacklab.spec.source import Document, Finding, Keys, Value
from stacklab.spec.stack import StackSpec
from stacklab.spec.values import Wrong
from stacklab.words import nearest, suggest

MOST_NICS = 8

# A NIC's network goes, then the NICs, then their node: three passes; more would be a bug.
MOST_ATTEMPTS = 10

# Put in the place of what was refused, so that the rest can still be checked.
STAND_IN = "stand-in"


class NetworkSpec(Spec):
    """A segment with an address range. The host has its .1."""

    cidr: Cidr = Field(
        description="Its address range, e.g. 192.168.150.0/24. The host takes the .1 (/29 to /8)."
    )
    mode: Mode = Field(
        description="nat: reaches outside through the host. isolated: host and nodes only. "
        "bridged: a bridge that the host already has, named in `bridge`."
    )
    mtu: Mtu | None = Field(
        default=None, description="Bytes per packet, 576 to 9216. Default: 1500."
    )
    bridge: Bridge | None = Field(
        default=None, description="With mode bridged only: the host's bridge, e.g. br0."
    )
    host: Flag | None = Field(
        default=None,
        description="false: the host has no address there and no way in, with mode isolated only, and not on a "
        "network that a node is logged in by. Default: true.",
    )
    delay: Delay | None = Field(
        default=None,
        description="How long each NIC there holds back what it sends, one way: 20ms, 1.5s (up to 10s). Default: 0ms.",
    )
    loss: Loss | None = Field(
        default=None,
        description="How much of what it sends each NIC there loses, one way: 1%, 0.5%. Default: 0%.",
    )
    rate: Rate | None = Field(
        default=None,
        description="How much each NIC there can send: 512kbit, 10mbit, 1gbit (32kbit to 10gbit), or none: as fast "
        "as it goes. Default: none.",
    )


class NicSpec(Spec):
    """A node's end of a network. The NICs are eth0, eth1, ... as written."""

    network: NetworkName = Field(description="The network's name, as declared under `networks`.")
    address: Address | None = Field(
        default=None,
        description="A fixed address. Of a node with a `count` it is the first one's: the others get the next ones. "
        "Default: the first free address from .11 upward, in the order of the nodes.",
    )
    delay: Delay | None = Field(
        default=None,
        description="How long it holds back what it sends: 20ms, 1.5s. Default: its network's.",
    )
    loss: Loss | None = Field(
        default=None,
        description="How much of what it sends it loses: 1%, 0.5%. Default: its network's.",
    )
    rate: Rate | None = Field(
        default=None,
        description="How much it can send: 512kbit, 10mbit, 1gbit, none. Default: its network's.",
    )


class NodeSpec(Spec):
    """A VM, or several alike."""

    role: RoleWord | None = Field(
        default=None,
        description="What it is in the cloud: controller, compute or node. Default: node.",
    )
    count: Count | None = Field(
        default=None,
        description=f"How many (1 to {MOST_NODES}): name1, name2, ... Without it: one, under its own name.",
    )
    cpus: Cpus | None = Field(default=None, description="Processors, 1 to 64. Default: 1.")
    memory: Memory | None = Field(
        default=None, description="With its unit: 512MiB, 1.5GiB. Default: 1GiB."
    )
    disk: Disk | None = Field(
        default=None,
        description="The virtual disk, 48GiB or more; it takes what is written to it. Default: 48GiB.",
    )
    nics: tuple[NicSpec, ...] = Field(
        description="eth0, eth1, ... The host logs in by the first, so that is on a nat or isolated network.",
        json_schema_extra={"minItems": 1, "maxItems": MOST_NICS},
    )


class LabSpec(Spec):
    """A lab of stacklab: networks, the nodes on them, and the cloud to be installed."""

    name: LabName | None = Field(
        default=None, description="The file's name without .yaml; it need not be written."
    )
    description: Text | None = Field(default=None, description="One line for `lab.list`.")
    image: Annotated[tuple[ImageName, ...], BeforeValidator(as_list)] = Field(
        description="The base image, or several in order of preference: the first whose source can be had.",
        json_schema_extra={"minItems": 1},
    )
    networks: dict[NetworkName, NetworkSpec] = Field(
        description="The networks, by name.", json_schema_extra={"minProperties": 1}
    )
    nodes: dict[NodeName, NodeSpec] = Field(
        description="The nodes, by name.", json_schema_extra={"minProperties": 1}
    )
    stack: StackSpec | None = Field(
        default=None, description="The cloud to be installed. Default: none."
    )
    checks: ChecksSpec | None = Field(
        default=None, description="How patient the checks are, and checks of your own."
    )


_EXAMPLES = {
    "cidr": "write cidr: 192.168.150.0/24",
    "mode": "write mode: nat, isolated or bridged",
    "network": "write network: NAME",
    "nics": "write nics: [{network: NAME}]",
    "image": "write image: debian-12",
    "name": "write name: nova-api answers",
    "networks": "see labs/mini-2node.yaml",
    "nodes": "see labs/mini-2node.yaml",
}


def validate(document: Document) -> tuple[LabSpec | None, list[Finding]]:
    """Make a LabSpec; what was refused is left out of it and is among the findings.

    None when nothing usable is left.
    """
    data, findings = _without_nothing(document.data, ())
    if not isinstance(data, dict):
        return None, findings or [Finding((), "is no mapping", "see labs/mini-2node.yaml")]
    for attempt in range(MOST_ATTEMPTS):
        try:
            return LabSpec.model_validate(data), findings
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
        if attempt == 0:
            said = {finding.path for finding in findings}
            findings += [finding for finding in map(_finding, errors) if finding.path not in said]
        for detail in errors:
            _drop(data, _path(detail), detail["type"] == "missing")
    return None, findings


def _without_nothing(value: Value, path: Keys) -> tuple[Value, list[Finding]]:
    """The value without keys that have none (`memory:`), each of them a finding."""
    findings: list[Finding] = []
    if isinstance(value, dict):
        kept: dict[str, Value] = {}
        for key, item in value.items():
            if item is None:
                findings.append(
                    Finding(
                        (*path, key), "has no value", "write one, or remove the key", at_key=True
                    )
                )
                continue
            kept[key], found = _without_nothing(item, (*path, key))
            findings += found
        return kept, findings
    if isinstance(value, list):
        items: list[Value] = []
        for index, item in enumerate(value):
            if item is None:
                findings.append(
                    Finding((*path, index), "has no value", "write one, or remove the line")
                )
                items.append("")  # keeps the others at their index
                continue
            inner, found = _without_nothing(item, (*path, index))
            items.append(inner)
            findings += found
        return items, findings
    return value, findings


def _path(detail: ErrorDetails) -> Keys:
    return tuple(key for key in detail["loc"] if key != "[key]")


def _drop(data: dict[str, Value], path: Keys, is_missing: bool) -> None:
    """Leave out what was refused, with as little around it as possible."""
    if (
        path[0] == "image"
        and isinstance(images := data.get("image"), list)
        and isinstance(path[-1], int)
    ):
        images[path[-1]] = STAND_IN
        return
    if len(path) == 1:
        stand_ins: dict[str, Value] = {"image": [STAND_IN], "networks": {}, "nodes": {}}
        if path[0] in stand_ins:
            data[str(path[0])] = stand_ins[str(path[0])]
        else:
            data.pop(str(path[0]), None)
        return
    path = path[:-1] if is_missing else path
    # Without a list's item the later ones would change their places: the whole list goes.
    path = path[:-1] if isinstance(path[-1], int) else path
    owner: Value = data
    for key in path[:-1]:
        if isinstance(owner, dict) and isinstance(key, str):
            owner = owner.get(key)
        elif isinstance(owner, list) and isinstance(key, int):
            owner = owner[key]
    if isinstance(owner, dict):
        if path[-1] == "bridge" and not is_missing:
            owner["bridge"] = STAND_IN  # else mode bridged would seem to lack it
        else:
            owner.pop(str(path[-1]), None)


def _model(path: Keys) -> type[Spec]:
    """The mapping at that place of a spec."""
    found: object = LabSpec
    for key in path:
        if isinstance(found, type) and issubclass(found, BaseModel):
            found = _plain(found.model_fields[str(key)].annotation)
        else:
            found = _plain(get_args(found)[1 if get_origin(found) is dict else 0])
    assert isinstance(found, type)
    assert issubclass(found, Spec)
    return found


def _plain(kind: object) -> object:
    """A field's kind without `| None` and without what validates it."""
    while get_origin(kind) in (Annotated, types.UnionType):
        kind = get_args(kind)[0]
    return kind


def _finding(detail: ErrorDetails) -> Finding:
    path = _path(detail)
    last = str(path[-1]) if path else ""
    at_key = detail["loc"][-1:] == ("[key]",)
    match detail["type"]:
        case "missing":
            return Finding(path, "is missing", _EXAMPLES.get(last, ""))
        case "extra_forbidden":
            known = list(_model(path[:-1]).model_fields)
            guess = nearest(last, known)
            right = f"did you mean {guess}?" if guess else suggest(last, known, label="known")
            return Finding(path, "unknown key", right, True)
        case "value_error":
            cause = detail.get("ctx", {}).get("error")
            if isinstance(cause, Wrong):
                return Finding(path, cause.wrong, cause.right, at_key)
        case "model_type" | "dict_type" | "model_attributes_type":
            return Finding(path, "is no mapping", "write `key: value` lines, indented")
        case "tuple_type" | "list_type":
            return Finding(path, "is no list", "write `- ` lines, indented")
    return Finding(path, detail["msg"])


def schema_json() -> str:
    """The JSON Schema of a lab file, draft 7: what yaml-language-server understands."""
    schema = _simplify(LabSpec.model_json_schema(ref_template="#/definitions/{model}"))
    assert isinstance(schema, dict)
    schema["definitions"] = schema.pop("$defs")
    properties = schema["properties"]
    assert isinstance(properties, dict)
    image = properties["image"]
    assert isinstance(image, dict)
    names = image.pop("items")
    text = image.pop("description")
    properties["image"] = {"description": text, "anyOf": [names, image | {"items": names}]}
    head: dict[str, JSON] = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "stacklab lab",
    }
    return json.dumps(head | {k: v for k, v in schema.items() if k != "title"}, indent=2) + "\n"


def _simplify(value: JSON) -> JSON:
    """Drop pydantic's `null` alternatives, defaults and titles; wrap a $ref that has neighbours."""
    if isinstance(value, list):
        return [_simplify(item) for item in value]
    if not isinstance(value, dict):
        return value
    alternatives = value.get("anyOf")
    if isinstance(alternatives, list):
        (kept,) = [item for item in alternatives if item != {"type": "null"}]
        assert isinstance(kept, dict)
        value = {k: v for k, v in value.items() if k != "anyOf"} | kept
    if isinstance(fields := value.get("properties"), dict):
        found: dict[str, JSON] = {k: _simplify(v) for k, v in value.items() if k != "properties"}
        return found | {"properties": {name: _simplify(field) for name, field in fields.items()}}
    found = {k: _simplify(v) for k, v in value.items() if k not in ("title", "default")}
    if "patternProperties" in found:
        found["additionalProperties"] = False
    if "$ref" in found and len(found) > 1:  # draft 7 ignores whatever stands beside a $ref
        found["allOf"] = [{"$ref": found.pop("$ref")}]
    return found
