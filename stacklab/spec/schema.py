"""The form of a lab's file: LabSpec, its JSON Schema, and pydantic's errors as findings."""

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

# Each attempt leaves out what the one before refused: a NIC's network, then the list of NICs,
# then the node. Three are enough; ten would be a bug.
MOST_ATTEMPTS = 10

# Takes the place of a value that was refused, so that the rest can still be checked.
STAND_IN = "stand-in"

_NO_VALUE, _REMOVE_KEY = "does not have a value", "write one, or remove the key"


class NetworkSpec(Spec):
    """A network segment with an address range, in which the host has the .1."""

    cidr: Cidr = Field(
        description="Its address range, /29 to /8, e.g. 192.168.150.0/24. The host takes the .1."
    )
    mode: Mode = Field(
        description="nat: nodes reach other networks through the host. isolated: host and nodes "
        "only. bridged: a bridge that the host already has, named in `bridge`."
    )
    mtu: Mtu | None = Field(
        default=None, description="Bytes per packet, 576 to 9216. Default: 1500."
    )
    bridge: Bridge | None = Field(
        default=None, description="With mode bridged only: the host's bridge, e.g. br0."
    )
    host: Flag | None = Field(
        default=None,
        description="false: the host does not have an address on it. Only with mode isolated, and "
        "not for the network of a node's first NIC, by which the host logs in. Default: true.",
    )
    delay: Delay | None = Field(
        default=None,
        description="For how long each of its NICs holds back what it sends, one way: 20ms, 1.5s "
        "(up to 10s). Default: 0ms.",
    )
    loss: Loss | None = Field(
        default=None,
        description="How much of what it sends each of its NICs loses, one way: 1%, 0.5%. "
        "Default: 0%.",
    )
    rate: Rate | None = Field(
        default=None,
        description="How much each of its NICs can send: 512kbit, 10mbit, 1gbit (32kbit to "
        "10gbit), or none for no limit. Default: none.",
    )


class NicSpec(Spec):
    """A node's end of a network. In the written order the NICs are eth0, eth1, ..."""

    network: NetworkName = Field(description="The network's name, as declared under `networks`.")
    address: Address | None = Field(
        default=None,
        description="A fixed address. For a node with a `count` it is that of the first one, and "
        "the others get the next ones. Default: the first free address from .11 upward, in the "
        "order of the nodes.",
    )
    delay: Delay | None = Field(
        default=None,
        description="How long it holds back what it sends: 20ms, 1.5s. Default: as its network.",
    )
    loss: Loss | None = Field(
        default=None,
        description="How much of what it sends it loses: 1%, 0.5%. Default: as its network.",
    )
    rate: Rate | None = Field(
        default=None,
        description="How much it can send: 512kbit, 10mbit, 1gbit, none. Default: as its network.",
    )


class NodeSpec(Spec):
    """A VM, or several equal ones."""

    role: RoleWord | None = Field(
        default=None,
        description="Its role in the cloud: controller, compute or node. Default: node.",
    )
    count: Count | None = Field(
        default=None,
        description=f"How many (1 to {MOST_NODES}): they are called name1, name2, ... Without it "
        "there is one, called name.",
    )
    cpus: Cpus | None = Field(default=None, description="Processors, 1 to 64. Default: 1.")
    memory: Memory | None = Field(
        default=None, description="Its memory, with a unit: 512MiB, 1.5GiB. Default: 1GiB."
    )
    disk: Disk | None = Field(
        default=None,
        description="The size of its virtual disk, 48GiB or more. On the host it takes only what "
        "is written to it. Default: 48GiB.",
    )
    nics: tuple[NicSpec, ...] = Field(
        description="eth0, eth1, ... The host logs in by the first one, which must be on a nat or "
        "isolated network.",
        json_schema_extra={"minItems": 1, "maxItems": MOST_NICS},
    )


