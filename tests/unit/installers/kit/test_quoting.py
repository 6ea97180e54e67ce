r"""How values are written for DevStack's scripts; that they come through is in tests/contract.

Each expected text was taken to its ini file by DevStack's own functions, together with some ten
thousand made-up ones, at havana-eol, icehouse-eol, juno-eol, kilo-2, liberty-eol, mitaka-eol,
newton-eol, ocata-eol, rocky-eol, yoga-eom, 2024.2-eol, stable/2025.1 (bb69299), stable/2025.2
(92e864a), stable/2026.1 (da2f4d7) and master (493835a).
"""

from __future__ import annotations

import pytest

from stacklab.errors import RenderError
from stacklab.installers.kit.templates.quoting import (
    TODAY,
    Trap,
    localrc_value,
    option_line,
    post_config_value,
)
from stacklab.model.stack import ConfigOption

OLD = (Trap.SED,)
HAVANA = (Trap.SED, Trap.BAR, Trap.EQUALS)
ZED = (Trap.WORDS, Trap.BACKSLASH)


@pytest.mark.parametrize(
    "value", ["16.0", "file,http", "/opt/x", "a b", "'q'", "a;b # c", "%(name)s [x]", "é", ""]
)
@pytest.mark.parametrize("traps", [TODAY, ZED, OLD, HAVANA])
def test_most_values_are_written_as_they_are(value: str, traps: tuple[Trap, ...]) -> None:
    assert post_config_value(value, traps) == value


@pytest.mark.parametrize(
    ("value", "today", "zed", "old"),
    [
        ("$HOST", r"\\$HOST", r"\\$HOST", r"\\$HOST"),
        ("`id`", r"\\`id\\`", r"\\`id\\`", r"\\`id\\`"),
        ('"x y"', r'\\"x y\\"', r'\\"x y\\"', r'\\"x y\\"'),
        ("a&b", "a&b", "a&b", r"a\\\\&b"),
        ("a\\b", r"a\\\\b", r"a\\\\\\\\b", r"a\\\\\\\\b"),
        ("a]]b", 'a]""]b', 'a]""]b', 'a]""]b'),
    ],
)
def test_what_the_scripts_would_act_on_is_quoted_for_each_of_them(
    value: str, today: str, zed: str, old: str
) -> None:
    assert tuple(post_config_value(value, traps) for traps in (TODAY, ZED, OLD)) == (
        today,
        zed,
        old,
    )


def test_havana_gets_an_equals_sign_that_its_awk_does_not_see() -> None:
    assert post_config_value("a=b", HAVANA) == r"""a"$'\\075'"b"""
    assert post_config_value("a|b", HAVANA) == r"a\\\\|b"
    assert "=" not in post_config_value("==", (Trap.SED, Trap.EQUALS))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("a\nb", "one line"),
        ("a\rb", "one line"),
        ("a\x01b", r"U\+0001"),
        ("a\udc80b", r"U\+DC80"),
        (" a", "does not keep blanks around"),
        ("a\t", "does not keep blanks around"),
        ("a  b", "one blank"),
        ("a\tb", "one blank"),
        ("-n", "option of its own"),
        ("-nE x", "option of its own"),
        ("*", "names of files"),
        ("a *.conf", "names of files"),
        ("[a-z]*", "names of files"),
        ("/etc/[n]ova", "names of files"),
        ("stack.s?", "names of files"),
    ],
)
def test_what_no_quoting_brings_through_is_refused_with_the_reason(value: str, why: str) -> None:
    with pytest.raises(RenderError, match=why):
        post_config_value(value, TODAY)


@pytest.mark.parametrize("value", ["a  b", "a\tb", "-n x", "*", "/etc/[n]ova", "stack.s?"])
def test_releases_before_zed_have_no_echo_that_harms(value: str) -> None:
    assert post_config_value(value, OLD) == value


@pytest.mark.parametrize(
    "value",
    [
        "http://*/",
        "[x]",
        "[%(name)s] %(message)s",
        '{"vendor_id":"8086","product_id":"*"}',
        "?",
        "00:1f.*",
    ],
)
def test_a_pattern_that_no_file_of_devstacks_can_have_is_kept(value: str) -> None:
    assert post_config_value(value, TODAY).replace("\\", "") == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("a b", "'a b'"),
        ("$X", "'$X'"),
        ("", "''"),
        ("it's", "'it'\"'\"'s'"),
        ("]]]", "']'']'']'"),
    ],
)
def test_a_value_of_localrc_is_one_word_of_bash(value: str, written: str) -> None:
    assert localrc_value(value) == written


def test_a_value_of_localrc_is_one_line() -> None:
    with pytest.raises(RenderError, match="one line"):
        localrc_value("a\n[[post-config|/etc/passwd]]")


def option(value: str) -> ConfigOption:
    return ConfigOption(
        role="compute", file="$NOVA_CONF", section="libvirt", key="virt_type", value=value
    )


def test_an_options_line_has_its_key_and_no_blanks_at_its_end() -> None:
    assert option_line(option("qemu")) == "virt_type = qemu"
    assert option_line(option("")) == "virt_type ="
    assert option_line(option("a=b"), HAVANA) == r"""virt_type = a"$'\\075'"b"""


def test_an_option_that_cannot_be_is_named_and_its_value_is_not_shown() -> None:
    with pytest.raises(RenderError) as error:
        option_line(option("hidden  value"))
    assert error.value.message.startswith(
        "stack.post_config.compute.$NOVA_CONF.libvirt.virt_type: DevStack"
    )
    assert "hidden" not in str(error.value)
    assert error.value.hint == "write one blank"
