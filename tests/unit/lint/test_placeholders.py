"""What nobody filled in is told once, and its value is not judged."""

from __future__ import annotations

import pytest

from stacklab.lint import placeholders
from stacklab.lint.scope import Source
from stacklab.lint.syntaxes import INI, SHELL, YAML, Syntax


def take_out(text: str, syntax: Syntax) -> placeholders.Cleared:
    return placeholders.take_out(Source(name="f", text=text), syntax)


@pytest.mark.parametrize(
    ("syntax", "line", "cleared"),
    [
        (SHELL, "HOST_IP=<address of this host>", "HOST_IP=$(placeholder)"),
        (SHELL, 'A="x <y> z"', 'A="x $(placeholder) z"'),
        (SHELL, "A={{ a }}:{{ b }}", "A=$(placeholder):$(placeholder)"),
        (SHELL, "A=<%= @ip %>", "A=$(placeholder)"),
        (SHELL, "A=YOUR_ADDRESS", "A=$(placeholder)"),
        (YAML, "a: << name >>", 'a: "{{ placeholder }}"'),
        (YAML, "a: $username", 'a: "{{ placeholder }}"'),
        (YAML, "a: COMPLETE_HERE", 'a: "{{ placeholder }}"'),
        (YAML, "a: <address>", 'a: "{{ placeholder }}"'),
        (YAML, "a: 'http://<address>/'", "a: 'http://{{ placeholder }}/'"),
        (YAML, "a: $HOST_IP # mine", 'a: "{{ placeholder }}" # mine'),
        (INI, "A=$HOST_IP", "A=$HOST_IP"),
    ],
)
def test_a_placeholder_becomes_a_value_that_nobody_knows(
    syntax: Syntax, line: str, cleared: str
) -> None:
    result = take_out(f"{line}\n", syntax)
    assert result.source.text == f"{cleared}\n"
    assert result.findings
    assert result.lines == {1}


@pytest.mark.parametrize(
    ("syntax", "text", "is_template"),
    [
        (SHELL, "A=1\n  {% if x %}\nB={{ b }}\n", True),
        (SHELL, "A=1\n<% if x %>\nB=2\n", True),
        (SHELL, "A={{ a }}\n", False),
        (YAML, "a: 1\n{% if x %}\nb: 2\n", True),
        # A text in it that Ansible fills in.
        (YAML, "a: |\n  {% if x %}\n  b\n  {% endif %}\n", False),
    ],
)
def test_a_template_is_told_once_and_is_not_read(
    syntax: Syntax, text: str, *, is_template: bool
) -> None:
    result = take_out(text, syntax)
    assert result.is_template is is_template
    if is_template:
        assert len(result.findings) == 1


@pytest.mark.parametrize(
    ("syntax", "line"),
    [
        (SHELL, "A=$HOST_IP"),
        (SHELL, "A=$(cat <file >other)"),
        (SHELL, "# A=<x>"),
        (SHELL, "A=1 # <x>"),
        (SHELL, "cat <<EOF >file"),
        (SHELL, "A='<b>text</b>'"),
        (SHELL, "A=`docker ps --format {{.Names}}`"),
        (YAML, "a: '{{ mine }}'"),
        (YAML, "a_password: $ECRET"),
        (YAML, "a: pa$WORD"),
        (YAML, "a: robot$kolla"),
        (YAML, "a: $first and more"),
        (INI, "CONFIG_KEYSTONE_ADMIN_PW=$ECRET"),
        (INI, "# A=<x>"),
    ],
)
def test_what_is_meant_stays(syntax: Syntax, line: str) -> None:
    result = take_out(f"{line}\n", syntax)
    assert result.source.text == f"{line}\n"
    assert result.findings == ()


def test_one_placeholder_on_several_lines_is_one_finding() -> None:
    (found,) = take_out("A=$HOST_IP\nB=1\nC=$HOST_IP\n", INI).findings
    assert (found.line, "lines 1, 3" in found.effect) == (1, True)


def test_a_secrets_placeholder_is_not_shown() -> None:
    (found,) = take_out("ADMIN_PASSWORD=<hunter2>\n", SHELL).findings
    assert "hunter2" not in str(found)


def test_placeholders_of_one_line_are_one_finding() -> None:
    (found,) = take_out("POOL=start=<first>,end=<last>\n", SHELL).findings
    assert found.effect == "<first> and <last> are placeholders, and nothing fills them in"


def test_one_secret_on_several_lines_is_one_finding_without_its_text() -> None:
    text = "ADMIN_PASSWORD=<hidden1>\nHOST_IP=<a>\nRABBIT_PASSWORD=<hidden1>\n"
    secret, address = take_out(text, SHELL).findings
    assert secret.effect == "what stands in lines 1, 3 is a placeholder, and nothing fills it in"
    assert "hidden1" not in str(secret)
    assert address.line == 2


@pytest.mark.parametrize(
    ("syntax", "text", "key"),
    [
        (YAML, "  REG_USERNAME: $username\n  REG_PASSWORD: $password\n", "REG_PASSWORD"),
        (YAML, "reg_password: '${word}'\nother: 1\nreg_user: $LOGIN\n", "reg_password"),
        (INI, "CONFIG_RH_USER=$RH_USER\nCONFIG_RH_PW=$RH_PW\n", "CONFIG_RH_PW"),
    ],
)
def test_a_password_beside_a_users_placeholder_is_one_too(
    syntax: Syntax, text: str, key: str
) -> None:
    result = take_out(text, syntax)
    (found,) = result.findings
    assert f"the value of {key} (line " in found.effect
    assert "are placeholders" in found.effect
    assert "$password" not in str(found)  # what stands in for a secret may be one
    assert "word}" not in str(found)
    assert len(result.lines) == 2
    if syntax is YAML:
        assert "$" not in result.source.text


@pytest.mark.parametrize(
    "text",
    [
        "REG_USERNAME: admin\nREG_PASSWORD: $ecret\n",
        "REG_USERNAME: $username\nHUB_PASSWORD: $ecret\n",
        "REG_USERNAME: $username\nREG_PASSWORD: pa$word\n",
        "REG_USERNAME: $username\nREG_PASSWORD: $ecret!4\n",
        "REG_USERNAME: <name>\nREG_PASSWORD: $ecret\n",
    ],
)
def test_a_password_with_a_dollar_may_be_meant(text: str) -> None:
    assert all("PASSWORD" not in each.effect for each in take_out(text, YAML).findings)