class LabSpec(Spec):
    """A lab of stacklab: networks, the nodes on them, and the cloud to be installed."""

    name: LabName | None = Field(
        default=None, description="The file's name without .yaml; it can be left out."
    )
    description: Text | None = Field(default=None, description="One line for `lab.list`.")
    image: Annotated[tuple[ImageName, ...], BeforeValidator(as_list)] = Field(
        description="The base image, or several in order of preference: the first one whose source "
        "can be reached is used.",
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
        default=None, description="Limits of the checks, and checks of your own."
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
    """Make a LabSpec without the parts that were refused, each of which is a finding.

    It is None if nothing usable is left.
    """
    data, findings = _without_empty(document.data, ())
    if not isinstance(data, dict):
        return None, findings or [Finding((), "is not a mapping", "see labs/mini-2node.yaml")]
    for attempt in range(MOST_ATTEMPTS):
        try:
            return LabSpec.model_validate(data), findings
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
        if attempt == 0:
            # Later attempts find only what comes from leaving something out.
            reported = {finding.path for finding in findings}
            found = map(_finding, errors)
            findings += [finding for finding in found if finding.path not in reported]
        for detail in errors:
            _leave_out(data, _path(detail), detail["type"] == "missing")
    return None, findings


def _without_empty(value: Value, path: Keys) -> tuple[Value, list[Finding]]:
    """Return the value without keys that have no value (`memory:`), and a finding for each."""
    if isinstance(value, dict):
        return _mapping_without_empty(value, path)
    if isinstance(value, list):
        return _list_without_empty(value, path)
    return value, []


def _mapping_without_empty(
    mapping: dict[str, Value], path: Keys
) -> tuple[dict[str, Value], list[Finding]]:
    result: dict[str, Value] = {}
    findings: list[Finding] = []
    for key, item in mapping.items():
        if item is None:
            findings.append(Finding((*path, key), _NO_VALUE, _REMOVE_KEY, at_key=True))
            continue
        result[key], inner_findings = _without_empty(item, (*path, key))
        findings += inner_findings
    return result, findings


def _list_without_empty(items: list[Value], path: Keys) -> tuple[list[Value], list[Finding]]:
    result: list[Value] = []
    findings: list[Finding] = []
    for index, item in enumerate(items):
        if item is None:
            findings.append(Finding((*path, index), _NO_VALUE, "write one, or remove the line"))
            item = ""  # the later items keep their index, which is part of their path
        inner, inner_findings = _without_empty(item, (*path, index))
        result.append(inner)
        findings += inner_findings
    return result, findings


def _path(detail: ErrorDetails) -> Keys:
    # pydantic adds "[key]" where it refuses a mapping's key instead of its value.
    return tuple(key for key in detail["loc"] if key != "[key]")


def _leave_out(data: dict[str, Value], path: Keys, is_missing: bool) -> None:
    """Remove what was refused from the data, with as little around it as possible."""
    images = data.get("image")
    if path[0] == "image" and isinstance(images, list) and isinstance(path[-1], int):
        images[path[-1]] = STAND_IN
        return
    if len(path) == 1:
        _leave_out_top(data, str(path[0]))
        return
    if is_missing:
        path = path[:-1]  # it is not there: what needs it goes
    if isinstance(path[-1], int):
        # Without one item, the later ones of a list would change their places: the list goes.
        path = path[:-1]
    owner = _value_at(data, path[:-1])
    if not isinstance(owner, dict):
        return
    if path[-1] == "bridge" and not is_missing:
        owner["bridge"] = STAND_IN  # else the rules would say that mode bridged needs one
    else:
        owner.pop(str(path[-1]), None)


def _leave_out_top(data: dict[str, Value], key: str) -> None:
    stand_ins: dict[str, Value] = {"image": [STAND_IN], "networks": {}, "nodes": {}}
    if key in stand_ins:
        data[key] = stand_ins[key]
    else:
        data.pop(key, None)


def _value_at(value: Value, path: Keys) -> Value:
    for key in path:
        if isinstance(value, dict) and isinstance(key, str):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int):
            value = value[key]
    return value


def _model_at(path: Keys) -> type[Spec]:
    """Return the type of the mapping at that path of a spec."""
    kind: object = LabSpec
    for key in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = _plain_type(kind.model_fields[str(key)].annotation)
        else:
            # The type of the values of a dict, or of the items of a tuple.
            kind = _plain_type(get_args(kind)[1 if get_origin(kind) is dict else 0])
    assert isinstance(kind, type)
    assert issubclass(kind, Spec)
    return kind


def _plain_type(kind: object) -> object:
    """Return a field's type without `| None` and without its validators."""
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
            known = list(_model_at(path[:-1]).model_fields)
            guess = nearest(last, known)
            right = f"did you mean {guess}?" if guess else suggest(last, known, label="known")
            return Finding(path, "unknown key", right, at_key=True)
        case "value_error":
            cause = detail.get("ctx", {}).get("error")
            if isinstance(cause, Wrong):
                return Finding(path, cause.wrong, cause.right, at_key)
        case "model_type" | "dict_type" | "model_attributes_type":
            return Finding(path, "is not a mapping", "write `key: value` lines, indented")
        case "tuple_type" | "list_type":
            return Finding(path, "is not a list", "write `- ` lines, indented")
    return Finding(path, detail["msg"])


def schema_json() -> str:
    """Return the JSON Schema of a lab's file, in draft 7, which yaml-language-server reads."""
    schema = _simplify(LabSpec.model_json_schema(ref_template="#/definitions/{model}"))
    assert isinstance(schema, dict)
    schema["definitions"] = schema.pop("$defs")
    properties = schema["properties"]
    assert isinstance(properties, dict)
    # pydantic knows `image` as a list only, but a spec may have a single name there.
    image = properties["image"]
    assert isinstance(image, dict)
    names = image.pop("items")
    text = image.pop("description")
    properties["image"] = {"description": text, "anyOf": [names, image | {"items": names}]}
    head: dict[str, JSON] = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "stacklab lab",
    }
    schema.pop("title", None)
    return json.dumps(head | schema, indent=2) + "\n"


def _simplify(value: JSON) -> JSON:
    """Drop pydantic's `null` alternatives, defaults and titles; wrap a $ref that has siblings."""
    if isinstance(value, list):
        return [_simplify(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = _without_null(value)
    properties = value.get("properties")
    if isinstance(properties, dict):
        # Its keys are a lab's, of which one may be called `title` or `default`.
        schema = {key: _simplify(item) for key, item in value.items() if key != "properties"}
        simplified = {name: _simplify(field) for name, field in properties.items()}
        return schema | {"properties": simplified}
    schema = {k: _simplify(item) for k, item in value.items() if k not in ("title", "default")}
    if "patternProperties" in schema:
        schema["additionalProperties"] = False
    if "$ref" in schema and len(schema) > 1:  # draft 7 ignores all that is beside a $ref
        schema["allOf"] = [{"$ref": schema.pop("$ref")}]
    return schema


def _without_null(value: dict[str, JSON]) -> dict[str, JSON]:
    """Replace `anyOf: [TYPE, null]`, which stands for an optional key, by TYPE."""
    alternatives = value.get("anyOf")
    if not isinstance(alternatives, list):
        return value
    (alternative,) = [item for item in alternatives if item != {"type": "null"}]
    assert isinstance(alternative, dict)
    return {key: item for key, item in value.items() if key != "anyOf"} | alternative
