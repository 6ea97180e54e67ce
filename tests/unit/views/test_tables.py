from __future__ import annotations

import dataclasses
import io
import time

import pytest
from rich.console import Console

from stacklab import spec
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.doctor import ProbeArea, ProbeResult, ProbeStatus
from stacklab.errors import LabError
from stacklab.images.store import StoredImage
from stacklab.model.lab import Disk, DiskBus, NodeKind, Size
from stacklab.model.stack import Installer, NetworkingMode, Stack
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths
from stacklab.paths.project import PROJECT
from stacklab.process import Result
from stacklab.progress import Timing
from stacklab.views import host, labs, output, tables
from stacklab.views.checks import run
from stacklab.workflow.lab.lab_up import LabUp
from stacklab.workflow.lab.status import LabStatus
from tests.unit.checks.fake_lab import make_lab
from tests.unit.images.fake_images import make_image

ODD = ["[red]loud[/red]", "[/]", "[/red]", "[link=x]", ":smile:", "[bold", "ümläut", "a\\[b]"]


def text(*renderables: object, colour: bool = False) -> str:
    console = Console(
        file=io.StringIO(),
        width=300,
        force_terminal=colour,
        color_system="standard" if colour else None,
    )
    for each in renderables:
        console.print(each)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def row(rendered: str, *cells: str) -> str:
    """The line that holds all these cells."""
    found = [line for line in rendered.splitlines() if all(cell in line for cell in cells)]
    assert found, f"{cells} in no line of:\n{rendered}"
    return found[0]


def status(state: NodeState = NodeState.RUNNING, *, image: str = "debian-12-abc") -> LabStatus:
    lab = make_lab()
    states = {node.name: state for node in lab.nodes}
    return LabStatus(
        name="trio", checkout="/c", image=image, states=states, lab=lab, directory="/d"
    )


def check(*, passed: bool, detail: str = "") -> CheckResult:
    made = Check(
        kind=CheckKind.PING,
        node="controller",
        target="compute1",
        network="net0",
        address="10.10.0.12",
        device="eth0",
    )
    status_ = CheckStatus.PASSED if passed else CheckStatus.FAILED
    return CheckResult(
        check=made,
        status=status_,
        reason=Reason.NO_REPLY,
        detail=detail,
        rtt_ms=1.26 if passed else None,
    )


@pytest.mark.parametrize("odd", ODD)
def test_odd_texts_are_shown_as_they_are_everywhere(odd: str) -> None:
    lab = dataclasses.replace(make_lab(), description=odd)
    image = dataclasses.replace(make_image(), description=odd)
    probe = ProbeResult(
        name="n", area=ProbeArea.HOST, status=ProbeStatus.FAILED, sentence=odd, fix=odd
    )
    shown = {
        "lab": text(*labs.lab_tables(lab)),
        "list": text(tables.table(("lab", "what"), [("trio", odd)])),
        "header and title": text(tables.table((odd,), [], title=odd)),
        "images": text(host.images_table({"debian-12": image}, [], {"debian-12": ""})),
        "status": text(labs.status_table([status(image=odd)])),
        "summary": text(*labs.summary_tables(lab, odd, {"first": odd}, odd)),
        "checks": text(run.results_group(lab, [check(passed=False, detail=odd)])),
        "probes": text(host.probes_table([probe])),
        "timings": text(labs.timings_table([Timing(row="image x", stage=odd, elapsed_s=1)])),
    }
    assert {name for name, each in shown.items() if odd not in each} == set()


def test_a_lab_is_its_networks_and_a_line_per_nic() -> None:
    lab = dataclasses.replace(
        make_lab(),
        stack=Stack(
            installer=Installer.CONTRAIL,
            network="net1",
            release="master",
            devstack_branch="x",
            network_mode=NetworkingMode.VROUTER,
        ),
    )
    shown = text(*labs.lab_tables(lab))
    row(shown, "net0", "10.10.0.0/24", "nat", "1500", "10.10.0.1", "sl-trio0")
    row(shown, "compute1", "compute", "1GiB", "eth0", "10.10.0.12/24", "52:54:00:00:00:01")
    assert "compute1" not in row(shown, "eth1", "10.20.0.12/24")
    row(shown, "memory", "3GiB in all")
    row(shown, "stack", "contrail master with DevStack x, vrouter, on net1")


