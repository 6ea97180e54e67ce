"""The program that proves a cloud, with a stand-in for openstacksdk, which our venv lacks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from stacklab.drivers.cloud_smoke.proof import Act, Guest
from stacklab.paths.project import PROJECT

if TYPE_CHECKING:
    from stacklab.drivers.cloud_smoke.resources import Resources

ORDERS = {
    "auth": {},
    "computes": ["one", "two"],
    "external": {},
    "tenant": {},
    "key": "/k",
    "public_key": "ssh-ed25519 A",
    "known_hosts": "/h",
    "prefix": "smoke",
    "ratios": {"VCPU": 16.0, "MEMORY_MB": 1.5},
    "has_volumes": True,
    "can_migrate": True,
    "dashboard_url": "",
    "clues": {"argv": ["sh", "-s"], "stdin": "cat /why"},
    "keep": False,
}


class SDKException(Exception):
    """Stands for openstacksdk's."""


@pytest.fixture(autouse=True)
def openstacksdk(monkeypatch: pytest.MonkeyPatch) -> None:
    stub: Any = ModuleType("openstack")
    stub.connect = lambda **_options: SimpleNamespace()
    stub.connection = SimpleNamespace(Connection=object)
    stub.exceptions = SimpleNamespace(SDKException=SDKException)
    monkeypatch.setitem(sys.modules, "openstack", stub)


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_kind_of_step_is_known_to_the_program() -> None:
    from stacklab.drivers.cloud_smoke.__main__ import Smoke
    from stacklab.drivers.cloud_smoke.steps import StepRunner

    smoke = Smoke(ORDERS, StepRunner(lambda: ""))
    assert set(smoke._known_acts()) == set(Act)


