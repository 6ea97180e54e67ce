"""What lab.check says of a real lab that breaks, and that it takes no broken one for whole.

All on one contrail-3node, which each test leaves as it found it: the next files use it, too.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tarfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.live.conftest import HOME, LAB, NODES, PASSED, Run, Stacklab, left_of, processes

pytestmark = pytest.mark.live

WAN = "wan-2node"
DIRECTORY = HOME / "labs" / LAB
LIBVIRTD_PID = Path("/run/libvirtd.pid")


def domain(what: str, node: str) -> None:
    """Do something to a node of ours behind stacklab's back."""
    argv = ("virsh", "-c", "qemu:///system", what, f"{LAB}_{node}")
    subprocess.run(argv, check=True, capture_output=True, timeout=30)


def wait_until(is_so: Callable[[], object], what: str, limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, f"not {what} after {limit_s:.0f} s"
        time.sleep(0.05)


def check_with(stacklab: Stacklab, mishap: Callable[[], object], node: str, *words: str) -> Run:
    """A lab.check in whose middle something happens: while that node is asked."""
    command = ("lab.check", LAB, *words)
    started = time.monotonic()
    process = stacklab.start(*command)
    try:
        wait_until(
            lambda: processes(f"{DIRECTORY}/ssh_config -T -- {node} sh -s"), f"asking {node}"
        )
        time.sleep(0.5)
        mishap()
    except BaseException:
        process.kill()
        raise
    return stacklab.end_of(process, command, started)


@contextmanager
def back_door(node: str, where: Path) -> Iterator[Callable[[str], str]]:
    """A connection of the test's own: it stays when sshd takes no new ones."""
    ssh = ("ssh", "-F", str(DIRECTORY / "ssh_config"), "-o", f"ControlPath={where}/back-door")
    subprocess.run(
        (*ssh, "-fN", node),
        check=True,
        timeout=30,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def run(line: str) -> str:
        return subprocess.run(
            (*ssh, node, line), check=True, capture_output=True, text=True, timeout=30
        ).stdout

    try:
        yield run
    finally:
        subprocess.run((*ssh, "-O", "exit", node), check=False, capture_output=True, timeout=30)


def flat(text: str) -> str:
    """What was printed, without its line breaks and indents."""
    return " ".join(text.split())


# --- first the lab is whole


def test_a_whole_lab_passes_quickly_with_its_connections_shared_or_not(
    stacklab: Stacklab, lab: Run
) -> None:
    stacklab.close_connections(LAB, NODES)
    cold, warm = stacklab.check(LAB), stacklab.check(LAB)
    # Told, not asserted: this host may have other work.
    print(
        f"lab.check {LAB}: {cold.elapsed_s:.1f} s cold (wanted: 20), {warm.elapsed_s:.1f} s warm (wanted: 10)"
    )
    for layer in ("nodes", "pairs", "isolation", "outside"):
        assert re.search(rf"^{layer} +(\d+) of \1 passed", warm.out, re.MULTILINE), layer


class Whole(HTMLParser):
    """Reads a page; what it asks the network for, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.text = ""
        self.ended: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.asked += [
            str(v)
            for k, v in attrs
            if k in ("src", "href") and not str(v).startswith(("#", "data:"))
        ]

    def handle_endtag(self, tag: str) -> None:
        self.ended.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_what_is_asked_for_is_tried_and_nothing_else(
    stacklab: Stacklab, lab: Run, tmp_path: Path
) -> None:
    def tried(*words: str) -> list[dict[str, str]]:
        path = tmp_path / "c.json"
        stacklab.check(LAB, "--json", str(path), *words)
        found: list[dict[str, str]] = json.loads(path.read_text())["checks"]
        return found

    assert {each["layer"] for each in tried("--layer", "isolation,nodes")} == {"isolation", "nodes"}
    both = [
        e
        for e in tried("--layer", "pairs", "--network", "fabric", "--node", "compute1")
        if e["layer"] == "pairs"
    ]
    assert {each["network"] for each in both} == {"fabric"}
    assert all("compute1" in (each["node"], each["target"]) for each in both)
    assert {"compute1 -> controller", "controller -> compute1"} <= {
        f"{e['node']} -> {e['target']}" for e in both
    }
    wrong = stacklab.run("lab.check", LAB, "--node", "compute9")
    assert wrong.code == 1
    assert "compute1" in wrong.err


def test_the_page_and_the_junit_file_are_whole(
    stacklab: Stacklab, lab: Run, tmp_path: Path
) -> None:
    page, junit = tmp_path / "c.html", tmp_path / "c.xml"
    stacklab.check(LAB, "--html", str(page), "--junit", str(junit))
    read = Whole()
    read.feed(page.read_text())
    read.close()
    assert read.ended[-1] == "html"
    assert read.asked == []
    for word in (*NODES, "192.168.150.10", "10.150.0.11", "fabric"):
        assert word in read.text, word
    (total,) = {int(each.get("tests", "0")) for each in [ET.parse(junit).getroot()]}
    assert total == len(list(ET.parse(junit).iter("testcase"))) > 100


def test_a_report_that_can_t_be_written_is_told_before_anything_is_tried(
    stacklab: Stacklab, lab: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    run = stacklab.run(
        "lab.check", LAB, "--json", f"{tmp_path}/file/c.json", "--html", str(tmp_path)
    )
    assert run.code == 1
    assert f"{tmp_path}/file/c.json" in run.err
    assert f"{tmp_path}: is a directory" in run.err
    assert "checks" not in run.err
    assert run.out == ""


def test_a_report_that_can_t_be_written_any_more_costs_no_result(
    stacklab: Stacklab, lab: Run, tmp_path: Path
) -> None:
    reports, other = tmp_path / "reports", tmp_path / "c.xml"
    reports.mkdir()

    def replace() -> None:
        reports.rmdir()
        reports.write_text("")

    run = check_with(
        stacklab, replace, "compute1", "--json", f"{reports}/c.json", "--junit", str(other)
    )
    assert run.code in (1, 7), "all passed, and yet not all is well"
    assert f"{reports}/c.json" in run.err
    assert "60 of 60 passed" in run.out
    assert len(list(ET.parse(other).iter("testcase"))) > 100


# --- then it breaks


def test_a_node_that_is_killed_while_it_is_checked(stacklab: Stacklab, lab: Run) -> None:
    run = check_with(stacklab, lambda: domain("destroy", "compute1"), "compute1")
    try:
        assert run.code == 5
        print(f"told {run.elapsed_s:.1f} s after the start of the check (wanted: 20)")
        assert "(try 2" not in run.err, "nobody waits for what is off"
        assert "cause compute1 is off (destroyed)" in flat(run.out)
        assert "because compute1 is off" in run.err
        assert "cause unknown" not in run.out, "between the others nothing is wrong"
    finally:
        assert "120 of 120 checks passed" in stacklab.ok("lab.up", LAB).out


def test_a_node_without_sshd(stacklab: Stacklab, lab: Run, tmp_path: Path) -> None:
    with back_door("compute2", tmp_path) as run:
        run("sudo systemctl stop ssh.socket; sudo systemctl stop ssh.service")
        try:
            stacklab.close_connections(LAB, ["compute2"])
            found = stacklab.run("lab.check", LAB, "--layer", "nodes,pairs", "--wait", "0")
        finally:
            run("sudo systemctl start ssh.service")
    assert found.code == 5
    assert re.search(r"cause +compute2 .*refuses TCP 22: sshd is not up", found.out)
    assert "cause unknown" not in found.out
    stacklab.check(LAB, "--layer", "nodes,pairs", "--wait", "20")


def test_a_node_whose_sshd_goes_while_its_connection_stays(stacklab: Stacklab, lab: Run) -> None:
    stacklab.check(
        LAB, "--layer", "nodes", "--node", "compute2"
    )  # there is a shared connection now
    stacklab.on(LAB, "compute2", "sudo systemctl stop ssh.socket; sudo systemctl stop ssh.service")
    try:
        found = stacklab.run(
            "lab.check", LAB, "--layer", "pairs", "--network", "fabric", "--wait", "0"
        )
    finally:
        stacklab.on(LAB, "compute2", "sudo systemctl start ssh.service")
    assert found.code == 5
    assert (
        "2 because sshd is not up on compute2: nothing listens on TCP 22 (port on fabric;"
        in found.err
    )


def test_a_node_without_fping(stacklab: Stacklab, lab: Run) -> None:
    stacklab.on(LAB, "compute1", "sudo mv /usr/bin/fping /usr/bin/fping.away")
    try:
        run = stacklab.run("lab.check", LAB, "--wait", "0")
    finally:
        stacklab.on(LAB, "compute1", "sudo mv /usr/bin/fping.away /usr/bin/fping")
    assert run.code == 6
    assert "fping is not installed on compute1" in flat(run.out)
    assert "controller eth1 -> compute1" not in run.out, "who has it can tell"


def test_a_node_whose_disk_is_full(stacklab: Stacklab, lab: Run) -> None:
    # More than there is: it takes all, what is kept for root among it.
    stacklab.on(
        LAB,
        "compute1",
        "sudo fallocate -l 48G /full 2>/dev/null || df --output=avail / | grep -qx ' *0'",
    )
    try:
        run = stacklab.run("lab.check", LAB, "--wait", "0")
    finally:
        stacklab.on(LAB, "compute1", "sudo rm /full")
    assert run.code == 5
    assert "failed compute1: root full: 0 B free" in flat(run.out)
    assert "1 of 120 checks did not pass" in run.err, (
        "a full disk keeps nothing else from being tried"
    )


def test_a_node_that_is_frozen(stacklab: Stacklab, lab: Run) -> None:
    run = check_with(
        stacklab, lambda: domain("suspend", "compute2"), "compute2", "--layer", "nodes,pairs"
    )
    try:
        print(f"told {run.elapsed_s:.1f} s after the start of the check (wanted: 20)")
        assert run.code == 5
        assert "because compute2 is paused (user)" in run.err
        assert "cause unknown" not in run.out
    finally:
        domain("resume", "compute2")
        up = stacklab.ok("lab.up", LAB)
    assert "120 of 120 checks passed" in up.out, "its clock is right again, too"


@pytest.fixture
def own_libvirtd() -> Iterator[Callable[[], None]]:
    """Ends libvirtd, by its very pid; it is there again in the end. Only one that ./invoke has started itself."""
    pid = int(LIBVIRTD_PID.read_text()) if LIBVIRTD_PID.exists() else 0
    line = Path(f"/proc/{pid}/cmdline").read_bytes() if pid else b""
    if line != b"libvirtd\0-d\0" or os.geteuid() != 0:
        pytest.skip("this host's libvirtd is its own, or another user's: it is not ours to end")

    def end() -> None:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "ended")

    yield end
    if not (Path(f"/proc/{pid}").exists() or is_up()):
        start_libvirtd()


def is_up() -> bool:
    argv = ("virsh", "-c", "qemu:///system", "uri")
    return subprocess.run(argv, capture_output=True, check=False, timeout=30).returncode == 0


def start_libvirtd() -> None:
    subprocess.run(("libvirtd", "-d"), check=True, capture_output=True, timeout=30)
    wait_until(is_up, "up")


def test_libvirtd_restarted_while_it_checks(
    stacklab: Stacklab, lab: Run, own_libvirtd: Callable[[], None]
) -> None:
    def restart() -> None:
        own_libvirtd()
        start_libvirtd()

    run = check_with(stacklab, restart, "compute1")
    assert run.code in PASSED
    assert stacklab.states(LAB) == dict.fromkeys(NODES, "running"), "the nodes never noticed"


def test_libvirtd_gone_while_it_checks(
    stacklab: Stacklab, lab: Run, own_libvirtd: Callable[[], None]
) -> None:
    run = check_with(stacklab, own_libvirtd, "compute1", "--layer", "nodes,pairs", "--wait", "0")
    assert run.code == 6, "nothing failed: nobody could tell"
    assert "libvirtd does not answer" in run.out
    assert "60 of 60 passed" in run.out
    assert not is_up(), "a check starts nothing"


# --- then it is broken on purpose


def test_what_faults_cut_is_cut_and_all_else_works(stacklab: Stacklab, lab: Run) -> None:
    stacklab.ok("lab.fault", LAB, "partition", "fabric", "controller")
    stacklab.ok("lab.fault", LAB, "unplug", "compute1", "eth1")
    expected = stacklab.check(LAB, "--expect", "--layer", "nodes,pairs", "--wait", "30")
    assert re.search(
        r"partition fabric .*: \d+ checks cut, \d+ must still work; all as expected", expected.err
    )
    plain = stacklab.run("lab.check", LAB, "--layer", "nodes,pairs", "--wait", "0")
    assert plain.code == 5
    assert "cause lab.fault partition fabric controller" in flat(plain.out)
    assert "cause lab.fault unplug compute1 eth1" in flat(plain.out)
    assert "cause unknown" not in plain.out
    assert "undone: unplug compute1 eth1" in stacklab.ok("lab.fault", LAB, "--undo").out
    assert "no fault" in stacklab.ok("lab.fault", LAB).out
    stacklab.check(LAB, "--layer", "nodes,pairs", "--wait", "20")
    assert stacklab.run("lab.check", LAB, "--expect").code == 1, "there is nothing to expect"


def test_a_fault_that_cuts_nothing_is_no_fault(stacklab: Stacklab, lab: Run) -> None:
    """Somebody puts the cable in again behind our back: what was to be cut works."""
    stacklab.ok("lab.fault", LAB, "link-down", "compute2", "eth1")
    mac = stacklab.on(LAB, "compute2", "cat /sys/class/net/eth1/address").strip()
    argv = ("virsh", "-c", "qemu:///system", "domif-setlink", f"{LAB}_compute2", mac, "up")
    subprocess.run(argv, check=True, capture_output=True, timeout=30)
    try:
        run = stacklab.run(
            "lab.check", LAB, "--expect", "--layer", "pairs", "--network", "fabric", "--wait", "0"
        )
    finally:
        stacklab.ok("lab.fault", LAB, "--undo", "link-down")
    assert run.code == 5
    assert "link-down compute2 eth1 was to cut it" in flat(run.out)


def test_up_undoes_all_faults(stacklab: Stacklab, lab: Run) -> None:
    stacklab.ok("lab.fault", LAB, "pause", "compute2")
    stacklab.ok("lab.fault", LAB, "power-off", "compute1")
    stacklab.check(LAB, "--expect", "--wait", "30", "--layer", "nodes,pairs")
    assert "120 of 120 checks passed" in stacklab.ok("lab.up", LAB).out
    assert "no fault" in stacklab.ok("lab.fault", LAB).out


def test_the_logs_have_an_index_and_no_secret(stacklab: Stacklab, lab: Run, tmp_path: Path) -> None:
    secrets = set(json.loads((DIRECTORY / "secrets.json").read_text()).values())
    # Keys that are on the nodes and on this host; a line of one is as bad as the whole.
    keys = [path.read_text() for path in (DIRECTORY / "keys").iterdir() if path.suffix != ".pub"]
    lines = {
        line
        for key in keys
        for line in key.splitlines()
        if len(line) > 30 and "PRIVATE" not in line
    }
    assert secrets
    assert lines
    bundle = tmp_path / "bundle.tar.gz"
    stacklab.ok("lab.logs", LAB, "--out", str(bundle))
    with tarfile.open(bundle) as archive:
        members = {
            each.name: archive.extractfile(each) for each in archive.getmembers() if each.isfile()
        }
        texts = {
            name: stream.read().decode("utf-8", "replace")
            for name, stream in members.items()
            if stream
        }
    index = texts["bundle/index.html"]
    for node in NODES:
        assert any(name.startswith(f"bundle/nodes/{node}/") for name in texts), node
        assert node in index
    assert any("localrc" in name for name in texts), "answers are there, with masks"
    found = [name for name, text in texts.items() if any(each in text for each in secrets | lines)]
    assert found == []
    assert not any("PRIVATE KEY-----\n" in text for text in texts.values())


# --- and a lab whose network is bad by declaration


@pytest.fixture(scope="module")
def wan(stacklab: Stacklab, image: Path) -> Iterator[Run]:
    assert image.is_file()
    yield stacklab.ok("lab.up", WAN)
    stacklab.ok("lab.destroy", WAN)
    assert left_of(WAN) == []


def test_declared_impairments_are_made_and_measured(
    stacklab: Stacklab, wan: Run, tmp_path: Path
) -> None:
    path = tmp_path / "c.json"
    stacklab.check(WAN, "--json", str(path))
    checks = json.loads(path.read_text())["checks"]
    details = {
        (each["node"], each["kind"]): each["detail"]
        for each in checks
        if each["layer"] == "impairments"
    }
    assert len(details) == 6
    assert re.match(r"4\d\.\d ms there and back", details["west", "delay"])
    assert re.search(r"of \d{3,} pings lost, 1\.99 % declared", details["east", "loss"])
    assert "2 Mbit/s declared" in details["east", "rate"]
    assert sum(each["layer"] == "custom" for each in checks) == 6


def test_an_impairment_that_is_gone_is_found_and_put_right(stacklab: Stacklab, wan: Run) -> None:
    stacklab.on(WAN, "west", "sudo tc qdisc del dev eth1 root")
    run = stacklab.run("lab.check", WAN, "--wait", "0")
    assert run.code == 5
    assert "west eth1 -> east 10.162.0.12 (wan): rate" in flat(run.out)
    assert f"./invoke lab.up {WAN} puts it right" in flat(run.out)
    assert "failed east eth1 -> west 10.162.0.11 (wan): rate" not in flat(run.out), (
        "east's own NIC is as declared"
    )
    stacklab.ok("lab.up", WAN)
    stacklab.check(WAN, "--layer", "impairments")
