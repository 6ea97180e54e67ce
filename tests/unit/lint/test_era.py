"""The era of a file: by whom or what it is known, and what is an error where it is not certain."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.installers import linting as lint
from stacklab.lint.era import Mark, by_marks
from stacklab.lint.finding import Severity
from stacklab.lint.scope import Era, Ground

KNOWN = ("c", "b", "a")  # newest first
HEAD = "[[local|localrc]]\nHOST_IP=10.0.0.1\n"
PASSWORDS = "".join(f"{name}_PASSWORD=x\n" for name in ("ADMIN", "DATABASE", "RABBIT", "SERVICE"))


def mark(name: str, *releases: str) -> Mark:
    return Mark(name=name, line=1, releases=frozenset(releases))


@pytest.mark.parametrize(
    ("marks", "release", "ground", "possible"),
    [
        ([], "c", Ground.ASSUMED, ("c", "b", "a")),
        ([mark("x", "a", "b")], "c", Ground.ASSUMED, ("c", "b", "a")),
        ([mark("x", "a"), mark("y", "a", "b")], "a", Ground.MARKS, ("a",)),
        ([mark("x", "a", "b"), mark("y", "a", "b")], "c", Ground.ASSUMED, ("c", "b", "a")),
        ([mark("x", "b", "c")], "c", Ground.MARKS, ("c", "b")),
        ([mark("x", "c"), mark("y", "a")], "c", Ground.MARKS, ("c", "a")),
    ],
    ids=["none", "a slip", "two of one age", "two of one origin", "of new ones", "contradicting"],
)
def test_marks_tell_the_era_if_several_agree(
    marks: list[Mark], release: str, ground: Ground, possible: tuple[str, ...]
) -> None:
    era = by_marks("It", KNOWN, marks)
    assert (era.release, era.ground, era.possible) == (release, ground, possible)


def old(name: str, *releases: str, origin: str = "", is_leftover: bool = False) -> Mark:
    return Mark(
        name=name,
        line=1,
        releases=frozenset(releases),
        origin=origin or name,
        is_leftover=is_leftover,
    )


OLD = [old("x", "a", "b"), old("y", "a", "b")]


@pytest.mark.parametrize(
    ("marks", "release", "ground"),
    [
        (OLD, "c", Ground.ASSUMED),
        ([*OLD, old("z", "a", "b")], "b", Ground.MARKS),
        ([*OLD, old("z", "a", is_leftover=True)], "b", Ground.MARKS),
        ([old(name, "a", "b", origin="heat") for name in "xyz"], "c", Ground.ASSUMED),
        ([*OLD, old("z", "a"), mark("new", "c")], "c", Ground.ASSUMED),
        ([old("x", "a", is_leftover=True)] * 3, "c", Ground.ASSUMED),
    ],
    ids=["two", "three", "a leftover", "one plugin's", "and a new one", "leftovers alone"],
)
def test_three_old_names_are_no_slip_where_none_is_new(
    marks: list[Mark], release: str, ground: Ground
) -> None:
    era = by_marks("It", KNOWN, marks)
    assert (era.release, era.ground) == (release, ground)


def test_a_harmless_name_rules_no_release_out() -> None:
    harmless = Mark(name="x", line=1, releases=frozenset("a"), is_harmless=True)
    both = by_marks("It", KNOWN, [harmless, mark("y", "a", "b")])
    assert (both.release, both.possible) == ("a", ("b", "a"))
    alone = by_marks("It", KNOWN, [harmless])
    assert (alone.release, alone.ground, alone.possible) == ("c", Ground.ASSUMED, KNOWN)


@pytest.mark.parametrize(
    ("lines", "release", "newest"),
    [
        ("", "2026.1", "2026.1"),
        ("enable_service q-agt q-l3\n", "queens", "wallaby"),
        ("MULTI_HOST=True\n", "queens", "stein"),
        ("USE_SCREEN=True\n", "pike", "2026.1"),
    ],
    ids=["alone", "agents of before OVN", "nova-network", "harmless ones alone"],
)
def test_screen_logdir_may_stand_in_files_of_after_screen(
    tmp_path: Path, lines: str, release: str, newest: str
) -> None:
    """DevStack cdba1b37 removed screen in Queens: later ones pass over the variable."""
    era = era_of(tmp_path, f"{HEAD}{PASSWORDS}SCREEN_LOGDIR=/opt/stack/logs\n{lines}")
    assert (era.release, era.possible[0]) == (release, newest)
    path = tmp_path / "local.conf"
    assert not [each for each in lint.lint_files([path]) if each.severity is Severity.ERROR]


def test_only_names_that_these_releases_know_are_shown(tmp_path: Path) -> None:
    """API_RATE_LIMIT was read up to Icehouse, and enable_plugin is Kilo's."""
    text = HEAD + (
        "API_RATE_LIMIT=False\nKEYSTONE_USE_MOD_WSGI=False\n"
        "SCREEN_LOGDIR=/x\nenable_plugin one https://one.example/one\n"
    )
    era = era_of(tmp_path, text)
    assert era.ground is Ground.MARKS
    assert "API_RATE_LIMIT" not in era.why
    assert "KEYSTONE_USE_MOD_WSGI" in era.why


