"""LabSpec as written, and what is left of it after errors."""

from __future__ import annotations

import pytest

from stacklab.model.lab import Size
from stacklab.spec.form.schema import LabSpec
from stacklab.spec.mistakes import show
from stacklab.spec.source import parse
from stacklab.spec.validation import validate as validate_document

SMALLEST = """\
image: debian-12
networks:
  net: {cidr: 10.0.0.0/24, mode: nat}
nodes:
  node: {nics: [{network: net}]}
"""


def validate(text: str) -> tuple[LabSpec | None, list[str]]:
    spec, findings = validate_document(parse(text, "f"))
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
    _, findings = validate_document(parse(text, "f"))
    meant = ("release", "direct_copy", "retries")
    assert {f.right for f in findings} == {f"did you mean {word}?" for word in meant}
