"""The real fping on loopback, and the node's script in a real sh with stand-ins."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from stacklab.checks.family import Facts
from stacklab.checks.pairs import family as pairs
from stacklab.checks.result import CheckKind, CheckStatus, Reason
from stacklab.model.lab import Lab
from stacklab.nodes import protocol
from stacklab.tools.network import fping
from tests.contract.pair_scripts import (
    MARK,
    OLD_FPING,
    of_controller,
    only,
    run,
    run_script,
    script,
    write_programs,
)
from tests.unit.checks.fake_lab import make_lab

pytestmark = pytest.mark.skipif(shutil.which("fping") is None, reason="fping is not installed")

FAKE_SSH = """\
#!/bin/sh
cat >&2 # whoever leaves the script's stdin to ssh loses the rest of the script here
sleep 0.3 # so that an end that does not wait comes too early
case "$*" in
*compute2*) echo "@ WARNING * @" >&2; echo "Host key verification failed." >&2; exit 255 ;;
*compute1*) echo reached 127.1.0.11 40000 127.1.0.12 22 ;;
esac
"""
FAKE_SCAN = """\
#!/bin/sh
cat >&2
for word; do
  case $word in
  127.*.12) echo "# $word:22 SSH-2.0-x" >&2; echo "$word ssh-ed25519 AAAAcompute1" ;;
  esac
done
exit 1
"""
NO_PROGRAM = "#!/bin/sh\nexit 127\n"


def test_fping_answers_for_loopback_as_we_read_it() -> None:
    done = run(fping.shell_line(["127.0.0.1", "127.0.0.2"]))
    pings = fping.parse(done.stderr)
    assert done.returncode == 0
    assert {target: ping.received for target, ping in pings.items()} == {
        "127.0.0.1": 3,
        "127.0.0.2": 3,
    }
    assert all(ping.worst_ms is not None and ping.worst_ms < 2000 for ping in pings.values())


def test_fping_reports_an_address_that_nobody_has_as_lost() -> None:
    done = run(fping.shell_line(["127.0.0.1", "240.0.0.1"]))
    assert done.returncode == 1
    assert fping.parse(done.stderr)["240.0.0.1"].received == 0


def test_fping_leaves_out_a_name_that_does_not_resolve() -> None:
    done = run(fping.shell_line(["127.0.0.1", "nosuch.invalid"]))
    assert done.returncode == 2
    assert set(fping.parse(done.stderr)) == {"127.0.0.1"}


def test_fping_is_done_when_it_said_to_be() -> None:
    took_s = []
    while len(took_s) < 5 and min(took_s, default=math.inf) >= fping.longest_s(1) + 0.5:
        started = time.monotonic()
        run(fping.shell_line(["240.0.0.1"]))
        took_s.append(time.monotonic() - started)
    # The least of a few: a busy machine starts programs late.
    assert min(took_s) < fping.longest_s(1) + 0.5


def loopback_lab(mtu: int = 65536) -> Lab:
    """Nodes with addresses that answer here: 127.1.0.11 to .13."""
    return make_lab(cidrs=("127.1.0.0/24", "127.2.0.0/24"), mtu=mtu)


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_real_shell_runs_the_script_to_its_end(tmp_path: Path, shell: str) -> None:
    lab = loopback_lab()
    started = time.monotonic()
    env = write_programs(tmp_path / "bin", {"ssh": FAKE_SSH, "ssh-keyscan": FAKE_SCAN})
    found = run_script(of_controller(lab), lab, env, shell=[shell])
    assert time.monotonic() - started < 15
    assert all(each.is_passed for (kind, *_), each in found.items() if kind is CheckKind.PING)
    assert found[CheckKind.SSH, "compute1", "net0"].is_passed
    assert found[CheckKind.SSH, "compute2", "net0"].reason is Reason.HOST_KEY
    assert (
        found[CheckKind.SSH, "compute2", "net0"].output
        == "@ WARNING * @ Host key verification failed."
    )
    for network in ("net0", "net1"):
        assert found[CheckKind.PORT, "compute1", network].is_passed, found[
            CheckKind.PORT, "compute1", network
        ]
        assert found[CheckKind.PORT, "compute2", network].reason is Reason.REFUSED
        source = found[CheckKind.SOURCE, "compute1", network]
        assert source.detail.startswith("would leave by lo from 127.")


def test_a_script_cut_on_its_way_runs_nothing(tmp_path: Path) -> None:
    lab = loopback_lab()
    text = script(of_controller(lab), lab)
    done = subprocess.run(
        ["sh", "-s"],
        input=text[: text.index("reach compute2 ")],
        env=write_programs(tmp_path / "bin", {"ssh": FAKE_SSH}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    results = pairs.judge(lab, of_controller(lab), protocol.read(done.stdout, MARK), Facts())
    assert {result.status for result in results} == {CheckStatus.ERROR}


def hosts_file(text: str) -> str:
    """A getent that knows these lines alone, by the real one's words."""
    return f"""\
#!/bin/sh
database=$1; shift
for key; do
  case $database:$key in
  ahostsv4:0.0.*) echo "$key STREAM $key"; echo "$key DGRAM" ;;
  {text}
  *) bad=2 ;;
  esac
done
exit ${{bad:-0}}
"""


