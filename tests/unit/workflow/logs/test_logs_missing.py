"""What is not in a bundle is named with its reason."""

from __future__ import annotations

import json

import pytest

from stacklab.errors import CommandFailed, CommandTimedOut, LabError
from stacklab.model.state import NodeState
from stacklab.process import Command, Result
from stacklab.workflow.logs import collecting, logs
from stacklab.workflow.logs import host as logs_host
from stacklab.workflow.logs.bundle import Bundle
from tests.unit.workflow.logs.logged_lab import Stage, node_says


def missing(bundle: Bundle) -> dict[str, str]:
    return {item.path: item.why_not for item in bundle.missing}


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
    assert "host/console/controller.log.txt" in {
        item.path for item in bundle.items if not item.why_not
    }


def test_a_lab_of_which_nothing_exists_is_refused(stage: Stage) -> None:
    with pytest.raises(LabError, match="lab other is not up"):
        logs.collect(stage.host.context, "other", "", index=lambda _bundle: "")


def test_its_size_is_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "_MOST_BYTES", 100)
    bundle = stage.take().bundle
    assert any("the bundle is full" in why for why in missing(bundle).values())
    monkeypatch.setattr(logs_host, "MOST_BYTES", 20)
    stage.paths.console("controller").write_text("first line\nsecond line that is long\nthird\n")
    monkeypatch.setattr(collecting, "_MOST_BYTES", 10**6)
    stage.take()
    assert stage.text("host/console/controller.log.txt") == "(its beginning is left out)\nthird\n"


def test_no_more_is_fetched_than_a_bundle_holds(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else 200 nodes fill this host's memory while the first of them hangs."""
    monkeypatch.setattr(collecting, "_AT_ONCE", 1)
    monkeypatch.setattr(collecting, "_MOST_BYTES", 100)
    before = len(stage.host.ran("ssh"))
    why = missing(stage.take().bundle)
    assert len(stage.host.ran("ssh")) == before + 1
    assert why["nodes/compute1"].startswith("the bundle is full")