def era_of(tmp_path: Path, text: str, *, name: str = "local.conf", release: str = "") -> Era:
    (tmp_path / name).write_text(text)
    (file,) = lint.judge_files([tmp_path / name], release=release).files
    assert file.scope.era is not None
    return file.scope.era


def test_a_branch_names_the_release_and_the_user_has_the_last_word(tmp_path: Path) -> None:
    text = HEAD + "NOVA_BRANCH=stable/zed\n"
    era = era_of(tmp_path, text)
    assert (era.release, era.ground, era.is_certain) == ("zed", Ground.NAME, True)
    assert "line 3 names stable/zed" in str(era)
    era = era_of(tmp_path, text, release="yoga")
    assert (era.release, era.ground) == ("yoga", Ground.REQUEST)


def test_what_is_not_certain_is_a_warning(tmp_path: Path) -> None:
    """stack.sh of 2026.1 stops at q-agt, and that of Train wants it."""
    path = tmp_path / "local.conf"
    path.write_text(HEAD + PASSWORDS + "enable_service q-agt\n")
    (assumed,) = lint.judge_files([path]).findings
    (certain,) = lint.judge_files([path], release="2026.1").findings
    assert assumed.rule == certain.rule == "devstack-ovn-agent"
    assert (assumed.severity, certain.severity) == (Severity.WARNING, Severity.ERROR)
    assert lint.judge_files([path], release="train").findings == ()


def test_what_holds_in_every_release_is_an_error_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "local.conf"
    path.write_text(HEAD)
    (found,) = lint.judge_files([path]).findings
    assert (found.rule, found.severity) == ("devstack-password-missing", Severity.ERROR)


def test_names_of_a_plugin_are_no_marks(tmp_path: Path) -> None:
    text = HEAD + "OVN_BRANCH=x\nOVN_BUILD_MODULES=True\nOVN_L3_CREATE_PUBLIC_NETWORK=True\n"
    assert era_of(tmp_path, text).ground is Ground.MARKS
    plugin = "enable_plugin networking-ovn https://opendev.org/openstack/networking-ovn\n"
    assert "OVN" not in era_of(tmp_path, text + plugin).why


@pytest.mark.parametrize(
    ("name", "text", "release", "ground"),
    [
        ("globals.yml", 'openstack_release: "train"\n', "train", Ground.NAME),
        ("globals.yml", "openstack_release: 2025.1 # mine\n", "2025.1", Ground.NAME),
        ("globals.yml", "enable_skydive: no\nenable_panko: no\n", "wallaby", Ground.MARKS),
        ("globals.yml", "openstack_release: '{{ mine }}'\n", "2025.2", Ground.ASSUMED),
        (
            "instances.yaml",
            "contrail_configuration:\n  CONTRAIL_CONTAINER_TAG: R24.1-7\n",
            "R24.1",
            Ground.NAME,
        ),
        ("instances.yaml", "contrail_configuration:\n  X: 1\n", "R26.1", Ground.ASSUMED),
        ("localrc", "INSTALL_PROFILE=ALL\nCONTRAIL_BRANCH=R2.20\n", "R2.20", Ground.NAME),
        ("localrc", "Q_PLUGIN=opencontrail\nHOST_IP=10.0.0.1\n", "mitaka", Ground.MARKS),
    ],
)
def test_each_installers_files_tell_their_release(
    tmp_path: Path, name: str, text: str, release: str, ground: Ground
) -> None:
    era = era_of(tmp_path, text, name=name)
    assert (era.release, era.ground) == (release, ground)


def test_a_release_that_is_not_in_the_table_is_told_in_one_line(tmp_path: Path) -> None:
    era = era_of(tmp_path, "openstack_release: rocky\nenable_skydive: no\n", name="globals.yml")
    assert "not in the table" in str(era)
    assert not era.is_in_table
