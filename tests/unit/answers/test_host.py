from __future__ import annotations

import dataclasses
from pathlib import PurePosixPath

from stacklab import answers
from stacklab.answers import host
from stacklab.model import NO_MIRRORS, Lab, Mirrors, Proxy, Role
from tests.unit.answers.labs import SECRETS, THREE_NODES, make_lab

PROXY = Proxy(http="http://proxy.example.org:3128", no_proxy=(".example.org",))


def with_stack(lab: Lab, **changes: object) -> Lab:
    return dataclasses.replace(lab, stack=dataclasses.replace(lab.stack, **changes))  # type: ignore[arg-type]


def test_nothing_is_written_where_the_host_has_nothing_of_its_own() -> None:
    assert not any(host.files(make_lab(), NO_MIRRORS).values())


def test_every_node_has_the_hosts_index_of_packages() -> None:
    files = host.files(make_lab(), Mirrors(pip="https://pypi.example.org/simple"))
    texts = {texts[host.PIP_CONF] for texts in files.values()}
    assert len(texts) == 1
    assert "\n[global]\nindex-url = https://pypi.example.org/simple\n" in texts.pop()


def test_the_specs_index_goes_before_the_hosts() -> None:
    lab = with_stack(make_lab(), mirrors=Mirrors(pip="https://mine.example.org/simple"))
    text = host.files(lab, Mirrors(pip="https://pypi.example.org/simple"))["controller"][host.PIP_CONF]
    assert "mine.example.org" in text
    assert "pypi.example.org" not in text


def test_pip_trusts_an_index_without_tls_only_where_it_is_one() -> None:
    for url, is_trusted in (("http://pypi.example.org/simple", True), ("https://pypi.example.org/simple", False)):
        text = host.files(make_lab(), Mirrors(pip=url))["compute1"][host.PIP_CONF]
        assert ("trusted-host = pypi.example.org" in text) is is_trusted


def test_git_fetches_from_where_the_host_does() -> None:
    found = Mirrors(git=(("https://git.example.org/opendev/", "https://opendev.org/"),))
    text = host.files(make_lab(), found)["compute1"][host.GIT_CONFIG]
    assert text.endswith('\n[url "https://git.example.org/opendev/"]\n\tinsteadOf = https://opendev.org/\n')


def test_an_authority_is_trusted_by_the_system_and_by_pip() -> None:
    mirrors = Mirrors(authorities=(("ours", "PEM\n"),))
    files = host.files(make_lab(), mirrors)["compute1"]
    assert files[host.AUTHORITIES / "stacklab-ours.crt"] == "PEM\n"
    assert "cert = /etc/ssl/certs/ca-certificates.crt\n" in files[host.PIP_CONF]
    assert "index-url" not in files[host.PIP_CONF]
    first = answers.steps(make_lab(), mirrors=mirrors)[0]
    assert (first.user, first.title) == ("root", "trust the authorities that the host trusts")
    assert not any("trust" in step.title for step in answers.steps(make_lab()))


def test_these_files_are_part_of_what_is_rendered() -> None:
    found = answers.render(with_stack(make_lab(), proxy=PROXY), SECRETS, mirrors=Mirrors(pip="https://p.example/s"))
    assert {host.PIP_CONF, host.APT_PROXY, host.PROXY_ENVIRONMENT} < set(found["compute1"])


def test_a_bystander_is_left_alone() -> None:
    lab = make_lab(nodes=(*THREE_NODES, ("client", Role.NODE)))
    lab = with_stack(lab, mirrors=Mirrors(apt="http://apt.example.org/debian"))
    assert "client" not in {step.node for step in answers.steps(lab)}


def test_no_path_of_these_holds_a_secret() -> None:
    lab = with_stack(make_lab(), proxy=PROXY, mirrors=Mirrors(pip="https://p.example/s"))
    for path, text in host.files(lab, NO_MIRRORS)["controller"].items():
        assert path.is_relative_to(PurePosixPath("/etc"))
        assert not any(secret in text for secret in SECRETS.values())
