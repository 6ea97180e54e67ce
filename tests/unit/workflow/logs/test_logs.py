"""What lab.logs takes along, of labs in every state; the programs are ours, the files are real."""

from __future__ import annotations

import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacklab.errors import CommandFailed, CommandTimedOut, LabError
from stacklab.model.state import NodeState
from stacklab.process import Command, Result
from stacklab.providers.libvirt import logs as libvirt_logs
from stacklab.workflow.logs import host as logs_host
from stacklab.workflow.logs import logs
from stacklab.workflow.logs import node as logs_node
from stacklab.workflow.logs.logs import Bundle, Written
from tests.unit.workflow.fake_host import FakeHost

PASSWORD = "Tr0ub4dorAndThree"
KEY = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtz"
PEM = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY}\n-----END OPENSSH PRIVATE KEY-----\n"


def node_says(command: Command) -> Result:
    """A node's answer to the script, with what must never be shown in it."""
    marker = next(
        line for line in (command.stdin or b"").decode().splitlines() if line.startswith("m=")
    )[2:]
    sections = {
        "journal.txt": f"Nov 20 sudo: nova-manage --password {PASSWORD}\nlast line\n",
        "files/var/log/nova/nova-api.log": f"connection = mysql://nova:{PASSWORD}@10.0.0.1/nova\n",
        "files/opt/stack/logs/stack.sh.log": f"{KEY}\n{PEM}",
    }
    text = f"Debian GNU/Linux 12\n{marker} hello\n"
    for path, body in sections.items():
        text += f"{marker} begin {path}\n{body}\n{marker} end {path}\n"
    return Result(exit_code=0, stdout=text + f"{marker} bye\n")


