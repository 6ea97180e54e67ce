"""Keys a level too deep or too high; the words are in tests/specs/bad/too-*.txt."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.spec import placement, source
from stacklab.spec.form.schema import LabSpec, NetworkSpec, NicSpec, NodeSpec
from stacklab.spec.form.stack import StackSpec
from stacklab.spec.mistakes import SpecMistake
from stacklab.spec.source import Document, Value

MODELS = (LabSpec, NetworkSpec, NodeSpec, NicSpec, StackSpec)
NAMES = sorted({"a", "b", "x-y", *(name for model in MODELS for name in model.model_fields)})
VALUES = st.recursive(
    st.none() | st.just("1GiB"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=25,
)


def put_right(text: str) -> tuple[Value, list[str]]:
    document, findings = placement.put_right(source.parse(text, "f"))
    return document.data, [document.problem(finding).wrong for finding in findings]


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
@settings(deadline=None)
def test_whatever_a_file_holds_it_ends_and_a_second_time_changes_nothing(
    data: dict[str, Value],
) -> None:
    document, findings = placement.put_right(Document(file="f", data=data))
    if len(findings) < placement._MOST_MOVES:
        again, more = placement.put_right(document)
        assert (again.data, more) == (document.data, [])


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
@settings(deadline=None)
def test_nothing_is_lost_but_anchors(data: dict[str, Value]) -> None:
    def leaves(value: Value) -> int:
        if isinstance(value, dict):
            return sum(map(leaves, value.values()))
        if isinstance(value, list):
            return sum(map(leaves, value))
        return value is not None

    document, _ = placement.put_right(Document(file="f", data=dict(data)))
    kept = {key: value for key, value in data.items() if not key.startswith("x-")}
    assert leaves(document.data) == leaves(kept)


def test_a_place_is_that_of_the_text_and_a_path_that_where_it_belongs() -> None:
    text = "networks:\n  nodes:\n    a: {memory: 5}\n"
    document, _ = placement.put_right(source.parse(text, "f"))
    problem = document.problem(SpecMistake(path=("nodes", "a", "memory"), wrong="x"))
    assert str(problem) == "f:3:17: nodes.a.memory: x"


def test_a_key_that_is_there_already_is_not_written_over() -> None:
    data, findings = put_right("nodes:\n  a: {memory: 1GiB}\n  memory: 2GiB\n")
    assert findings == []
    assert data == {"nodes": {"a": {"memory": "1GiB"}, "memory": "2GiB"}}


def test_anchors_at_the_top_go_and_others_stay() -> None:
    data, findings = put_right("x-a: 1\nnodes: {x-b: {x-c: 1}}\n")
    assert (data, findings) == ({"nodes": {"x-b": {"x-c": "1"}}}, [])
