from __future__ import annotations

import pytest

from stacklab.errors import RenderError
from stacklab.installers.kit.templates.guard import check_localrc


def test_assignments_services_plugins_comments_and_blank_lines_pass() -> None:
    plugin = "enable_plugin x https://git.example.org/~me/x refs/changes/1/2/3\n"
    text = (
        f"# a comment: $HOME 'quoted'\n\nA_1=10.0.0.1:9292\nenable_service q-svc neutron\n{plugin}"
    )
    check_localrc("x", text, once="A_1")


@pytest.mark.parametrize(
    "line",
    [
        "A = 1",
        "A=b c",
        "A=",
        "A=$B",
        "A=`id`",
        "A=$(id)",
        "A='b'",
        'A="b"',
        "A=a&b",
        "A=a\\1",
        "A=1 # why",
        " A=1",
        "a=1",
        "A=1\r",
        "A=1;id",
        "id",
        "enable_service q-svc;id",
        "enable_service",
        "disable_service q-$x",
        "export A=1",
        "# ü",
        "A=1\x0b",
        "[[local|localrc]]",
        "enable_plugin x https://$(id) y",
        "enable_plugin x ~/x y",
    ],
)
def test_whatever_bash_or_sed_could_act_on_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(RenderError, match="node:2: not a plain assignment"):
        check_localrc("node", f"OK=1\n{line}\n")


def test_the_value_of_a_bad_line_is_not_shown() -> None:
    with pytest.raises(RenderError) as caught:
        check_localrc("node", "ADMIN_PASSWORD=se cret\n")
    assert "cret" not in str(caught.value)


def test_a_name_set_twice_is_refused() -> None:
    with pytest.raises(RenderError, match="node:3: A was set on line 1 already"):
        check_localrc("node", "A=1\nB=1\nA=2\n")


def test_a_last_line_without_end_is_refused() -> None:
    with pytest.raises(RenderError, match="last line"):
        check_localrc("node", "A=1")


@pytest.mark.parametrize(("text", "count"), [("B=1\n", 0), ("# A\nA=1\n", 2)])
def test_a_name_that_scripts_grep_for_stands_on_one_line(text: str, count: int) -> None:
    with pytest.raises(RenderError, match=f"node: {count} lines mention A"):
        check_localrc("node", text, once="A")