class Stage:
    """A lab that is up; `take` collects its logs."""

    def __init__(self, host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host = host
        self.tmp = tmp_path
        host.up()
        self.paths = host.lab()
        self.paths.secrets.write_text(json.dumps({"admin_password": PASSWORD, "empty": ""}))
        self.paths.private_key.write_text(PEM)
        self.paths.answers.mkdir(exist_ok=True)
        localrc = self.paths.answers / "controller" / "opt" / "stack" / "devstack" / "localrc"
        localrc.parent.mkdir(parents=True)
        localrc.write_text(
            f"ADMIN_PASSWORD={PASSWORD}\nHOST_IP=10.10.0.11\nOTHER_TOKEN=older1234567\n"
        )
        self.paths.console("controller").parent.mkdir(exist_ok=True)
        self.paths.console("controller").write_text(f"login: {PASSWORD}\nBooted\n")
        monkeypatch.setattr(libvirt_logs, "_QEMU_LOGS", tmp_path / "qemu")
        monkeypatch.setattr(libvirt_logs, "_DNSMASQ", tmp_path / "dnsmasq")
        (tmp_path / "qemu").mkdir()
        (tmp_path / "qemu" / "trio_controller.log").write_text("qemu started\n")
        for program in ("virsh", "ip", "bridge", "uname", "uptime", "free", "df", "vagrant", "git"):
            host.runner.on(program, stdout=f"{program} says\n")
        host.runner.on("qemu-system-x86_64", answer=CommandFailed("no\n  qemu"))
        firewall = "*filter\n[1:2] -A INPUT -i sl-trio0 -j DROP\n[1:2] -A INPUT -i theirs -j DROP\n"
        host.runner.on("iptables-save", stdout=firewall).on(
            "sudo", "-n", "iptables-save", stdout=firewall
        )
        self.ssh(node_says)

    def ssh(self, answer: Callable[[Command], Result] | BaseException) -> None:
        self.host.runner.on("ssh", answer=answer)

    def take(self, out: str = "bundle") -> Written:
        target = str(self.tmp / out)
        return logs.collect(
            self.host.context, "trio", target, index=lambda found: f"{logs.MARK} {found.lab}"
        )

    def text(self, path: str) -> str:
        return (self.tmp / "bundle" / path).read_text()


@pytest.fixture
def stage(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(host, tmp_path, monkeypatch)


def missing(bundle: Bundle) -> dict[str, str]:
    return {item.path: item.why_not for item in bundle.missing}


def test_both_sides_are_taken_along(stage: Stage) -> None:
    bundle = stage.take().bundle
    had = {item.path for item in bundle.items if not item.why_not}
    assert {
        "host/record.json",
        "host/resolved.json",
        "host/lab.json",
        "host/console/controller.log",
        "host/domains/compute2.xml",
        "host/networks/net1.bridge.txt",
        "host/qemu/controller.log",
        "host/firewall.txt",
        "host/machine.txt",
        "answers/controller/opt/stack/devstack/localrc",
        "nodes/compute1/journal.txt",
        "nodes/compute1/files/var/log/nova/nova-api.log",
    } <= had
    assert stage.text("index.html") == f"{logs.MARK} trio"
    assert bundle.states == {"controller": "running", "compute1": "running", "compute2": "running"}
    root = stage.tmp / "bundle"
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert files == had | {"index.html"}
    assert all(
        (stage.tmp / "bundle" / i.path).stat().st_size == i.size
        for i in bundle.items
        if not i.why_not
    )


def test_no_secret_and_no_key_is_anywhere_in_the_bundle(stage: Stage) -> None:
    stage.take()
    for path in (stage.tmp / "bundle").rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert PASSWORD not in text, path
            assert KEY not in text, path
            assert "older1234567" not in text, path
    assert "HOST_IP=10.10.0.11" in stage.text("answers/controller/opt/stack/devstack/localrc")
    assert "Booted" in stage.text("host/console/controller.log")
    names = {path.name for path in (stage.tmp / "bundle").rglob("*")}
    assert not names & {"keys", "secrets.json", "id_ed25519"}


def test_of_a_key_that_was_cut_in_two_no_half_is_shown() -> None:
    text = "AAAAotherkeylineAAAAAAAAAAAAAAAA\n-----END RSA PRIVATE KEY-----\nrest\n"
    assert logs.masked(text, frozenset()) == "********\nrest\n"
    assert (
        logs.masked("before\n-----BEGIN RSA PRIVATE KEY-----\nAAAA\n", frozenset())
        == "before\n********"
    )


def test_a_damaged_file_of_secrets_still_masks_them(stage: Stage) -> None:
    stage.paths.secrets.write_text(f'{{"admin_password": "{PASSWORD}", ')
    stage.take()
    assert PASSWORD not in stage.text("nodes/compute1/journal.txt")


def test_secrets_that_cannot_be_read_stop_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.paths.secrets.unlink()
    stage.paths.secrets.mkdir()
    with pytest.raises(LabError, match="secrets could not be masked"):
        stage.take()
    assert not (stage.tmp / "bundle").exists()


def test_only_the_rules_of_the_lab_s_bridges_are_taken(stage: Stage) -> None:
    stage.take()
    assert stage.text("host/firewall.txt") == "*filter\n[1:2] -A INPUT -i sl-trio0 -j DROP\n"


def test_an_archive_holds_the_same(stage: Stage) -> None:
    written = stage.take("logs.tar.gz")
    assert written.path == stage.tmp / "logs.tar.gz"
    with tarfile.open(written.path) as archive:
        names = archive.getnames()
    assert "logs/index.html" in names
    assert "logs/nodes/compute1/journal.txt" in names
    assert written.path.stat().st_mode & 0o777 == 0o600
    assert [path for path in stage.tmp.iterdir() if path.name.startswith(".logs")] == []


def test_without_a_name_it_is_an_archive_here(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stage.tmp)
    written = logs.collect(stage.host.context, "trio", "", index=lambda _bundle: "")
    assert written.path == stage.tmp / "trio-logs.tar.gz"


def test_a_bundle_is_replaced_and_nothing_else_is(stage: Stage) -> None:
    stage.take()
    (stage.tmp / "bundle" / "old").touch()
    stage.take()
    assert not (stage.tmp / "bundle" / "old").exists()
    theirs = stage.tmp / "theirs"
    theirs.mkdir()
    (theirs / "work").touch()
    with pytest.raises(LabError, match="exists and is not a bundle of"):
        stage.take("theirs")
    assert (theirs / "work").exists()


@pytest.mark.parametrize(
    "page", [b"<p>how to use stacklab lab.logs</p>", b"\xff\xfe stacklab lab.logs", b""]
)
def test_a_page_that_only_speaks_of_lab_logs_is_no_bundle(stage: Stage, page: bytes) -> None:
    theirs = stage.tmp / "handbook"
    theirs.mkdir()
    (theirs / "index.html").write_bytes(page)
    (theirs / "work").touch()
    with pytest.raises(LabError, match="exists and is not a bundle of"):
        stage.take("handbook")
    assert (theirs / "work").exists()


def test_a_user_that_there_is_not_is_told(stage: Stage) -> None:
    with pytest.raises(LabError, match="~nobody-of-that-name/x"):
        logs.collect(stage.host.context, "trio", "~nobody-of-that-name/x", index=lambda _bundle: "")


def test_a_link_is_replaced_and_what_it_points_to_is_not(stage: Stage) -> None:
    (stage.tmp / "passwd").write_text("root\n")
    (stage.tmp / "logs.tar.gz").symlink_to(stage.tmp / "passwd")
    (stage.tmp / "empty").mkdir()
    (stage.tmp / "bundle").symlink_to(stage.tmp / "empty")
    stage.take("logs.tar.gz")
    stage.take("bundle")
    assert (stage.tmp / "passwd").read_text() == "root\n"
    assert list((stage.tmp / "empty").iterdir()) == []


def test_files_of_a_node_that_are_in_each_other_s_way_lose_no_other(stage: Stage) -> None:
    names = ("files/a", "files/a/b", "files/" + "x/" * 3000 + "x", "journal.txt")

    def odd(command: Command) -> Result:
        marker = next(
            line for line in (command.stdin or b"").decode().splitlines() if line.startswith("m=")
        )[2:]
        said = "".join(f"{marker} begin {name}\nsaid\n\n{marker} end {name}\n" for name in names)
        return Result(exit_code=0, stdout=f"{said}{marker} bye\n")

    stage.ssh(odd)
    bundle = stage.take().bundle
    assert stage.text("nodes/compute1/files/a") == "said\n"
    assert stage.text("nodes/compute1/journal.txt") == "said\n"
    assert sum(item.path.startswith("nodes/compute1/files/") for item in bundle.missing) == 2


def test_where_it_cannot_be_written_is_said(stage: Stage) -> None:
    (stage.tmp / "file").touch()
    with pytest.raises(LabError, match="file/b: ") as caught:
        stage.take("file/b")
    assert caught.value.hint == "--out DIR, or --out FILE.tar.gz, where you may write"


def test_a_node_that_does_not_run_is_not_asked(stage: Stage) -> None:
    kept = json.loads(stage.paths.record.read_text())
    uuid = next(node["handle"]["uuid"] for node in kept["nodes"] if node["name"] == "compute1")
    stage.host.libvirt.states[uuid] = NodeState.PAUSED
    before = len(stage.host.ran("ssh"))
    bundle = stage.take().bundle
    assert missing(bundle)["nodes/compute1"] == "the node is paused"
    assert {command.argv[-2] for command in stage.host.ran("ssh")[before:]} == {
        "controller",
        "compute2",
    }
    assert (stage.tmp / "bundle" / "nodes" / "compute2" / "journal.txt").exists()


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (CommandTimedOut("fetching the logs of x: ssh had no end after 90 s"), "timed out"),
        (CommandFailed("ssh: connect to host: Connection refused"), "refused"),
        (CommandFailed("odd\n  more"), "odd"),
    ],
)
def test_a_node_that_does_not_answer_is_named_with_its_reason(
    stage: Stage, error: LabError, why: str
) -> None:
    stage.ssh(error)
    bundle = stage.take().bundle
    assert missing(bundle)["nodes/compute1"] == why
    assert "host/record.json" not in missing(bundle)


