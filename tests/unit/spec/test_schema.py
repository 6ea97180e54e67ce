"""LabSpec as written, what is left of it after errors, and the schema for editors."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from stacklab.model.lab import Size
from stacklab.spec import schema
from stacklab.spec.source import parse, show
from stacklab.spec.values import NAME

Exported = dict[str, dict[str, dict[str, Any]]]

SMALLEST = """\
image: debian-12
networks:
  net: {cidr: 10.0.0.0/24, mode: nat}
nodes:
  node: {nics: [{network: net}]}
"""


def validate(text: str) -> tuple[schema.LabSpec | None, list[str]]:
    spec, findings = schema.validate(parse(text, "f"))
    return spec, [show(f.path) + ": " + f.wrong for f in findings]


def test_what_is_not_written_is_none() -> None:
    spec, findings = validate(SMALLEST)
    assert not findings
    assert spec is not None
    node = spec.nodes["node"]
    assert [spec.name, spec.stack, spec.checks, node.cpus, node.memory, node.count, node.role] == [
        None
    ] * 7
    assert spec.image == ("debian-12",)


def test_a_spec_cannot_be_changed() -> None:
    spec, _ = validate(SMALLEST)
    assert spec is not None
    with pytest.raises(ValueError, match="frozen"):
        spec.name = "other"


def test_what_was_refused_is_left_out_and_the_rest_is_kept() -> None:
    spec, findings = validate(
        SMALLEST + "  other: {cpus: 99, memory: 2GiB, nics: [{network: net}]}\nbogus: 1\n"
    )
    assert findings == ["nodes.other.cpus: 99 is out of range", "bogus: unknown key"]
    assert spec is not None
    assert spec.nodes["other"].cpus is None
    assert spec.nodes["other"].memory == Size.parse("2GiB")


def test_a_node_whose_nics_are_broken_is_left_out_whole() -> None:
    spec, findings = validate(SMALLEST + "  other: {nics: [{network: net}, {}, {network: NET}]}\n")
    assert findings == [
        "nodes.other.nics[1].network: is missing",
        "nodes.other.nics[2].network: 'NET' is not a host name",
    ]
    assert spec is not None
    assert list(spec.nodes) == ["node"]


def test_without_networks_the_nodes_are_still_read() -> None:
    spec, findings = validate("image: debian-12\nnodes: {node: {nics: [{network: net}]}}\n")
    assert findings == ["networks: is missing"]
    assert spec is not None
    assert not spec.networks
    assert list(spec.nodes) == ["node"]


@pytest.mark.parametrize("text", ["- a\n", "text\n", "~\n"])
def test_a_file_that_is_no_mapping_gives_nothing(text: str) -> None:
    spec, findings = validate(text)
    assert spec is None
    assert len(findings) == 1


@pytest.mark.parametrize(
    "key", ["image", "networks", "nodes", "stack", "checks", "name", "description"]
)
@pytest.mark.parametrize(
    "value", ["x: {y: z}", "[a, [b]]", "[{}]", "{}", "[]", "~", "'@'", "{a: ~}", "{a: [~]}"]
)
def test_any_value_of_any_key_comes_to_an_end(key: str, value: str) -> None:
    lines = [line for line in SMALLEST.splitlines() if not line.startswith(key)]
    text = f"{key}: {value if ': ' not in value or value[0] in '{[' else '{' + value + '}'}\n"
    if key in ("networks", "nodes"):
        lines = ["image: debian-12"]
    validate(text + "\n".join(lines))


def test_unknown_keys_are_compared_with_those_of_their_place() -> None:
    text = SMALLEST + "stack: {relaese: x, glance: {direct: true}}\nchecks: {retry: 1}\n"
    _, findings = schema.validate(parse(text, "f"))
    meant = ("release", "direct_copy", "retries")
    assert {f.right for f in findings} == {f"did you mean {word}?" for word in meant}


# --- the schema for editors


@pytest.fixture(scope="module")
def exported() -> Exported:
    loaded: Exported = json.loads(schema.schema_json())
    return loaded


def test_the_schema_is_of_the_draft_that_editors_speak() -> None:
    text = schema.schema_json()
    assert '"http://json-schema.org/draft-07/schema#"' in text
    for newer in ("$defs", "prefixItems", "unevaluated", "dependentRequired", '"const"'):
        assert newer not in text


def test_the_schema_offers_no_null() -> None:
    assert "null" not in schema.schema_json()


def test_every_key_has_a_hover_text(exported: Exported) -> None:
    models = [exported, *exported["definitions"].values()]
    for model in models:
        fields = model["properties"]
        assert isinstance(fields, dict)
        for name, field in fields.items():
            assert field.get("description"), name


def test_no_object_of_the_schema_allows_unknown_keys(exported: Exported) -> None:
    for model in [exported, *exported["definitions"].values()]:
        assert model["additionalProperties"] is False
    assert exported["properties"]["nodes"]["additionalProperties"] is False


def test_nothing_stands_beside_a_reference() -> None:
    def walk(value: object) -> None:
        if isinstance(value, dict):
            assert "$ref" not in value or len(value) == 1
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(json.loads(schema.schema_json()))


def test_an_image_is_a_name_or_a_list_of_names(exported: Exported) -> None:
    alternatives = exported["properties"]["image"]["anyOf"]
    assert isinstance(alternatives, list)
    assert [alternative["type"] for alternative in alternatives] == ["string", "array"]


def test_every_pattern_of_the_schema_is_one() -> None:
    patterns = re.findall(r'"pattern": (".*")', schema.schema_json())
    assert f'"^{NAME}$"' in patterns
    for pattern in patterns:
        re.compile(json.loads(pattern))
