"""Moving of a lab's file: other name, other networks, and everything else as it was."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stacklab.paths.project import LABS
from stacklab.spec import lab_files, moving, source

MOVES = {
    IPv4Network("10.0.1.0/24"): IPv4Network("10.9.7.0/24"),
    IPv4Network("192.168.4.0/22"): IPv4Network("172.30.8.0/22"),
}


def moved(text: str, new_name: str = "new-lab") -> str:
    return moving.move(text, old_name="old-lab", new_name=new_name, moves=MOVES)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("cidr: 10.0.1.0/24 # why", "cidr: 10.9.7.0/24 # why"),
        ("cidr: 192.168.4.0/22", "cidr: 172.30.8.0/22"),
        ("address: 192.168.7.254", "address: 172.30.11.254"),
        ("address: '10.0.1.10'", "address: '10.9.7.10'"),
        ('address: "10.0.1.10"', 'address: "10.9.7.10"'),
        ("address: &first 10.0.1.10\nother: *first", "address: &first 10.9.7.10\nother: *first"),
        ("address: !!str 10.0.1.10", "address: !!str 10.9.7.10"),
        ("pool: 10.0.1.128/25", "pool: 10.9.7.128/25"),
        ("http: http://10.0.1.5:8774/x", "http: http://10.9.7.5:8774/x"),
        ("line: POOL=start=10.0.1.5,end=10.0.1.9", "line: POOL=start=10.9.7.5,end=10.9.7.9"),
        ("{a: {b: [10.0.1.5, x]}}", "{a: {b: [10.9.7.5, x]}}"),
        ("- a\n- - 10.0.1.5", "- a\n- - 10.9.7.5"),
        ("a: |\n  ping 10.0.1.5\n  # 10.0.1.6", "a: |\n  ping 10.9.7.5\n  # 10.9.7.6"),
        ("a: >-\n  cat </dev/tcp/10.0.1.5/22", "a: >-\n  cat </dev/tcp/10.9.7.5/22"),
        ("a: many words,\n  then 10.0.1.5", "a: many words,\n  then 10.9.7.5"),
        ("a: 1 # see http://10.0.1.5/.", "a: 1 # see http://10.9.7.5/."),
        ("# at the end: 10.0.1.5.\n", "# at the end: 10.9.7.5.\n"),
        ("a: 1\r\nb: 10.0.1.5 # 10.0.1.6\r\n", "a: 1\r\nb: 10.9.7.5 # 10.9.7.6\r\n"),
        ("é: é\n\nb:  10.0.1.5", "é: é\n\nb:  10.9.7.5"),
        # Its host bits are set, so it is an address and no range.
        ("a: 10.0.1.0/23", "a: 10.9.7.0/23"),
    ],
)
def test_an_address_moves_with_its_network(before: str, after: str) -> None:
    head = "z: 0\n" if not before.startswith(("-", "{")) else ""
    assert moved(f"{head}{before}\n") == f"{head}{after}\n"


@pytest.mark.parametrize(
    "text",
    [
        "a: 10.0.2.5 # another network",
        "a: 10.0.0.0/8 # wider than the network",
        "a: 110.0.1.5",
        "a: 10.0.1.5.6 # a version",
        "a: v10.0.1.5",
        "a: 10.0.1.555",
        "a: 10.0.1.05",
        "10.0.1.5: a key",
        "a: &10 x",
    ],
)
def test_what_is_not_an_address_of_a_network_stays(text: str) -> None:
    assert moved(f"{text}\n") == f"{text}\n"


def test_the_name_changes_where_it_is_the_lab_s_name_and_behind_a_task() -> None:
    before = (
        "# ./invoke lab.up old-lab, ./invoke lab.check  old-lab --wait 5; lab.up old-lab-2\n"
        "# An old-lab is a lab that is old.\n"
        "name: old-lab\n"
        "description: old-lab\n"
        "nodes: {name: old-lab} # lab.ssh old-lab\n"
    )
    assert moved(before) == (
        "# ./invoke lab.up new-lab, ./invoke lab.check  new-lab --wait 5; lab.up old-lab-2\n"
        "# An old-lab is a lab that is old.\n"
        "name: new-lab\n"
        "description: old-lab\n"
        "nodes: {name: old-lab} # lab.ssh new-lab\n"
    )


@pytest.mark.parametrize("name", ["null", "true", "no", "123", "1e3", "0x1f"])
def test_a_name_that_yaml_would_take_for_something_else_is_quoted(name: str) -> None:
    text = moved("name: old-lab # x\n", name)
    assert text == f'name: "{name}" # x\n'
    assert source.parse(text, "x").text_at(("name",)) == name


@pytest.mark.parametrize("name", lab_files.names(LABS))
def test_without_a_change_a_file_is_the_same_to_the_byte(name: str) -> None:
    text = (LABS / f"{name}.yaml").read_text()
    assert moving.move(text, old_name=name, new_name=name, moves={}) == text


SCALARS = st.sampled_from(
    ["10.0.1.5", "10.0.2.5", "x", "10.0.1.0/24", "ssh 10.0.1.7 -p 22", "#", ""]
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)


@given(
    tree=st.dictionaries(st.sampled_from("pqr"), TREES, min_size=1),
    style=st.sampled_from([None, "'", '"', "|", ">"]),
    is_flow=st.booleans(),
)
def test_all_texts_of_any_file_move_and_nothing_else_changes(
    tree: dict[str, object], style: str | None, is_flow: bool
) -> None:
    text = yaml.safe_dump(tree, default_style=style, default_flow_style=is_flow)

    def wanted(value: object) -> object:
        if isinstance(value, dict):
            return {key: wanted(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [wanted(inner) for inner in value]
        return str(value).replace("10.0.1.", "10.9.7.")

    assert yaml.safe_load(moved(text)) == wanted(tree)