def test_what_a_node_said_before_it_was_cut_off_is_kept(stage: Stage) -> None:
    def cut(command: Command) -> Result:
        whole = node_says(command).stdout
        heard, line, _ = whole.partition("last line\n")
        return Result(exit_code=255, stdout=heard + line, stderr="Connection reset by peer\n")

    stage.ssh(cut)
    bundle = stage.take().bundle
    assert stage.text("nodes/compute1/journal.txt").endswith("last line\n\n(cut off here)\n")
    assert missing(bundle)["nodes/compute1"] == "connection closed"


def test_a_libvirtd_that_is_away_leaves_the_rest(stage: Stage) -> None:
    stage.host.connect(None)
    bundle = stage.take().bundle
    why = missing(bundle)
    assert why["host/domains/compute1.xml"] == "libvirtd does not answer: no socket"
    assert not stage.host.ran("virsh") or all(
        c.argv[1] == "--version" for c in stage.host.ran("virsh")
    )
    assert "nodes/compute1/journal.txt" not in why
    assert bundle.states == {}


def test_a_lab_that_was_never_far_enough_up(stage: Stage) -> None:
    for path in (stage.paths.ssh_config, stage.paths.resolved, stage.paths.machines):
        path.unlink()
    why = missing(stage.take().bundle)
    assert why["host/resolved.json"] == "it does not exist"
    assert why["nodes/controller"] == "the lab was never far enough up to log in"


def test_a_damaged_record_leaves_the_files(stage: Stage) -> None:
    stage.paths.record.write_text("{")
    bundle = stage.take().bundle
    assert "is damaged" in missing(bundle)["host/record"]
    assert "host/console/controller.log" in {item.path for item in bundle.items if not item.why_not}


def test_a_lab_of_which_nothing_exists_is_refused(stage: Stage) -> None:
    with pytest.raises(LabError, match="lab other is not up"):
        logs.collect(stage.host.context, "other", "", index=lambda _bundle: "")


