"""The shell by which a node tries a source, by real shells and programs of this machine."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.installers.kit.sources import SourceKind
from stacklab.workflow.stack import source_scripts
from stacklab.workflow.stack.source_scripts import NO_REF, SourceTrial

# What base images have; neither git nor curl.
PLAIN = ("bash", "cat", "grep", "head", "mktemp", "rm", "sed", "sh", "tr", "timeout")


def trial(
    url: str, *, kind: SourceKind = SourceKind.GIT, place: str = "", ref: str = ""
) -> SourceTrial:
    return SourceTrial(kind=kind, url=url, place=place, ref=ref, is_base=False, proxy={})


def tried(one: SourceTrial, path: Path | None = None) -> tuple[int, str]:
    """Run a trial as a part of a session does; `path` has the programs that the node has."""
    environment = {"PATH": str(path) if path else os.environ["PATH"], "LC_ALL": "C"}
    done = subprocess.run(
        ("/bin/sh",),
        input=f"part() {{\n{source_scripts.render(one)}\n}}\npart 2>&1; echo code $?\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )
    text, _, code = done.stdout.rpartition("code ")
    assert done.stderr == ""
    return int(code), text


def with_programs(directory: Path, *names: str) -> Path:
    directory.mkdir()
    for name in (*PLAIN, *names):
        program = shutil.which(name)
        assert program is not None, name
        (directory / name).symlink_to(program)
    return directory


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    made = tmp_path / "served" / "repo"
    for words in (
        ("init", "-q", "-b", "stable/2026.1", str(made)),
        ("-C", str(made), "commit", "-q", "--allow-empty", "-m", "first"),
        ("-C", str(made), "tag", "-a", "-m", "tag", "kilo-eol"),
        ("-C", str(made), "update-ref", "refs/changes/45/12345/6", "HEAD"),
        ("-C", str(made), "update-server-info"),
    ):
        settings = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(("git", *settings, *words), check=True)
    return made


@pytest.fixture
def port(repository: Path) -> Iterator[int]:
    """Serve what is beside the repository, by HTTP, to whoever knows no git."""
    shutil.copytree(repository / ".git" / "info", repository / "info")
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(repository.parent)
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


REFS = pytest.mark.parametrize(
    ("ref", "code"),
    [
        ("", 0),
        ("stable/2026.1", 0),
        ("kilo-eol", 0),
        ("refs/changes/45/12345/6", 0),
        ("2026.1", NO_REF),
        ("stable/2099.1", NO_REF),
        ("refs/changes/45/12345/7", NO_REF),
        ("0123456789012345678901234567890123456789", 0),  # a commit is in no list
    ],
)


@REFS
def test_git_looks_for_the_ref_too(repository: Path, ref: str, code: int) -> None:
    assert tried(trial(f"file://{repository}", ref=ref)) == (code, "by git ls-remote\n")


@REFS
def test_without_git_curl_reads_the_list_of_refs(
    repository: Path, port: int, tmp_path: Path, ref: str, code: int
) -> None:
    path = with_programs(tmp_path / "bin", "curl")
    found = tried(trial(f"http://127.0.0.1:{port}/repo", ref=ref), path)
    assert found == (code, "by curl\n")


def test_a_repository_that_is_not_there_is_told_in_the_program_s_words(
    port: int, tmp_path: Path
) -> None:
    code, text = tried(trial(f"file://{tmp_path}/nothing"))
    assert code == 1
    assert "does not appear to be a git repository" in text
    path = with_programs(tmp_path / "bin", "curl")
    code, text = tried(trial(f"http://127.0.0.1:{port}/nothing"), path)
    assert code == 1
    assert "404" in text


def test_without_any_program_a_connection_will_do(port: int, tmp_path: Path) -> None:
    path = with_programs(tmp_path / "bin")
    place = f"127.0.0.1:{port}"
    one = trial(f"git://{place}/repo", place=place)
    assert tried(one, path) == (0, f"by a connection to {place}\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        code, text = tried(trial(f"git://{place}/repo", place=place), path)
    assert code == 1
    assert text.splitlines()[1:] == ["Connection refused"]


@pytest.mark.parametrize("kind", [SourceKind.FILE, SourceKind.PIP, SourceKind.REGISTRY])
def test_files_indexes_and_registries_are_asked_for(
    repository: Path, port: int, tmp_path: Path, kind: SourceKind
) -> None:
    (repository / "pip").mkdir()
    url = f"http://127.0.0.1:{port}/repo/"
    assert tried(trial(url, kind=kind)) == (0, "by curl\n")
    code, _ = tried(trial(f"{url}nothing/", kind=kind))
    # A registry may refuse, as long as it answers.
    assert (code == 0) is (kind is SourceKind.REGISTRY)


def test_a_name_of_shell_stays_a_name(tmp_path: Path) -> None:
    bad = f"file://{tmp_path}/$(touch {tmp_path}/made)'\"; touch {tmp_path}/made"
    code, _ = tried(trial(bad, ref="'; touch made"))
    assert code == 1
    assert not (tmp_path / "made").exists()


@pytest.mark.skipif(not Path("/usr/lib/apt/apt-helper").exists(), reason="no APT")
@pytest.mark.parametrize(
    ("answers", "code", "text"),
    [
        (("exit 100", "exit 0"), 0, "by APT's downloader\n"),
        (
            ("echo 'E: Failed to fetch http://a/x  No route'; exit 100",) * 2,
            1,
            "by APT's downloader\nNo route\nNo route\n",
        ),
    ],
)
def test_one_list_of_packages_is_enough(
    tmp_path: Path, answers: tuple[str, ...], code: int, text: str
) -> None:
    path = with_programs(tmp_path / "bin")
    lists = "".join(f"'http://a/{number}/InRelease' x 0\n" for number in range(len(answers)))
    (path / "apt-get").write_text(f"#!/bin/sh\ncat <<'E'\n{lists}E\n")
    helper = tmp_path / "helper"
    cases = "".join(f"  *a/{number}/*) {answer} ;;\n" for number, answer in enumerate(answers))
    helper.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}esac\n')
    for program in (path / "apt-get", helper):
        program.chmod(0o755)
    script = source_scripts.render(trial("", kind=SourceKind.PACKAGES))
    script = script.replace("/usr/lib/apt/apt-helper", str(helper))
    done = subprocess.run(
        ("/bin/sh", "-c", script),
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(path)},
    )
    assert (done.returncode, done.stdout) == (code, text)