def test_a_step_that_failed_has_its_words_then_the_clues(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from stacklab.drivers.cloud_smoke import __main__ as program
    from stacklab.drivers.cloud_smoke.__main__ import read_clues
    from stacklab.drivers.cloud_smoke.steps import StepFailed, StepRunner

    def run(argv: tuple[str, ...], _limit_s: float, stdin: str) -> SimpleNamespace:
        assert (argv, stdin) == (("sh", "-s"), "cat /why")
        return SimpleNamespace(stdout="the scheduler says why\n")

    monkeypatch.setattr(program, "run_program", run)
    journal = StepRunner(lambda: read_clues(ORDERS["clues"]))

    def act() -> str:
        raise StepFailed("No valid host was found")

    with pytest.raises(StepFailed):
        journal.step("boot", act)
    begun, ended = lines_of(capsys)
    assert begun == {"begins": "boot"}
    assert ended["ok"] is False
    assert ended["detail"] == "No valid host was found\nthe scheduler says why"
    assert journal.failed == 1


def test_clues_are_not_asked_for_where_nothing_failed(capsys: pytest.CaptureFixture[str]) -> None:
    from stacklab.drivers.cloud_smoke.steps import StepRunner

    journal = StepRunner(lambda: pytest.fail("asked"))
    journal.step("boot", lambda: "on one")
    assert lines_of(capsys)[-1]["detail"] == "on one"


def computes(*services: tuple[str, str, str]) -> SimpleNamespace:
    """Return a nova that has these computes: host, state and status of each."""
    listed = [
        SimpleNamespace(host=host, state=state, status=status, disabled_reason="AUTO: gone")
        for host, state, status in services
    ]
    mapped = [SimpleNamespace(name=host) for host, _, _ in services]
    return SimpleNamespace(services=lambda binary: listed, hypervisors=lambda: mapped)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (("one", "down", "enabled"), "not up, or not mapped to a cell: one"),
        # It is up, and gets no VM: "No valid host was found".
        (("one", "up", "disabled"), "one is disabled: AUTO: gone"),
        (("one", "up", "enabled"), ""),
    ],
)
def test_a_compute_that_gets_no_vm_is_waited_for(
    one: tuple[str, str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stacklab.drivers.cloud_smoke import __main__ as program
    from stacklab.drivers.cloud_smoke.steps import StepFailed, StepRunner

    monkeypatch.setattr(program, "_READY_S", 0.0)
    smoke: Any = program.Smoke(ORDERS, StepRunner(lambda: ""))
    others = (("two", "up", "enabled"), ("not-of-the-lab", "up", "disabled"))
    smoke._cloud.compute = computes(one, *others)
    if not words:
        assert smoke._wait_for_computes() == "one, two"
        return
    with pytest.raises(StepFailed, match=words):
        smoke._wait_for_computes()


def inventories(**ratios: float) -> SimpleNamespace:
    """A placement service that has one compute with these ratios."""
    answer = {"inventories": {name: {"allocation_ratio": at} for name, at in ratios.items()}}
    return SimpleNamespace(
        resource_providers=lambda: [
            SimpleNamespace(name="one", id="1"),
            SimpleNamespace(name="a-nested-one", id="2"),
        ],
        get=lambda path: SimpleNamespace(json=lambda: answer if "/1/" in path else {}),
    )


def test_ratios_that_are_not_the_lab_s_are_told_by_resource() -> None:
    from stacklab.drivers.cloud_smoke.__main__ import Smoke
    from stacklab.drivers.cloud_smoke.steps import StepFailed, StepRunner

    smoke: Any = Smoke(ORDERS, StepRunner(lambda: ""))
    smoke._cloud.placement = inventories(VCPU=16.0, MEMORY_MB=1.5, SRIOV=1.0)
    assert smoke._compare_ratios() == "VCPU 16, MEMORY_MB 1.5"
    smoke._cloud.placement = inventories(VCPU=4.0, MEMORY_MB=1.5)
    with pytest.raises(StepFailed, match=r"VCPU of one is 4\.0, not 16\.0"):
        smoke._compare_ratios()


def test_a_vm_on_another_compute_than_its_own_proves_nothing() -> None:
    from stacklab.drivers.cloud_smoke.resources import Resources
    from stacklab.drivers.cloud_smoke.steps import StepFailed

    resources = Resources(SimpleNamespace(), "smoke", has_volumes=False)  # type: ignore[arg-type]
    servers = {"vm-a": SimpleNamespace(hypervisor_hostname="two")}
    with pytest.raises(StepFailed, match="not where they should be"):
        resources._check_places(servers, [Guest("vm-a", "one")])
    servers["vm-a"].hypervisor_hostname = "one"
    resources._check_places(servers, [Guest("vm-a", "one")])


def test_a_vm_is_pinged_by_a_program_that_every_host_of_a_lab_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`ping` was only installed for the tests: without these, the proof ended with its absence."""
    from stacklab.drivers.cloud_smoke import guests

    started: list[str] = []

    def run(argv: tuple[str, ...], _limit_s: float) -> SimpleNamespace:
        started.append(argv[0])
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(guests, "run_program", run)
    vms = guests.Guests({}, {"vm-a": "198.51.100.7"}, "/k", "/h", lambda _name: "")
    assert vms.host_pings("vm-a") == "198.51.100.7"
    needs = (PROJECT / "invoke").read_text().partition("build_needs()")[0]
    assert [f"\n{program} " in needs for program in started] == [True]


def test_the_host_key_of_the_last_boot_counts(
    tmp_path: Path,
) -> None:
    from stacklab.drivers.cloud_smoke.guests import Guests

    old, new = "ssh-ed25519 " + "A" * 60, "ssh-ed25519 " + "B" * 60
    console = f"TENANT hostkey {old} 3.1\nTENANT init\nTENANT hostkey {new} 2.9\n"
    known = tmp_path / "known_hosts"
    guests = Guests({}, {"vm-a": "198.51.100.7"}, "/k", str(known), lambda _name: console)
    guests._learn_host_key("vm-a")
    guests._learn_host_key("vm-a")
    assert known.read_text() == f"198.51.100.7 {new}\n"


class FakeNova:
    """VMs by name, with what their status is at each look; says what it was asked."""

    def __init__(self, **statuses: list[str]) -> None:
        self._statuses = statuses
        self.details = 0

    def servers(self, *, details: bool, status: str = "") -> list[SimpleNamespace]:
        assert not details, "a detail costs neutron five requests"
        return [
            SimpleNamespace(name=f"smoke-{name}", id=name)
            for name, now in self._statuses.items()
            if status in ("", now[0])
        ]

    def pass_time(self, _seconds: float) -> None:
        for name, now in self._statuses.items():
            self._statuses[name] = now[1:] or now

    def get_server(self, server_id: str) -> SimpleNamespace:
        self.details += 1
        return SimpleNamespace(id=server_id, fault={"message": "No valid host was found"})


def resources_of(nova: FakeNova, monkeypatch: pytest.MonkeyPatch) -> Resources:
    from stacklab.drivers.cloud_smoke import steps
    from stacklab.drivers.cloud_smoke.resources import Resources as Made

    monkeypatch.setattr(steps.time, "sleep", nova.pass_time)
    return Made(SimpleNamespace(compute=nova), "smoke", has_volumes=False)  # type: ignore[arg-type]


def test_waiting_for_vms_asks_nova_for_names_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    nova = FakeNova(a=["BUILD", "ACTIVE"], b=["BUILD", "BUILD", "ACTIVE"])
    resources_of(nova, monkeypatch).wait_for_status(["a", "b"], "ACTIVE", 60)
    assert nova.details == 0


def test_a_vm_that_nova_gave_up_ends_the_wait_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from stacklab.drivers.cloud_smoke.steps import StepFailed

    nova = FakeNova(a=["BUILD", "ACTIVE"], b=["BUILD", "ERROR"])
    with pytest.raises(StepFailed, match="smoke-b: No valid host was found"):
        resources_of(nova, monkeypatch).wait_for_status(["a", "b"], "ACTIVE", 60)


def test_vms_that_do_not_come_up_are_named_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    from stacklab.drivers.cloud_smoke.steps import StepFailed

    nova = FakeNova(a=["ACTIVE"], b=["BUILD"])
    with pytest.raises(StepFailed, match="not ACTIVE: smoke-b"):
        resources_of(nova, monkeypatch).wait_for_status(["a", "b"], "ACTIVE", -1)


@pytest.mark.parametrize(
    ("statuses", "says"),
    [
        ([], "no migration on record"),
        (["running", "error"], "the move is running"),
        (["completed"], ""),
    ],
)
def test_the_last_migration_says_how_far_a_move_is(statuses: list[str], says: str) -> None:
    from stacklab.drivers.cloud_smoke.moves import Moves

    migrations = [SimpleNamespace(status=status, source_compute="one") for status in statuses]
    cloud: Any = SimpleNamespace(
        compute=SimpleNamespace(migrations=lambda instance_uuid: migrations)
    )
    moves = Moves(cloud, SimpleNamespace(), SimpleNamespace())  # type: ignore[arg-type]
    assert moves._unfinished_move("1") == says


def test_a_migration_that_nova_gave_up_names_where_its_reason_is() -> None:
    from stacklab.drivers.cloud_smoke.moves import Moves
    from stacklab.drivers.cloud_smoke.steps import StepFailed

    migrations = [SimpleNamespace(status="failed", source_compute="one")]
    cloud: Any = SimpleNamespace(
        compute=SimpleNamespace(migrations=lambda instance_uuid: migrations)
    )
    moves = Moves(cloud, SimpleNamespace(), SimpleNamespace())  # type: ignore[arg-type]
    with pytest.raises(StepFailed, match="journal of one"):
        moves._unfinished_move("1")


def test_nothing_is_deleted_where_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    from stacklab.drivers.cloud_smoke.resources import Resources

    resources = Resources(SimpleNamespace(), "smoke", has_volumes=False)  # type: ignore[arg-type]
    monkeypatch.setattr(resources, "_everything", lambda: iter(()))
    resources.delete_all()  # a cloud that knows nothing would raise AttributeError