def test_names_are_told_apart_though_getent_leaves_out_what_it_does_not_know(
    tmp_path: Path,
) -> None:
    lab = loopback_lab()
    known = (
        'ahostsv4:compute2) echo "127.1.0.13 STREAM other" ;;'
        ' hosts:127.1.0.13) echo "$key compute2" ;;'
    )
    env = write_programs(tmp_path / "bin", {"getent": hosts_file(known)})
    found = run_script(only(lab, CheckKind.NAME), lab, env)
    assert found[CheckKind.NAME, "compute1", "net0"].reason is Reason.NAME_UNKNOWN
    assert found[CheckKind.NAME, "compute2", "net0"].is_passed


def test_the_real_getent_takes_marks_for_addresses_and_answers_in_order() -> None:
    done = run("getent ahostsv4 0.0.0.1 localhost 0.0.1.2 nosuch.invalid 0.0.0.3")
    firsts = [each.split() for each in done.stdout.splitlines() if "STREAM" in each]
    assert [words[0] for words in firsts] == ["0.0.0.1", "127.0.0.1", "0.0.1.2", "0.0.0.3"]
    assert done.returncode == 2


def test_a_missing_getent_and_a_missing_scan_are_told(tmp_path: Path) -> None:
    lab = loopback_lab()
    env = write_programs(
        tmp_path / "bin", {"getent": NO_PROGRAM, "ssh-keyscan": NO_PROGRAM, "ip": NO_PROGRAM}
    )
    found = run_script(only(lab, CheckKind.NAME, CheckKind.PORT, CheckKind.SOURCE), lab, env)
    assert {each.reason for each in found.values()} == {Reason.PROGRAM_MISSING}
    assert {each.about for each in found.values()} == {"getent", "ssh-keyscan", "ip"}


def test_a_missing_ssh_is_told_and_the_port_is_proved_by_its_key(tmp_path: Path) -> None:
    lab = loopback_lab()
    env = write_programs(tmp_path / "bin", {"ssh": NO_PROGRAM, "ssh-keyscan": FAKE_SCAN})
    found = run_script(only(lab, CheckKind.SSH, CheckKind.PORT), lab, env)
    missing = found[CheckKind.SSH, "compute1", "net0"]
    assert (missing.reason, missing.about) == (Reason.PROGRAM_MISSING, "ssh")
    assert found[CheckKind.PORT, "compute1", "net0"].is_passed


SLOW_SSH = """\
#!/bin/sh
echo $$ >>PIDS
exec sleep 60
"""


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_peer_that_answers_no_ping_any_more_is_not_waited_for(tmp_path: Path, shell: str) -> None:
    lab = make_lab(cidrs=("240.0.0.0/24",), nodes=("controller", "compute1"))
    slow = SLOW_SSH.replace("PIDS", f"{tmp_path}/pids")
    env = write_programs(tmp_path / "bin", {"ssh": slow, "ssh-keyscan": slow})
    started = time.monotonic()
    found = run_script(only(lab, CheckKind.SSH, CheckKind.PORT), lab, env, shell=[shell])
    assert 3 < time.monotonic() - started < 50, "ssh itself would have taken 60 s"
    assert {each.reason for each in found.values()} == {Reason.TIMED_OUT}
    for pid in (tmp_path / "pids").read_text().split():
        assert not Path(f"/proc/{pid}").exists()


