"""YAML to text and places, without PyYAML's ideas about types."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.spec.mistakes import SpecMistake, quote, show
from stacklab.spec.source import LARGEST, Document, Place, parse, read


def only_problem(document: Document) -> str:
    (problem,) = document.problems
    return str(problem)


@pytest.mark.parametrize(
    "written",
    [
        "52:54:00:12:34:56",
        "2025.10",
        "on",
        "yes",
        "no",
        "0755",
        "0x1f",
        "1_000",
        "1e3",
        ".inf",
        "2026-01-02",
        "=",
        "12:30",
    ],
)
def test_a_scalar_stays_the_text_that_was_written(written: str) -> None:
    assert parse(f"key: {written}\n", "f").data == {"key": written}


@pytest.mark.parametrize("key", ["on", "1", "yes", "2025.10", "52:54:00:12:34:56"])
def test_a_key_stays_the_text_that_was_written(key: str) -> None:
    assert parse(f"{key}: x\n", "f").data == {key: "x"}


@pytest.mark.parametrize("written", ["", "~", "null", "Null"])
def test_nothing_written_is_none(written: str) -> None:
    assert parse(f"key: {written}\n", "f").data == {"key": None}


@pytest.mark.parametrize("written", ["''", '""', "'null'", "'~'"])
def test_quoted_text_is_never_none(written: str) -> None:
    assert parse(f"key: {written}\n", "f").data == {"key": written[1:-1]}


def test_values_and_keys_remember_their_places() -> None:
    document = parse("a: 1\nb:\n  - x\n  - c: y\n", "f")
    assert document.values["a",] == Place(1, 4)
    assert document.keys["b",] == Place(2, 1)
    assert document.values["b", 0] == Place(3, 5)
    assert document.keys["b", 1, "c"] == Place(4, 5)
    assert document.values["b", 1, "c"] == Place(4, 8)


def test_a_finding_without_a_place_gets_that_of_what_is_around_it() -> None:
    document = parse("a:\n  b:\n    c: 1\n", "f")
    assert (
        str(document.problem(SpecMistake(("a", "b", "zzz"), "is missing")))
        == "f:3:5: a.b.zzz: is missing"
    )


def test_a_finding_at_its_key_points_there() -> None:
    document = parse("a:\n  b: 1\n", "f")
    assert (
        str(document.problem(SpecMistake(("a", "b"), "bad", "good", at_key=True)))
        == "f:2:3: a.b: bad (good)"
    )
    assert str(document.problem(SpecMistake(("a", "b"), "bad"))) == "f:2:6: a.b: bad"


def test_the_second_of_two_equal_keys_is_a_problem_and_the_first_is_kept() -> None:
    document = parse("a: 1\nb: 2\na: 3\n", "f")
    assert document.data == {"a": "1", "b": "2"}
    assert only_problem(document) == "f:3:1: a: is written twice (first in line 1)"


def test_an_alias_is_the_value_that_it_names() -> None:
    document = parse("a: &x [1, 2]\nb: *x\n", "f")
    assert document.data == {"a": ["1", "2"], "b": ["1", "2"]}
    assert document.values["b", 1] == document.values["a", 1] == Place(1, 11)


def test_a_merge_yields_to_what_is_written() -> None:
    document = parse("a: &x {k: 1, m: 2}\nb:\n  <<: *x\n  k: 3\n", "f")
    assert document.data == {"a": {"k": "1", "m": "2"}, "b": {"k": "3", "m": "2"}}
    assert not document.problems


@pytest.mark.parametrize("character", ["\\u202e", "\\u2066", "\\x1b"])
def test_a_key_that_cannot_be_shown_is_refused(character: str) -> None:
    document = parse(f'"net{character}work": text\n', "f")
    assert "a key that is not a plain word" in only_problem(document)
    assert document.data == {}


def test_of_several_merges_the_first_wins() -> None:
    document = parse("a: &x {k: 1}\nb: &y {k: 2, n: 3}\nc:\n  <<: [*x, *y]\n", "f")
    assert isinstance(document.data, dict)
    assert document.data["c"] == {"k": "1", "n": "3"}


def test_merges_of_merges_are_followed() -> None:
    document = parse("a: &x {k: 1}\nb: &y {<<: *x, n: 2}\nc: {<<: *y}\n", "f")
    assert isinstance(document.data, dict)
    assert document.data["c"] == {"n": "2", "k": "1"}


def test_a_merge_of_text_is_a_problem() -> None:
    assert "`<<` takes a mapping" in only_problem(parse("a:\n  <<: text\n", "f"))


@pytest.mark.parametrize(
    "text", ["a: &x [*x]\n", "a: &x {b: *x}\n", "a: &x\n  <<: *x\n", "&x a: {b: &y {<<: [*y]}}\n"]
)
def test_recursion_is_refused(text: str) -> None:
    assert "an alias inside of what it refers to" in only_problem(parse(text, "f"))


def test_the_same_alias_twice_is_no_recursion() -> None:
    assert not parse("a: &x {b: 1}\nc: [*x, *x]\n", "f").problems


def test_aliases_of_aliases_stop_early() -> None:
    lines = ["a0: &a0 [x, x]"] + [
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)
    ]
    document = parse("\n".join(lines), "f")
    assert document.data is None
    assert "too large" in only_problem(document)


def test_merges_of_merges_stop_early() -> None:
    lines = ["a0: &a0 {k: v}"] + [
        f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 30)
    ]
    assert "too large" in only_problem(parse("\n".join(lines), "f"))


@pytest.mark.parametrize(
    "text", ["[" * 5000 + "]" * 5000, "- " * 3000 + "x", "[" * 100 + "]" * 100]
)
def test_deep_nesting_is_one_clear_line(text: str) -> None:
    document = parse(text, "f")
    assert document.data is None
    assert "too" in only_problem(document)


@pytest.mark.parametrize(
    "text",
    ["a: !vm x\n", "a: !!binary aGk=\n", "a: !!set {x}\n", "a: !!python/object:os.system {}\n"],
)
def test_tags_are_refused_and_never_constructed(text: str) -> None:
    document = parse(text, "f")
    assert document.data == {"a": None}
    assert "has no meaning here" in only_problem(document)


@pytest.mark.parametrize("text", ["? [a, b]\n: x\n", "{[a]: x}\n"])
def test_a_key_that_is_a_list_is_refused(text: str) -> None:
    assert "a key that is not a plain word" in only_problem(parse(text, "f"))


@pytest.mark.parametrize("escape", [r"\u202e", r"\u2066", r"\u200f", r"\u061c", r"\u2028"])
def test_text_that_reads_otherwise_than_it_is_is_refused(escape: str) -> None:
    assert "cannot be shown" in only_problem(parse(f'description: "a{escape}x"\n', "f"))
    raw = escape.encode().decode("unicode_escape")
    assert parse(f'description: "a{raw}x"\n', "f").problems


@pytest.mark.parametrize("text", ["שלום", "日本", "👩\u200d💻", "é"])
def test_other_scripts_are_text_like_any(text: str) -> None:
    document = parse(f"a: {text}\n", "f")
    assert document.data == {"a": text}
    assert not document.problems


@pytest.mark.parametrize("escape", [r"\ud800", r"\e", r"\0", r"\x9b"])
def test_text_that_would_garble_the_terminal_is_refused(escape: str) -> None:
    assert "cannot be shown" in only_problem(parse(f'a: "{escape}"\n', "f"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:\n\tb: 1\n", "f:2:1: a tab where YAML wants spaces (indent with spaces)"),
        ("a: b: c\n", "f:1:5: a `:` where none can be (quote the value, or fix the indentation)"),
        ("a: *x\n", "f:1:4: no anchor named 'x' (define it first, with &)"),
        ("a: 1\n---\nb: 2\n", "f:2:1: a second document begins here (one lab per file)"),
        (
            'a: "\\UFFFFFFFF"\n',
            "f:1:1: has an escape that is not a character (see the \\U and \\x in it)",
        ),
        ("a: \x01\n", "f:1:4: character U+0001 is not allowed in YAML (remove it)"),
        ("", "f:1:1: is empty (see labs/mini-2node.yaml for a start)"),
        ("# only a comment\n", "f:1:1: is empty (see labs/mini-2node.yaml for a start)"),
    ],
)
def test_broken_yaml_is_one_line_with_its_place(text: str, expected: str) -> None:
    assert only_problem(parse(text, "f")) == expected


@pytest.mark.parametrize(
    "text", ["a: [1\n", "a: {b\n", "'a\n", "%YAML 9\n---\n", "a: |x\n", "a:\n - b\n c: d\n", "@a\n"]
)
def test_what_pyyaml_refuses_is_one_line_too(text: str) -> None:
    problem = only_problem(parse(text, "f"))
    assert problem.startswith("f:")
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"a: 1\nb: \xff\n", "f:2:4: byte 0xff is not UTF-8 (save it as UTF-8)"),
        (b"\x7fELF\0\0", "f:1:1: is binary or UTF-16 (write YAML in UTF-8)"),
        ("a: 1".encode("utf-16"), "f:1:1: is binary or UTF-16 (write YAML in UTF-8)"),
        (b"#" * (LARGEST + 1), "f:1:1: is larger than 1 MiB (a lab is a few KiB of YAML)"),
        (b"", "f:1:1: is empty (see labs/mini-2node.yaml for a start)"),
    ],
)
def test_a_file_that_is_no_text_is_one_clear_line(
    tmp_path: Path, raw: bytes, expected: str
) -> None:
    path = tmp_path / "lab.yaml"
    path.write_bytes(raw)
    assert only_problem(read(path, "f")) == expected


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    document = read(path, "f")
    assert document.data == {"a": "1", "b": "2"}
    assert document.keys["b",] == Place(2, 1)


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert (
        only_problem(read(tmp_path / "none.yaml", "f"))
        == "f:1:1: cannot be read: No such file or directory"
    )
    assert only_problem(read(tmp_path, "f")) == "f:1:1: cannot be read: Is a directory"


def test_paths_are_shown_as_people_write_them() -> None:
    assert show(("nodes", "controller", "nics", 1, "network")) == "nodes.controller.nics[1].network"
    assert show((0, "a")) == "[0].a"
    assert show(("nodes", "two\nlines")) == "nodes.'two\\nlines'"


def test_quoted_text_is_short_and_on_one_line() -> None:
    assert quote("a\nb\u202e") == "'a\\nb\\u202e'"
    assert len(quote("x" * 1000)) == 62
