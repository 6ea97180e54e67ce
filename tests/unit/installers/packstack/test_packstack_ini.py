from __future__ import annotations

import configparser

import pytest

from stacklab.installers.packstack.lint import ini
from stacklab.installers.packstack.lint import linter as packstack
from stacklab.lint.scope import Scope, Source
from tests.unit.installers.packstack.packstack_findings import HEAD, HOSTS, ICEHOUSE, told

FORMS = (
    "[general]\na=1\n",
    "[general]\na = 1 \n",
    "[general]\na: 1\n",
    "[general]\nA=1\nb=\n",
    "[general]\na=y # c\n",
    "[general]\na=y ; c\n",
    '[general]\na="y"\n',
    '[general]\na=""\n',
    "[general]\na=%(x)s\n",
    "[general]\na=1\n b=2\n",
    "[general]\na=1\n\n b=2\n",
    "[general]\na=1\n# c\n  b=2\n",
    "[general]\na=1\n  # c\n",
    " [general]\na=1\n",
    "[general]\n a=1\n",
    "[general]\n a=1\n b=2\n",
    "[general]\n a=1\nb=2\n",
    "[DEFAULT]\na=3\n[general]\nb=1\n",
    "[general]\na=1\n[other]\nb=2\n",
    "[general]\nexport a=1\n",
    "[general]\na=b=c\n",
    "; c\n[general]\na=1\n",
)


@pytest.mark.parametrize("text", FORMS)
def test_an_answer_file_is_read_as_python_3_reads_it(text: str) -> None:
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    expected = {key.upper(): value for key, value in parser.items("general")}
    answers = ini.read_answers(tuple(text.splitlines()))
    found = {entry.key: entry.value for entry in answers.general}
    assert {key: value.replace("\n\n", "\n") for key, value in expected.items()} == found
    assert not answers.broken
    assert not answers.homeless


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("a=1\n", "MissingSectionHeaderError"),
        ("\ufeff[general]\na=1\n", "MissingSectionHeaderError"),
        ("[general]\na\n", "ParsingError"),
        ("[general]\n=1\n", "ParsingError"),
        ("[general]\na=1\na=2\n", "DuplicateOptionError"),
        ("[general]\na=1\nA=2\n", "DuplicateOptionError"),
        ("[general]\na=1\n[general]\nb=2\n", "DuplicateSectionError"),
    ],
)
def test_what_python_3_refuses_is_told(text: str, refusal: str) -> None:
    with pytest.raises(configparser.Error) as error:
        configparser.RawConfigParser().read_string(text)
    assert type(error.value).__name__ == refusal
    rules = {
        "MissingSectionHeaderError": "no-general:1",
        "ParsingError": "no-assignment:2",
        "DuplicateOptionError": "duplicate-key:3",
        "DuplicateSectionError": "two-general:3",
    }
    assert rules[refusal] in told(text)


# What Python 2.7's ConfigParser makes of `a`, by running it.
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[general]\na=1\na=2\n", "2"),
        ("[general]\na=y # c\n", "y # c"),
        ("[general]\na=y ; c\n", "y"),
        ("[general]\na=y;c\n", "y;c"),
        ("[general]\nb=1\n[general]\na=2\n", "2"),
        ("[general]\na=1\n # c\n", "1\n# c"),
        ("[general]\na=1\n\n b=2\n", "1\nb=2"),
    ],
)
def test_old_releases_are_read_as_python_2_read_them(text: str, value: str) -> None:
    answers = ini.read_answers(tuple(text.splitlines()), python2=True)
    assert {entry.key: entry.value for entry in answers.general}["A"] == value
    assert not answers.broken


@pytest.mark.parametrize("text", [" [general]\na=1\n", "[general]\n a=1\n"])
def test_python_2_took_no_indented_line(text: str) -> None:
    answers = ini.read_answers(tuple(text.splitlines()), python2=True)
    assert answers.homeless or answers.broken


def test_a_good_file_has_no_finding() -> None:
    text = (
        HEAD
        + HOSTS
        + "CONFIG_DEBUG_MODE=y\nCONFIG_KEYSTONE_ADMIN_PW=LeakPw1\nCONFIG_NTP_SERVERS=192.0.2.1\n"
    )
    assert told(text) == []


def test_windows_line_ends_do_no_harm() -> None:
    assert told((HEAD + HOSTS + "CONFIG_DEBUG_MODE=y\n").replace("\n", "\r\n")) == []


def test_an_empty_file_lacks_its_section() -> None:
    assert told("") == ["no-general:0"]
    assert told("[General]\nCONFIG_DEBUG_MODE=y\n") == ["no-general:1"]


def test_the_default_section_belongs_to_every_section() -> None:
    assert told("[DEFAULT]\nCONFIG_DEBUG_MODE=yes\n[general]\n") == ["yes-no:2"]


def test_python_2_lets_the_last_of_two_keys_win() -> None:
    text = HEAD + "CONFIG_DEBUG_MODE=y\nCONFIG_DEBUG_MODE=n\n"
    (old,) = packstack.lint(Source(name="f", text=text), ICEHOUSE)
    (new,) = packstack.lint(Source(name="f", text=text), Scope())
    assert old.effect == "line 2 is ignored: the last one wins"
    assert "already exists" in new.effect


def test_python_2_makes_one_of_two_equal_sections() -> None:
    assert (
        told(HEAD + "CONFIG_DEBUG_MODE=y\n" + HEAD + "CONFIG_NTP_SERVERS=192.0.2.1\n", ICEHOUSE)
        == []
    )
