from __future__ import annotations

from stacklab.errors import CommandFailed, ToolNotFound
from stacklab.images import mirror
from stacklab.process import Result
from tests.conftest import FakeRunner

# As `apt-get indextargets` of a Debian 12 writes it; binary-all comes beside binary-amd64.
LINES = """\
bookworm-security|main|http://m.test/debian-security/|bookworm-security
bookworm-updates|main|http://m.test/debian/|bookworm-updates
bookworm|main|http://m.test/debian/|bookworm
bookworm|main|http://m.test/debian/|bookworm
bookworm|contrib|http://m.test/debian/|bookworm
bookworm-backports|main|http://m.test/debian/|bookworm-backports
stable|main|http://other.test/tool/|
"""
SOURCES = (
    "deb http://m.test/debian/ bookworm main contrib",
    "deb http://m.test/debian/ bookworm-updates main",
    "deb http://m.test/debian-security/ bookworm-security main",
)


def test_the_suite_comes_first_and_what_belongs_to_it_after_it() -> None:
    assert mirror.parse_targets("bookworm", LINES.splitlines()) == SOURCES


def test_a_suite_that_this_host_does_not_have_has_no_sources() -> None:
    assert mirror.parse_targets("trixie", LINES.splitlines()) == ()


def test_updates_without_their_suite_are_no_source() -> None:
    assert (
        mirror.parse_targets("bookworm", ["bookworm-updates|main|http://m.test/|bookworm-updates"])
        == ()
    )


def test_a_host_that_says_stable_has_the_suite_all_the_same() -> None:
    lines = [
        "stable-updates|main|http://m.test/d/|bookworm-updates",
        "stable|main|http://m.test/d/|bookworm",
    ]
    assert mirror.parse_targets("bookworm", lines) == (
        "deb http://m.test/d/ stable main",
        "deb http://m.test/d/ stable-updates main",
    )


def test_lines_of_another_shape_are_passed_over() -> None:
    assert mirror.parse_targets("bookworm", ["", "W: something", "a|b"]) == ()


def test_the_hosts_own_sources_are_asked_of_apt(fake_runner: FakeRunner) -> None:
    fake_runner.on("apt-get", "indextargets", stdout=LINES)
    assert mirror.apt_sources("bookworm", fake_runner) == SOURCES
    assert len(fake_runner.commands) == 1


def test_package_lists_that_were_thrown_away_do_not_hide_the_mirror(
    fake_runner: FakeRunner,
) -> None:
    bare = "bookworm|main|http://m.test/debian/|$(CODENAME)\n"
    fake_runner.on("apt-get", "indextargets").on(
        "apt-get", "indextargets", "--no-release-info", stdout=bare
    )
    assert mirror.apt_sources("bookworm", fake_runner) == (
        "deb http://m.test/debian/ bookworm main",
    )


def test_a_host_without_apt_has_no_sources(fake_runner: FakeRunner) -> None:
    fake_runner.on("apt-get", answer=ToolNotFound("apt-get"))
    assert mirror.apt_sources("bookworm", fake_runner) == ()


def test_an_apt_that_fails_has_no_sources(fake_runner: FakeRunner) -> None:
    fake_runner.on(
        "apt-get",
        answer=[CommandFailed("apt-get ended with 100"), Result(exit_code=0, stdout=LINES)],
    )
    assert mirror.apt_sources("bookworm", fake_runner) == ()
