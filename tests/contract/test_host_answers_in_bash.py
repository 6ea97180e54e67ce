"""The files around an installer's own, as bash, sed and APT's formats take them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from stacklab.installers import rendering as answers
from stacklab.installers.kit import host
from stacklab.model.stack import NO_MIRRORS, Mirrors
from tests.unit.installers.contrail.labs import make_lab
from tests.unit.installers.kit.test_host import PROXY, with_stack


def test_a_proxy_is_told_to_shells_and_to_apt_and_the_lab_is_reached_directly() -> None:
    lab = with_stack(make_lab(), proxy=PROXY)
    files = host.render_settings(lab, NO_MIRRORS)["compute2"]
    assert files[host.APT_PROXY] == 'Acquire::http::Proxy "http://proxy.example.org:3128";\n'
    done = subprocess.run(
        ["bash", "-c", f"{files[host.PROXY_ENVIRONMENT]}\nenv"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert found["http_proxy"] == found["https_proxy"] == "http://proxy.example.org:3128"
    direct = found["no_proxy"].split(",")
    assert {"localhost", "127.0.0.1", ".example.org", "controller"} <= set(direct)
    assert {str(nic.address.ip) for node in lab.nodes for nic in node.nics} <= set(direct)


def test_a_mirror_of_packages_is_put_into_every_source_but_securitys(tmp_path: Path) -> None:
    (tmp_path / "a.list").write_text(
        "deb http://one.example.org/debian bookworm main\n"
        "deb http://two.example.org/debian-security bookworm-security main\n"
        "deb [signed-by=/x] http://three.example.org/ubuntu/ noble main\n"
    )
    (tmp_path / "b.sources").write_text(
        "Types: deb\nURIs: http://three.example.org/ubuntu/\nSuites: noble\n"
    )
    lab = with_stack(make_lab(), mirrors=Mirrors(apt="http://apt.example.org/mirror/"))
    step = next(step for step in answers.steps(lab) if "mirror" in step.title)
    command = step.command.replace("/etc/apt", str(tmp_path)).replace(" && apt-get update", "")
    assert "apt-get" not in command

    def run(line: str) -> int:
        return subprocess.run(["bash", "-c", line], check=False).returncode

    done = step.done.replace("/etc/apt", str(tmp_path))
    assert run(done) != 0
    assert run(command) == 0
    assert run(done) == 0
    assert (tmp_path / "a.list").read_text() == (
        "deb http://apt.example.org/mirror bookworm main\n"
        "deb http://two.example.org/debian-security bookworm-security main\n"
        "deb [signed-by=/x] http://apt.example.org/mirror noble main\n"
    )
    assert "URIs: http://apt.example.org/mirror\n" in (tmp_path / "b.sources").read_text()


def make_authority(directory: Path, name: str) -> str:
    """A self-signed certificate, without an end of its last line."""
    made = directory / f"{name}.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", str(directory / "key"), "-out", str(made)),
        ],
        capture_output=True,
        check=True,
    )
    return made.read_text().rstrip("\n")


def test_an_authority_is_added_to_debians_bundle_and_found_by_its_hash(tmp_path: Path) -> None:
    certs, authorities = tmp_path / "certs", tmp_path / "authorities"
    certs.mkdir()
    authorities.mkdir()
    (certs / "ca-certificates.crt").write_text(make_authority(tmp_path, "of-the-image") + "\n")
    given = {name: make_authority(tmp_path, name) for name in ("one", "two")}
    for name, text in given.items():
        (authorities / f"stacklab-{name}.crt").write_text(text)
    (tmp_path / "update-ca-certificates").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "update-ca-certificates").chmod(0o755)
    lab = make_lab()
    step = answers.steps(lab, mirrors=Mirrors(authorities=tuple(given.items())))[0]

    def run(line: str) -> int:
        line = line.replace("/etc/ssl/certs", str(certs)).replace(
            str(host.AUTHORITIES), str(authorities)
        )
        return subprocess.run(
            ["bash", "-c", line], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False
        ).returncode

    assert run(step.done) != 0
    assert run(step.command) == 0
    assert run(step.done) == 0
    for name in given:
        certificate = str(authorities / f"stacklab-{name}.crt")
        verify = ["openssl", "verify", "-no-CApath", "-no-CAfile", "-no-CAstore"]
        for trusted in (["-CApath", str(certs)], ["-CAfile", str(certs / "ca-certificates.crt")]):
            done = subprocess.run([*verify, *trusted, certificate], check=False)
            assert done.returncode == 0, (name, trusted)
