"""What lab.logs takes along, of labs in every state."""

from __future__ import annotations

import tarfile

import pytest

from stacklab.errors import LabError
from stacklab.process import Command, Result
from stacklab.workflow.logs import logs
from stacklab.workflow.masking import masked
from tests.unit.workflow.logs.logged_lab import KEY, PASSWORD, Stage


def test_both_sides_are_taken_along(stage: Stage) -> None:
    bundle = stage.take().bundle
    had = {item.path for item in bundle.items if not item.why_not}
    assert {
        "host/record.json",
        "host/resolved.json",
        "host/lab.json",
        "host/console/controller.log.txt",
        "host/domains/compute2.xml.txt",
        "host/networks/net1.bridge.txt",
        "host/qemu/controller.log.txt",
        "host/firewall.txt",
        "host/machine.txt",
        "answers/controller/opt/stack/devstack/localrc.txt",
        "nodes/compute1/journal.txt",
        "nodes/compute1/files/var/log/nova/nova-api.log.txt",
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
    assert "HOST_IP=10.10.0.11" in stage.text("answers/controller/opt/stack/devstack/localrc.txt")
    assert "Booted" in stage.text("host/console/controller.log.txt")
    names = {path.name for path in (stage.tmp / "bundle").rglob("*")}
    assert not names & {"keys", "secrets.json", "id_ed25519"}


def test_of_a_key_that_was_cut_in_two_no_half_is_shown() -> None:
    text = "AAAAotherkeylineAAAAAAAAAAAAAAAA\n-----END RSA PRIVATE KEY-----\nrest\n"
    assert masked(text, frozenset()) == "********\nrest\n"
    assert (
        masked("before\n-----BEGIN RSA PRIVATE KEY-----\nAAAA\n", frozenset()) == "before\n********"
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
    deep = "files/" + "y/" * 60 + "z.txt"
    names = ("files/a.txt", "files/a.txt/b", "files/" + "x/" * 3000 + "x", deep, "journal.txt")

    def odd(command: Command) -> Result:
        marker = next(
            line for line in (command.stdin or b"").decode().splitlines() if line.startswith("m=")
        )[2:]
        said = "".join(f"{marker} begin {name}\nsaid\n\n{marker} end {name}\n" for name in names)
        return Result(exit_code=0, stdout=f"{said}{marker} bye\n")

    stage.ssh(odd)
    bundle = stage.take().bundle
    assert stage.text("nodes/compute1/files/a.txt") == "said\n"
    assert stage.text("nodes/compute1/journal.txt") == "said\n"
    assert sum(item.path.startswith("nodes/compute1/files/") for item in bundle.missing) == 2
    # What was written is not so deep that it could not be removed.
    depths = [len(path.relative_to(stage.tmp).parts) for path in stage.tmp.rglob("*")]
    assert 40 < max(depths) < 60


def test_where_it_cannot_be_written_is_said(stage: Stage) -> None:
    (stage.tmp / "file").touch()
    with pytest.raises(LabError, match="file/b: ") as caught:
        stage.take("file/b")
    assert caught.value.hint == "--out DIR, or --out FILE.tar.gz, where you may write"