def test_further_disks_have_a_table_of_their_own_where_there_are_any() -> None:
    lab = make_lab()
    assert "further" not in text(*labs.lab_tables(lab))
    shared = Disk(name="quorum", size=Size(64), serial="q", is_shared=True)
    plain = Disk(name="disk1", size=Size(2048), bus=DiskBus.SCSI, serial="J_1")
    disks = ((plain, shared), (shared,), ())
    nodes = tuple(
        dataclasses.replace(node, disks=of_node)
        for node, of_node in zip(lab.nodes, disks, strict=True)
    )
    shown = text(*labs.lab_tables(dataclasses.replace(lab, nodes=nodes)))
    row(shown, "controller", "2GiB", "scsi", "J_1", "-")
    row(shown, "64MiB", "virtio", "q", "compute1")
    row(shown, "compute1", "64MiB", "virtio", "q", "controller")


def test_what_containers_cannot_have_of_a_cloud_is_said() -> None:
    lab = spec.load(PROJECT / "labs" / "openstack-3node.yaml")
    stack = dataclasses.replace(lab.stack, volume_types=("lvm",))
    lab = dataclasses.replace(lab, stack=stack)
    containers = lab.all_as(NodeKind.CONTAINER)
    for shown in (labs.lab_tables(containers), labs.summary_tables(containers, "it", {}, "none")):
        assert row(text(*shown), "left out", "cinder")
    assert "left out" not in text(*labs.lab_tables(lab))


def test_people_see_where_the_dashboard_is() -> None:
    lab = spec.load(PROJECT / "labs" / "openstack-3node.yaml")
    with_one = dataclasses.replace(lab, stack=dataclasses.replace(lab.stack, has_dashboard=True))
    for shown in (labs.lab_tables(with_one), labs.summary_tables(with_one, "it", {}, "none")):
        assert row(text(*shown), "dashboard", "http://192.168.170.10/")
    assert "dashboard" not in text(*labs.lab_tables(lab))


def test_status_is_a_line_per_node_in_colours() -> None:
    shown = text(labs.status_table([status()]), colour=True)
    assert "\x1b[32mrunning" in row(shown, "trio", "controller", "10.10.0.11")
    assert "debian-12-abc" in row(shown, "trio")
    assert "trio" not in row(shown, "compute1", "10.10.0.12")
    assert "\x1b[31mabsent" in text(labs.status_table([status(NodeState.ABSENT)]), colour=True)


def test_a_lab_that_cannot_be_understood_has_a_line() -> None:
    broken = dataclasses.replace(
        status(), states={}, lab=None, image="", trouble="the record is damaged: /r: no"
    )
    shown = text(labs.status_table([broken, status()]))
    assert "the record is damaged: /r: no" in row(shown, "trio", "damaged")
    assert "controller" in shown


def test_the_status_of_a_lab_that_was_never_resolved_has_no_addresses() -> None:
    shown = text(labs.status_table([dataclasses.replace(status(), lab=None)]))
    assert "-" in row(shown, "compute1", "running")
    text(labs.status_table([]))


@pytest.mark.parametrize(
    ("address", "said"), [("now", "\x1b[32mcurrent"), ("of yesterday", "\x1b[33mof other inputs")]
)
def test_an_image_is_told_by_whether_it_is_of_today_s_inputs(address: str, said: str) -> None:
    stored = StoredImage(
        name="debian-12",
        address=address,
        path=HostPaths.default().images / "debian-12-a-b.qcow2",
        sha256="",
        size_bytes=420 * 1024 * 1024,
        mtime_ns=0,
        built_at=0,
        took_s=0,
    )
    shown = text(
        host.images_table({"debian-12": make_image()}, [stored], {"debian-12": "now"}), colour=True
    )
    assert said in row(shown, "debian-12-a-b", "420 MiB")
    assert "not built" not in shown