def test_its_size_is_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_MOST_BYTES", 100)
    bundle = stage.take().bundle
    assert any("the bundle is full" in why for why in missing(bundle).values())
    monkeypatch.setattr(logs_host, "MOST_BYTES", 20)
    stage.paths.console("controller").write_text("first line\nsecond line that is long\nthird\n")
    monkeypatch.setattr(logs, "_MOST_BYTES", 10**6)
    stage.take()
    assert stage.text("host/console/controller.log") == "(its beginning is left out)\nthird\n"


def test_no_more_is_fetched_than_a_bundle_holds(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else 200 nodes fill this host's memory while the first of them hangs."""
    monkeypatch.setattr(logs, "_AT_ONCE", 1)
    monkeypatch.setattr(logs, "_MOST_BYTES", 100)
    before = len(stage.host.ran("ssh"))
    why = missing(stage.take().bundle)
    assert len(stage.host.ran("ssh")) == before + 1
    assert why["nodes/compute1"].startswith("the bundle is full")


# --- a node's side


def test_a_node_that_says_too_much_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_node, "MOST_BYTES", 1024 * 1024)
    hearing = logs_node._FileCutter("M")
    hearing.hear("M begin x", 0)
    for _ in range(9):
        assert hearing.why_stop() == ""
        hearing.hear("y" * 120_000, 0)
    assert hearing.why_stop() == "more than 1 MiB"


def test_what_a_node_s_logs_cost_is_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of two characters cost 700 MB of memory before 16 MiB were counted."""
    monkeypatch.setattr(logs_node, "MOST_BYTES", 1024 * 1024)
    for line in ("y", "\u20ac" * 100, "\U0001f600", ""):
        hearing = logs_node._FileCutter("M")
        hearing.hear("M begin x", 0)
        while not hearing.why_stop():
            hearing.hear(line, 0)
        for _ in range(100):
            hearing.hear(line, 0)  # what comes before it is ended
        assert sys.getsizeof(hearing.logs.files["x"]) < 1.3 * logs_node.MOST_BYTES


def test_a_node_that_begins_files_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_node, "MOST_BYTES", 1024 * 1024)
    hearing = logs_node._FileCutter("M")
    for number in range(20_000):
        hearing.hear(f"M begin {number}", 0)
    assert hearing.why_stop() == "more than 1 MiB"


def test_of_what_was_cut_off_at_its_beginning_no_half_line_is_shown() -> None:
    """It might be the second half of a password."""
    hearing = logs_node._FileCutter("M")
    for name, most in (
        ("files/var/log/a", logs_node._OF_FILE),
        ("journal.txt", logs_node._OF_JOURNAL),
        ("b", 0),
    ):
        whole = "half a secret\n" + "x" * (most - 19) + "\nlast"
        for line in (f"M begin {name}", *whole.split("\n"), f"M end {name}"):
            hearing.hear(line, 0)
    found = dict(logs_node.texts(hearing.logs))
    assert found["files/var/log/a"].startswith("(its beginning is left out)\nxxx")
    assert found["journal.txt"].startswith("(its beginning is left out)\nxxx")
    assert found["b"].startswith("half a secret\n")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("files/var/log/a.html", "files/var/log/a.html.txt"),
        ("files/var/log/a.SVG", "files/var/log/a.SVG.txt"),
        ("files/var/log/nova/a.log", "files/var/log/nova/a.log"),
        ("files/var/log/nova/a.conf", "files/var/log/nova/a.conf"),
        ("files/var/log/nova/a.JSON", "files/var/log/nova/a.JSON"),
        ("files/var/log/syslog", "files/var/log/syslog"),
        ("files/var/log/syslog.1", "files/var/log/syslog.1.txt"),
        ("files/a.xht", "files/a.xht.txt"),
        ("files/a.shtml", "files/a.shtml.txt"),
        ("files/a.mhtml", "files/a.mhtml.txt"),
        ("files/a.svgz", "files/a.svgz.txt"),
        ("files/a.log.xsl", "files/a.log.xsl.txt"),
        ("files/../../../etc/passwd", "files/_/_/_/etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("files/a b\x1b[2J<script>", "files/a_b__2J_script_"),
        ("", "_"),
        ("..", "_"),
    ],
)
def test_a_node_cannot_choose_where_its_files_go(name: str, safe: str) -> None:
    assert logs_node.safe_path(name) == safe


@given(st.text())
def test_no_name_leads_out_of_the_bundle(name: str) -> None:
    path = logs_node.safe_path(name)
    assert not path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/"))


@given(
    st.lists(
        st.sampled_from(
            ["M hello", "M begin a", "M end a", "M begin b", "x", "", "M bye", "M", "M begin "]
        )
    )
)
def test_whatever_a_node_says_is_taken_apart(lines: list[str]) -> None:
    hearing = logs_node._FileCutter("M")
    for line in lines:
        hearing.hear(line, 0.0)
    assert all(isinstance(text, str) for _, text in logs_node.texts(hearing.logs))
