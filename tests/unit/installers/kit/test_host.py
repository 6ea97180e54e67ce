from __future__ import annotations

import dataclasses
from pathlib import PurePosixPath
from typing import Any

import pytest

from stacklab import releases
from stacklab.installers import rendering as answers
from stacklab.installers.contrail import kit as contrail
from stacklab.installers.kit import host
from stacklab.installers.kit.release import workarounds
from stacklab.model.lab import Lab
from stacklab.model.release import Bug, Release, When
from stacklab.model.stack import NO_MIRRORS, Driver, Installer, Mirrors, Proxy, Role
from stacklab.stages.stage import Step, steps_of
from tests.unit.installers.contrail.labs import SECRETS, THREE_NODES, make_lab

PROXY = Proxy(http="http://proxy.example.org:3128", no_proxy=(".example.org",))


def with_stack(lab: Lab, **changes: object) -> Lab:
    return dataclasses.replace(lab, stack=dataclasses.replace(lab.stack, **changes))  # type: ignore[arg-type]


def test_nothing_is_written_where_the_host_has_nothing_of_its_own() -> None:
    assert not any(host.render_settings(make_lab(), NO_MIRRORS).values())


def test_every_node_has_the_hosts_index_of_packages() -> None:
    files = host.render_settings(make_lab(), Mirrors(pip="https://pypi.example.org/simple"))
    texts = {texts[host.PIP_CONF] for texts in files.values()}
    assert len(texts) == 1
    assert "\n[global]\nindex-url = https://pypi.example.org/simple\n" in texts.pop()


def test_the_specs_index_goes_before_the_hosts() -> None:
    lab = with_stack(make_lab(), mirrors=Mirrors(pip="https://mine.example.org/simple"))
    text = host.render_settings(lab, Mirrors(pip="https://pypi.example.org/simple"))["controller"][
        host.PIP_CONF
    ]
    assert "mine.example.org" in text
    assert "pypi.example.org" not in text


def test_pip_trusts_an_index_without_tls_only_where_it_is_one() -> None:
    for url, is_trusted in (
        ("http://pypi.example.org/simple", True),
        ("https://pypi.example.org/simple", False),
    ):
        text = host.render_settings(make_lab(), Mirrors(pip=url))["compute1"][host.PIP_CONF]
        assert ("trusted-host = pypi.example.org" in text) is is_trusted


def test_git_fetches_from_where_the_host_does() -> None:
    found = Mirrors(git=(("https://git.example.org/opendev/", "https://opendev.org/"),))
    text = host.render_settings(make_lab(), found)["compute1"][host.GIT_CONFIG]
    assert text.endswith(
        '\n[url "https://git.example.org/opendev/"]\n\tinsteadOf = https://opendev.org/\n'
    )


def test_an_authority_is_trusted_by_the_system_and_by_pip() -> None:
    mirrors = Mirrors(authorities=(("ours", "PEM\n"),))
    files = host.render_settings(make_lab(), mirrors)["compute1"]
    assert files[host.AUTHORITIES / "stacklab-ours.crt"] == "PEM\n"
    assert "cert = /etc/ssl/certs/ca-certificates.crt\n" in files[host.PIP_CONF]
    assert "index-url" not in files[host.PIP_CONF]
    first = answers.steps(make_lab(), mirrors=mirrors)[0]
    assert (first.user, first.title) == ("root", "trust the authorities that the host trusts")
    assert not any("trust" in step.title for step in answers.steps(make_lab()))


def test_these_files_are_part_of_what_is_rendered() -> None:
    found = answers.render(
        with_stack(make_lab(), proxy=PROXY), SECRETS, mirrors=Mirrors(pip="https://p.example/s")
    )
    assert {host.PIP_CONF, host.APT_PROXY, host.PROXY_ENVIRONMENT} < set(found["compute1"])


def test_a_bystander_is_left_alone() -> None:
    lab = make_lab(nodes=(*THREE_NODES, ("client", Role.NODE)))
    lab = with_stack(lab, mirrors=Mirrors(apt="http://apt.example.org/debian"))
    assert "client" not in {step.node for step in answers.steps(lab)}


def with_bug(**changes: Any) -> Release:  # noqa: ANN401
    """Contrail's release, with no bug but this one."""
    bug = Bug(id="x", symptom="y", fix="z", **changes)
    return dataclasses.replace(releases.find(Installer.CONTRAIL, "master"), bugs=(bug,))


def steps_around_x(lab: Lab, row: Release) -> list[Step]:
    """The steps before the installer, of bug x alone."""
    stages = host.settings_stages(lab, NO_MIRRORS, (row,)).values()
    return [step for step in steps_of(stages) if " x: " in step.title]


def test_a_bugs_commands_are_run_at_its_moment_and_by_the_right_user() -> None:
    lab = make_lab()
    for when, user, command in (
        (When.BEFORE, "root", "a"),
        (When.AFTER_CLONE, "stack", "cd /x && a"),
    ):
        row = with_bug(when=when, commands=("a",), done="b", role="controller")
        tree = PurePosixPath("/x")
        found = {
            each: list(workarounds(lab, row, lab.controller, each, tree=tree)) for each in When
        }
        assert [each for each, steps in found.items() if steps] == [when]
        (step,) = found[when]
        assert (step.user, step.command, step.done) == (user, command, command[:-1] + "b")
        assert not list(workarounds(lab, row, lab.computes[0], when, tree=tree))
        assert bool(steps_around_x(lab, row)) is (when is When.BEFORE)


def test_a_bug_of_another_driver_is_not_worked_around() -> None:
    lab = make_lab()
    for driver, count in ((None, 3), (Driver.LIBVIRT, 3), (Driver.ZUN, 0)):
        row = with_bug(commands=("a",), driver=driver)
        assert len(steps_around_x(lab, row)) == count


def test_what_the_paired_devstack_needs_beforehand_is_done_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bug = Bug(id="x", symptom="y", fix="z", commands=("a",))
    pair = dataclasses.replace(releases.find(Installer.DEVSTACK, "mitaka"), bugs=(bug,))
    monkeypatch.setattr(contrail, "paired_devstack", lambda _release: pair)
    assert [step.node for step in answers.steps(make_lab()) if step.command == "a"] == [
        "controller",
        "compute1",
        "compute2",
    ]


def test_no_path_of_these_holds_a_secret() -> None:
    lab = with_stack(make_lab(), proxy=PROXY, mirrors=Mirrors(pip="https://p.example/s"))
    for path, text in host.render_settings(lab, NO_MIRRORS)["controller"].items():
        assert path.is_relative_to(PurePosixPath("/etc"))
        assert not any(secret in text for secret in SECRETS.values())