def test_long_lines_are_not_broken_so_that_commands_can_be_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long = "x" * 500
    shown = io.StringIO()
    monkeypatch.setattr("sys.stdout", shown)
    result = dataclasses.replace(check(passed=False), command=f"fping {long}")
    tables.console().print(run.results_group(make_lab(), [result]))
    row(shown.getvalue(), f"$ ./invoke lab.exec trio --node controller -- 'fping {long}'")


def test_a_probe_that_fails_tells_its_fix_and_one_that_holds_does_not() -> None:
    def probe(status: ProbeStatus) -> ProbeResult:
        return ProbeResult(
            name="n", area=ProbeArea.HOST, status=status, sentence="it is so", fix="do that"
        )

    assert "fix: do that" in text(host.probes_table([probe(ProbeStatus.FAILED)]))
    assert "fix: do that" not in text(host.probes_table([probe(ProbeStatus.OK)]))


def test_timings_are_added_up_per_stage_and_row() -> None:
    taken = [
        Timing(row="host", stage="files", elapsed_s=1.0),
        Timing(row="host", stage="files", elapsed_s=0.5),
        Timing(row="compute1", stage="boot", elapsed_s=30.0),
    ]
    shown = text(labs.timings_table(taken))
    row(shown, "files", "1.5")
    row(shown, "boot (compute1)", "30.0")


def test_up_ends_with_how_to_log_in_and_what_to_type_next() -> None:
    found = LabUp(
        lab=make_lab(),
        image="debian-12-abc",
        passed_over={"ubuntu-14.04": "no net"},
        accelerator="TCG (x)",
        results=(check(passed=True), check(passed=False)),
    )
    shown = text(*labs.outcome_tables(found, []))
    assert (
        row(shown, "controller", "eth0 10.10.0.11  eth1 10.20.0.11")
        .rstrip()
        .endswith("./invoke lab.ssh trio")
    )
    row(shown, "compute1", "./invoke lab.ssh trio --node compute1")
    row(shown, "not taken", "ubuntu-14.04: no net")
    row(shown, "./invoke lab.check trio", "1 of 2 checks passed")
    row(shown, "./invoke lab.destroy trio", "the next lab.up makes it anew")
    kept = text(*labs.outcome_tables(dataclasses.replace(found, comes_back=True), []))
    row(kept, "./invoke lab.destroy trio", "brings it back in seconds, unless with --purge")
    assert "prove that all nodes" in text(
        *labs.outcome_tables(dataclasses.replace(found, results=()), [])
    )


def test_what_nodes_print_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    shown = output.ByNode(["controller", "n", "gone"])
    shown.out("controller", b"one\n")
    shown.out("controller", b"[red]two\n")
    shown.err("n", b"bad\n")
    shown.ended("controller", Result(exit_code=0))
    shown.ended("n", Result(exit_code=3))
    shown.ended("gone", LabError("not reached\nat all"))
    captured = capsys.readouterr()
    assert captured.out == "controller | one\ncontroller | [red]two\n"
    assert captured.err.splitlines() == [
        "n          | bad",
        "n          | ended with 3",
        "gone       | not reached",
        "gone       | at all",
    ]


def test_how_long_a_lab_may_live_is_told_where_one_has_an_end() -> None:
    lab = make_lab()
    states = {node.name: NodeState.RUNNING for node in lab.nodes}
    found = LabStatus(name="trio", checkout="/c", image="i", states=states, lab=lab, directory="/d")
    assert "lab.reap" not in text(labs.status_table([found]))
    ends = dataclasses.replace(found, expires_at=time.time() + 7200.5)
    shown = text(labs.status_table([ends]))
    row(shown, "trio", "2 h 0 min left")
    assert shown.count("left") == 1