def test_a_peer_that_is_slow_and_answers_pings_is_waited_for(tmp_path: Path) -> None:
    lab = loopback_lab()
    slow = FAKE_SSH.replace("sleep 0.3", "sleep 6")
    env = write_programs(tmp_path / "bin", {"ssh": slow, "ssh-keyscan": FAKE_SCAN})
    found = run_script([c for c in only(lab, CheckKind.SSH) if c.target == "compute1"], lab, env)
    assert found[CheckKind.SSH, "compute1", "net0"].is_passed


def test_a_missing_fping_leaves_the_rest_of_the_layer(tmp_path: Path) -> None:
    lab = loopback_lab()
    env = write_programs(tmp_path / "bin", {"fping": NO_PROGRAM, "ssh": FAKE_SSH})
    found = run_script(only(lab, CheckKind.PING, CheckKind.MTU, CheckKind.SSH), lab, env)
    pings = [each for (kind, *_), each in found.items() if kind is not CheckKind.SSH]
    assert {(each.reason, each.about) for each in pings} == {(Reason.PROGRAM_MISSING, "fping")}
    assert found[CheckKind.SSH, "compute1", "net0"].is_passed


class FakeServer(threading.Thread):
    """Takes connections, and says nothing."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.socket = socket.create_server((address, 22))
        self.taken: list[socket.socket] = []

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.taken.append(self.socket.accept()[0])

    def stop(self) -> None:
        """Close all; shutdown wakes accept."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.join()
        for each in (self.socket, *self.taken):
            each.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="port 22 is root's")
def test_a_port_without_an_sshd_is_told() -> None:
    lab = loopback_lab()
    checks = [c for c in only(lab, CheckKind.PORT) if c.address == "127.1.0.12"]
    server = FakeServer("127.1.0.12")
    server.start()
    try:
        found = run_script(checks, lab, dict(os.environ))
    finally:
        server.stop()
    assert {each.reason for each in found.values()} == {Reason.NOT_SSHD}


@pytest.mark.parametrize(
    ("said", "code", "told"),
    [
        ("64 bytes from 10.0.0.1: icmp_seq=1", 0, "10.0.0.1 is alive"),
        ("1 packets transmitted, 0 received, 100% packet loss", 1, "10.0.0.1 is unreachable"),
        (
            "ping: local error: Message too long, mtu=1500\n"
            "1 packets transmitted, 0 received, +1 errors",
            1,
            "10.0.0.1: error while sending ping: Message too long",
        ),
        (
            "From 10.0.0.9 icmp_seq=1 Frag needed and DF set (mtu = 1500)\n"
            "1 packets transmitted, 0 received",
            1,
            "10.0.0.1: error while sending ping: Message too long",
        ),
        (
            "ping: sendmsg: Operation not permitted\n1 packets transmitted, 0 received",
            1,
            "10.0.0.1: error while sending ping: "
            "ping: sendmsg: Operation not permitted 1 packets transmitted, 0 received ended 1",
        ),
        (
            "ping: unrecognized option: M",
            1,
            "10.0.0.1: error while sending ping: ping: unrecognized option: M ended 1",
        ),
    ],
)
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_ping_s_own_words_become_those_of_fping(
    shell: str, said: str, code: int, told: str, tmp_path: Path
) -> None:
    """Of an fping that has no -M."""
    ping = f"#!/bin/sh\nprintf '%s\\n' '{said}' >&2\nexit {code}\n"
    env = write_programs(tmp_path / "bin", {"fping": OLD_FPING, "ping": ping})
    line = fping.over_function("over") + 'over 1501 10.0.0.1; printf "%s\\n" "$out"'
    done = subprocess.run(
        [shell, "-c", line], env=env, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == f"{told}\n"
