"""The reader of bash: what it makes of a text; tests/lint asks bash itself about the same texts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.installers.devstack.lint import localrc
from stacklab.lint.readers import shell
from stacklab.lint.scope import Scope, Source
from tests.lint.scripts import SCRIPTS


def load(text: str) -> localrc.Localrc:
    return localrc.load(Source(name="localrc", text=text), Scope())


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_reader_knows_what_bash_would_set(name: str) -> None:
    text, expected = SCRIPTS[name]
    rc = load(text)
    assert tuple(rc.values.get(each) for each in "ABC") == expected


@pytest.mark.parametrize(
    "text",
    [
        "if true; then\nA=1\nfi\n",
        "true && A=1\n",
        "for x in a; do A=1; done\n",
        "{ A=1; }\n",
        "while false; do\nA=1\ndone\n",
        "[ -n x ] ||\nA=1\n",
        "case x in\nx) A=1;;\nesac\n",
        "if false; then true; else A=1; fi\n",
        "f() { A=1; }\n",
    ],
)
def test_what_a_condition_sets_is_not_claimed(text: str) -> None:
    rc = load(text + "B=2\n")
    assert "A" in rc.values
    assert rc.values["A"] is None
    assert rc.values["B"] == "2", "what follows is certain again"


def test_lines_are_where_a_statement_begins() -> None:
    script = shell.read("\nA='1\n2'\n\nenable_service a \\\n  b\nB=3\n")
    assert [(each.name, each.line) for each in script.statements] == [
        ("A", 2),
        ("enable_service", 5),
        ("B", 7),
    ]
    assert [(word.text, word.line) for word in script.calls[0].args] == [("a", 5), ("b", 6)]


@pytest.mark.parametrize(
    ("text", "line", "mark"),
    [
        ('A=1\nB="x\n', 2, '"'),
        ("A='x\n\n", 1, "'"),
        ("A=$(x\n", 1, "$("),
        ("if a\nthen\n", 1, "if"),
        ("A=${B\n", 1, "${"),
        ("cat <<E\nx\n", 1, "<<E"),
        ("A=(1 2\n", 1, "("),
        ("A=`x\n", 1, "`"),
    ],
)
def test_the_line_of_an_open_quote_is_told(text: str, line: int, mark: str) -> None:
    assert shell.read(text).unclosed == shell.Unclosed(line=line, mark=mark)


def test_variables_inside_single_quotes_are_no_references() -> None:
    words = [
        each.value for each in shell.read("A='$X'\nB=\"$X\"\nC=\\$X\nD=${X:-$Y}\n").assignments
    ]
    assert [word.names for word in words] == [(), ("X",), (), ("X", "Y")]


def test_substitutions_may_be_nested_without_end() -> None:
    assert shell.read("A=" + "$(" * 100_000).unclosed is not None


@pytest.mark.parametrize("text", ["(})", "(fi)", "( done )\nA=1\n", "({)"])
def test_a_keyword_ends_no_subshell(text: str) -> None:
    assert load(text).script.statements is not None


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="A=1 '\"\\$(){}[]`;&|<>#\n\tif fi do\r", max_size=60))
def test_any_text_is_read_without_an_error(text: str) -> None:
    rc = load(text)
    assert all(1 <= each.line <= text.count("\n") + 1 for each in rc.script.statements)
    assert rc.services is not None
    assert rc.values is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ENABLED_SERVICES=key,n-cpu\n", {"key", "n-cpu"}),
        (
            "ENABLED_SERVICES=key\nenable_service a b\nenable_service c,d\ndisable_service a\n",
            {"key", "b", "c", "d"},
        ),
        ("enable_service a\nENABLED_SERVICES=key\n", {"key"}),
        ("ENABLED_SERVICES=key,a,-a\n", {"key"}),
        ("ENABLED_SERVICES=key\nENABLED_SERVICES+=,a\n", {"key", "a"}),
        ("disable_service a\nenable_service a\n", set()),
        ("ENABLED_SERVICES=key\ndisable_all_services\nenable_service a\n", {"a"}),
        ("if x; then\nenable_service a\nfi\n", set()),
    ],
)
def test_services_are_those_that_devstacks_functions_leave(text: str, expected: set[str]) -> None:
    assert set(load(text).services.enabled) == expected
