"""A project's source in place of its package's code, on a real cloud, and OpenStack's own tests."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests.live.labs import CLOUD
from tests.live.typed import Run, Stacklab, flat, wait_until

pytestmark = pytest.mark.live

MARK = "stacklab-was-here"
BACK_S = "240"
SAVED_WITHIN_S = 120  # 2 on a machine with nothing else to do


def git(tree: Path, *words: str) -> None:
    names = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(("git", *names, "-C", str(tree), *words), check=True, capture_output=True)


@pytest.fixture(scope="module")
def glance(
    stacklab: Stacklab, cloud: Run, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A clone of glance as a user has one: made of what its package has."""
    fetched = Path(stacklab.ok("debug.sources", CLOUD, "glance").out.strip())
    tree = tmp_path_factory.mktemp("clone") / "glance"
    tree.mkdir()
    (package,) = [path.parent for path in fetched.rglob("glance/__init__.py")]
    subprocess.run(("cp", "-r", str(package), str(tree / "glance")), check=True)
    (tree / ".gitreview").write_text("[gerrit]\ndefaultbranch=unmaintained/zed\n")
    git(tree, "init", "-q")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "as the package has it")
    yield tree
    stacklab.ok("dev.revert", CLOUD)


def mark(tree: Path, word: str) -> None:
    """Have glance's list of versions say a word; the file is written once."""
    name = "glance/api/versions.py"
    shown = subprocess.run(
        ("git", "-C", str(tree), "show", f"HEAD:{name}"), check=True, capture_output=True, text=True
    )
    line = "response.body = jsonutils.dump_as_bytes(dict(versions=version_objs))"
    before, found, after = shown.stdout.partition(line)
    assert found
    indent = before.rsplit("\n", 1)[1]
    text = f"{before}version_objs[0]['{MARK}'] = '{word}'\n{indent}{line}{after}"
    (tree / name).write_text(text)


def said(stacklab: Stacklab) -> str:
    """What glance's list of versions says."""
    ask = "curl -s -m 20 http://192.168.170.10:9292/versions || true"
    return stacklab.on(CLOUD, "controller", ask)


def codes(stacklab: Stacklab) -> dict[str, dict[str, Any]]:
    rows = json.loads(stacklab.ok("dev.status", CLOUD, "--json").out)
    return {row["service"]: row for row in rows}


def test_a_source_runs_in_place_of_the_package(stacklab: Stacklab, glance: Path) -> None:
    assert MARK not in said(stacklab)
    mark(glance, "first")
    run = stacklab.ok("dev.checkout", CLOUD, "glance", "--from", str(glance))
    assert "glance on controller runs it" in run.out
    stacklab.check(CLOUD, "--layer", "services", "--wait", BACK_S)
    wait_until(lambda: '"first"' in said(stacklab), "the changed code", 60, pause_s=1)
    found = codes(stacklab)
    assert found["glance"]["path"].startswith("/opt/stacklab-source/glance/")
    assert found["glance"]["commit"]
    assert found["keystone"]["commit"] == ""
    stacklab.ok("lab.cloud", CLOUD, "--", "image", "list")


def read_until(stream: IO[str] | None, words: str) -> str:
    """Read what a command prints until a line that says this."""
    assert stream is not None
    for line in stream:
        if words in line:
            return line
    raise AssertionError(f"the command ended without {words!r}")


def test_a_saved_file_is_there_at_once(stacklab: Stacklab, glance: Path) -> None:
    watching = stacklab.start("dev.sync", CLOUD, "glance", "--watch")
    try:
        read_until(watching.stderr, f"watching {glance}")
        mark(glance, "second")
        saved_at = time.time()
        wait_until(lambda: '"second"' in said(stacklab), "the saved code", SAVED_WITHIN_S)
        # The unit's own time is in whole seconds.
        began = stacklab.on(
            CLOUD,
            "controller",
            'date +%s -d "$(systemctl show --value -p InactiveExitTimestamp stacklab-glance)"',
        )
        print(f"the service was started {float(began) - saved_at:.0f} s after the file was saved")
        line = read_until(watching.stdout, "restarted")
        assert line.startswith("controller: glance/api/versions.py; restarted glance in ")
    finally:
        watching.kill()
        watching.communicate()


def test_what_is_wrong_is_said_before_anything_is_copied(
    stacklab: Stacklab, glance: Path, tmp_path: Path
) -> None:
    for words, text in (
        (("glanc", "--from", str(glance)), "did you mean glance?"),
        (("nova", "--from", str(glance)), "is not a source tree of nova"),
        (("glance", "--from", str(tmp_path)), "is not a source tree of glance"),
        (("glance", "--from", str(glance), "--ref", "no-such"), "can't be fetched"),
        (("glance", "--from", str(glance), "--node", "compute1"), "runs no service of glance"),
    ):
        run = stacklab.run("dev.checkout", CLOUD, *words)
        assert run.code != 0
        assert text in flat(run.err), words
    git(glance, "checkout", "-q", "-b", "other")
    (glance / ".gitreview").write_text("[gerrit]\n")
    git(glance, "commit", "-qam", "for master")
    run = stacklab.run("dev.checkout", CLOUD, "glance", "--from", str(glance), "--ref", "other")
    assert "is for master (.gitreview), and openstack-3node runs zed" in flat(run.err)


def test_the_packages_code_is_back(stacklab: Stacklab, glance: Path) -> None:
    run = stacklab.ok("dev.revert", CLOUD, "glance")
    assert "glance on controller imports /usr/lib/python3/dist-packages/glance" in run.out
    stacklab.check(CLOUD, "--layer", "services", "--wait", BACK_S)
    wait_until(lambda: "CURRENT" in said(stacklab), "glance again", 60, pause_s=1)
    assert MARK not in said(stacklab)
    left = stacklab.on(CLOUD, "controller", "ls /opt/stacklab-source /etc/systemd/system")
    assert "glance.service.d" not in left


def test_openstacks_own_tests_run_and_none_is_a_failure(
    stacklab: Stacklab, cloud: Run, tmp_path: Path
) -> None:
    junit = tmp_path / "tempest.xml"
    module = "tempest.api.identity.v3.test_tokens"
    run = stacklab.ok("cloud.tempest", CLOUD, module, "--junit", str(junit))
    assert "3 tests: 3 success" in run.out
    assert 'tests="3" failures="0"' in junit.read_text()
    run = stacklab.run("cloud.tempest", CLOUD, "tempest.api.no_such")
    assert run.code == 6
    assert "no test has run" in run.err
