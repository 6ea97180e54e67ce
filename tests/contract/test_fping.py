"""The real fping on loopback, and the node's script in a real sh with a stand-in for ssh."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from stacklab.checks import script
from stacklab.checks.result import CheckKind, CheckResult, CheckStatus
from stacklab.model import Lab
from stacklab.tools import fping
from tests.unit.checks.fake_lab import make_lab

pytestmark = pytest.mark.skipif(shutil.which("fping") is None, reason="fping is not installed")

MARK = "stacklab-contract"
FAKE_SSH = """\
#!/bin/sh
cat >&2 # whoever leaves the script's stdin to ssh loses the rest of the script here
sleep 0.3 # so that an end that does not wait comes too early
case "$*" in
*compute2*) echo "@ WARNING * @" >&2; echo "Host key verification failed." >&2; exit 255 ;;
esac
"""


def run(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30, check=False)


def test_fping_answers_for_loopback_as_we_read_it() -> None:
    done = run(fping.shell_line(["127.0.0.1", "127.0.0.2"]))
    pings = fping.parse(done.stderr)
    assert done.returncode == 0
    assert {target: ping.received for target, ping in pings.items()} == {"127.0.0.1": 3, "127.0.0.2": 3}
    assert all(ping.worst_ms is not None and ping.worst_ms < 2000 for ping in pings.values())


def test_fping_reports_an_address_that_nobody_has_as_lost() -> None:
    done = run(fping.shell_line(["127.0.0.1", "240.0.0.1"]))
    assert done.returncode == 1
    assert fping.parse(done.stderr)["240.0.0.1"].received == 0


def test_fping_leaves_out_a_name_that_does_not_resolve() -> None:
    done = run(fping.shell_line(["127.0.0.1", "nosuch.invalid"]))
    assert done.returncode == 2
    assert set(fping.parse(done.stderr)) == {"127.0.0.1"}


def loopback_lab() -> Lab:
    """Nodes with addresses that answer here: 127.1.0.11 to .13."""
    return make_lab(cidrs=("127.1.0.0/24", "127.2.0.0/24"))


def fake_programs(directory: Path) -> dict[str, str]:
    """A PATH whose ssh and getent stand in for the node's."""
    directory.mkdir()
    getent = "\n".join(
        f"[ $2 = {node.name} ] && echo '{node.access.address.ip} STREAM {node.name}' && exit 0"
        for node in loopback_lab().nodes
        if node.name != "compute2"
    )
    for name, text in (("ssh", FAKE_SSH), ("getent", f"#!/bin/sh\n{getent}\nexit 2\n")):
        (directory / name).write_text(text, encoding="utf-8")
        (directory / name).chmod(0o755)
    return {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_real_shell_runs_the_script_to_its_end(tmp_path: Path, shell: str) -> None:
    checks = [check for check in script.expected(loopback_lab()) if check.node == "controller"]
    started = time.monotonic()
    done = subprocess.run(
        [shell, "-s"],
        input=script.render(checks, MARK),
        env=fake_programs(tmp_path / "bin"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - started < 10
    answer = script.read(done.stdout, MARK)
    assert answer.is_begun
    assert answer.is_complete
    assert done.stdout.endswith(f"\n{MARK} end\n")
    found = script.judge(checks, answer)
    by_key = {(each.kind, each.target): each for each in found}
    assert all(each.is_passed for each in found if each.kind is CheckKind.PING)
    assert by_key[CheckKind.NAME, "compute1"].is_passed
    assert by_key[CheckKind.NAME, "compute2"].detail == "compute2 is not known on controller"
    assert by_key[CheckKind.SSH, "compute1"].is_passed
    assert by_key[CheckKind.SSH, "compute2"].detail == "HOST KEY MISMATCH"
    assert by_key[CheckKind.SSH, "compute2"].output == "@ WARNING * @ Host key verification failed."
    own = by_key[CheckKind.HOSTNAME, "controller"]
    assert own.output == Path("/proc/sys/kernel/hostname").read_text(encoding="ascii").strip()


def test_a_script_cut_on_its_way_runs_nothing(tmp_path: Path) -> None:
    checks = [check for check in script.expected(loopback_lab()) if check.node == "controller"]
    text = script.render(checks, MARK)
    done = subprocess.run(
        ["sh", "-s"],
        input=text[: text.index("reach compute2")],
        env=fake_programs(tmp_path / "bin"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    results: tuple[CheckResult, ...] = script.judge(checks, script.read(done.stdout, MARK))
    assert {result.status for result in results} == {CheckStatus.ERROR}
