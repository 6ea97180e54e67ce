from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.errors import ToolNotFound
from stacklab.process import Result
from stacklab.tools.host.mirrors import host_mirrors
from tests.conftest import FakeRunner

INDEX = "https://pypi.example.org/simple"


def git(*lines: str, code: int = 0) -> FakeRunner:
    stdout = "".join(f"{line}\n" for line in lines)
    return FakeRunner().on("git", "config", answer=Result(exit_code=code, stdout=stdout))


def conf(path: Path, index: str) -> Path:
    path.write_text(f"[global]\nindex-url = {index}\n")
    return path


def test_a_host_without_settings_has_no_mirror(tmp_path: Path) -> None:
    assert host_mirrors(git(), {}, (tmp_path / "none",), ()).pip == ""


def test_pips_own_file_is_read(tmp_path: Path) -> None:
    assert host_mirrors(git(), {}, (conf(tmp_path / "pip.conf", INDEX),)).pip == INDEX


def test_the_users_file_goes_before_the_systems_and_the_environment_before_both(
    tmp_path: Path,
) -> None:
    files = (conf(tmp_path / "system", INDEX), conf(tmp_path / "user", f"{INDEX}/user"))
    assert host_mirrors(git(), {}, files).pip == f"{INDEX}/user"
    assert host_mirrors(git(), {"PIP_INDEX_URL": f"{INDEX}/env"}, files).pip == f"{INDEX}/env"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:3141/simple",
        "http://127.0.0.1:3141/simple",
        "http://[::1]/simple",
        "no url",
        "https://user:word@pypi.example.org/simple",
        "https://token@pypi.example.org/simple",
        "https://pypi.example.org/simple?token=x",
    ],
)
def test_an_index_that_a_node_can_not_or_must_not_have_is_kept_from_it(url: str) -> None:
    assert host_mirrors(git(), {"PIP_INDEX_URL": url}, ()).pip == ""


@pytest.mark.parametrize("content", [b"no section\n", b"\xff\xfe\x00", b"[global\n"])
def test_a_file_that_pip_would_refuse_is_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pip.conf").write_bytes(content)
    assert host_mirrors(git(), {}, (tmp_path / "pip.conf",)).pip == ""


def test_what_git_fetches_instead_is_taken_over() -> None:
    runner = git("url.https://git.example.org/opendev/.insteadof https://opendev.org/")
    found = host_mirrors(runner, {}, ()).git
    assert found == (("https://git.example.org/opendev/", "https://opendev.org/"),)


@pytest.mark.parametrize(
    "mirror",
    ["file:///srv/git/", "/srv/git/", "http://localhost/", "https://token@git.example.org/"],
)
def test_a_mirror_of_git_that_a_node_can_not_or_must_not_have_is_kept_from_it(mirror: str) -> None:
    assert host_mirrors(git(f"url.{mirror}.insteadof https://opendev.org/"), {}, ()).git == ()


def test_a_host_without_git_or_without_settings_has_none() -> None:
    assert host_mirrors(git(code=1), {}, ()).git == ()
    assert host_mirrors(FakeRunner().on("git", answer=ToolNotFound("git")), {}, ()).git == ()


PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def test_nodes_trust_whom_the_host_trusts_beside_its_distribution(tmp_path: Path) -> None:
    (tmp_path / "our company.crt").write_text(PEM)
    found = host_mirrors(git(), {}, (), (tmp_path, tmp_path / "none")).authorities
    assert found == (("our-company", PEM),)


@pytest.mark.parametrize(
    "text", ["", "nothing", PEM + "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_is_not_only_certificates_stays_on_the_host(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.crt").write_text(text)
    assert host_mirrors(git(), {}, (), (tmp_path,)).authorities == ()
