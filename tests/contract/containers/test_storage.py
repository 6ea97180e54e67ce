"""Where a lab's directory may be: odd names, and file systems of all sorts; tried for real."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT
from tests.contract.containers.tiny_node import NEEDS, WAITS, TinyNode

pytestmark = list(NEEDS)

TRIAL = PROJECT / "stacklab" / "providers" / "containers" / "try_storage.sh"
ODD = ("a b", "a:b", "a,b=c", "a\\b", "it's", "-x", "a*$b", "%s", "\\,:\\")
KINDS = pytest.mark.parametrize("kind", ["yes", "no"])


def try_in(directory: Path, kind: str, *before: str) -> subprocess.CompletedProcess[str]:
    argv = (*before, "sh", str(TRIAL), str(directory), kind, sys.executable)
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)


@pytest.mark.parametrize("is_privileged", [True, False])
@pytest.mark.parametrize("name", ODD)
def test_a_node_boots_in_a_directory_with_an_odd_name(
    tmp_path: Path, name: str, is_privileged: bool
) -> None:
    home = tmp_path / name
    home.mkdir()
    node = TinyNode.make(home, WAITS, is_privileged=is_privileged)
    try:
        node.start()
        assert node.wait_for_tries() == {"end": "yes"}
    finally:
        node.remove()
    assert sorted(path.name for path in home.iterdir()) == ["labs", "root", "stacklab-tiny.img"]


@KINDS
@pytest.mark.parametrize("name", ["plain", *ODD])
def test_the_trial_holds_there_too_and_leaves_nothing(tmp_path: Path, kind: str, name: str) -> None:
    home = tmp_path / name
    home.mkdir()
    assert (try_in(home, kind).stderr, list(home.iterdir())) == ("", [])


@KINDS
def test_the_trial_holds_from_a_checkout_that_is_closed_to_others(
    tmp_path: Path, kind: str
) -> None:
    """A node's root that is not privileged can't read what is in there."""
    checkout = tmp_path / "checkout"
    shutil.copytree(TRIAL.parent, checkout, ignore=shutil.ignore_patterns("__pycache__"))
    checkout.chmod(0o700)
    home = tmp_path / "home"
    home.mkdir()
    argv = ("sh", str(checkout / TRIAL.name), str(home), kind, sys.executable)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")


@KINDS
def test_an_overlay_under_an_overlay_is_what_the_trial_refuses(tmp_path: Path, kind: str) -> None:
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    merged = tmp_path / "merged"
    options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    under = f'mount -t overlay x -o "{options}" "{merged}" && "$@"'
    done = try_in(merged, kind, "unshare", "--mount", "sh", "-c", under, "sh")
    assert done.returncode != 0
    assert done.stderr != ""
    assert list((tmp_path / "upper").iterdir()) == []


@KINDS
def test_a_directory_that_is_not_there_yet_is_not_tried(tmp_path: Path, kind: str) -> None:
    assert try_in(tmp_path / "volumes", kind).returncode == 0
