"""A provider that the house never heard of: one folder (fake/) and one line bring its labs up."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest

from stacklab import record
from stacklab.checks import plan
from stacklab.checks.result import CheckKind, CheckStatus
from stacklab.dev.simulated.simulate import SimulatedNodes
from stacklab.errors import LabError, NodeNotReady, ProviderError
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.process import Command, Result
from stacklab.providers import contract, registry
from stacklab.providers.contract import HostServices, Provider
from stacklab.workflow.check import checking
from stacklab.workflow.faults import faults
from stacklab.workflow.lab import ending, entering
from stacklab.workflow.lab import plan as planning
from stacklab.workflow.lab import status as lab_status
from stacklab.workflow.lab import up as bringing
from stacklab.workflow.logs import logs
from stacklab.workflow.nodes import wait
from tests.conftest import FakeRunner
from tests.unit.checks.fake_lab import make_lab
from tests.unit.providers.fake.tin import Tin
from tests.unit.providers.libvirt.fake_libvirt import TCG
from tests.unit.workflow.fake_host import FakeHost

LAB = make_lab(retries=0)
# The one line.
LINE = {"tin": "tests.unit.providers.fake.tin:KIND"}


class Runner(FakeRunner):
    """Programs are scripted; a session with a node is one with a simulated node."""

    lab: Lab

    def converse(
        self,
        command: Command,
        *,
        heard: Callable[[str, float], None],
        why_stop: Callable[[], str] = lambda: "",
    ) -> Result:
        return SimulatedNodes(self.lab).converse(command, heard=heard, why_stop=why_stop)


@pytest.fixture
def tin(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """A host whose new labs are Tin's, and that has no libvirt."""
    for word, place in LINE.items():
        monkeypatch.setitem(registry.PROVIDERS, word, place)
    host.context.providers.clear()
    host.context.provider_of_new_labs = "tin"
    host.context.runner = Runner(script=host.runner.script)
    host.context.runner.lab = LAB
    return host


@pytest.fixture
def up(tin: FakeHost) -> FakeHost:
    outcome = bringing.up(tin.context, LAB)
    assert len(outcome.results) == len(plan.expected(LAB))
    return tin


def test_up_brings_it_up_and_checks_it(up: FakeHost) -> None:
    kept = registry.read(up.lab())
    assert kept is not None
    assert kept.provider == "tin"
    assert all(node.is_created and node.answers for node in kept.nodes)
    assert set(up.context.providers) == {"tin"}, "libvirt was never asked for"
    assert (up.ups, up.libvirt.calls) == ([], [])


def test_what_runs_is_left_alone_and_what_is_off_is_started(up: FakeHost) -> None:
    before = registry.read(up.lab())
    assert before is not None
    up.context.provider(before).down(before, ["compute1"], patience_s=1)
    assert ("node compute1", "start") in [row[:2] for row in planning.plan(up.context, LAB)]
    bringing.up(up.context, LAB, checks=False)
    (status,) = lab_status.status(up.context)
    assert set(status.states.values()) == {NodeState.RUNNING}


def test_check_proves_it_with_simulated_nodes(up: FakeHost) -> None:
    results = checking.check(up.context, LAB, up.lab())
    assert {result.status for result in results} == {CheckStatus.PASSED}


def test_a_node_that_is_off_fails_its_check_without_evidence_of_this_host(up: FakeHost) -> None:
    kept = registry.read(up.lab())
    assert kept is not None
    up.context.provider(kept).down(kept, ["compute1"], patience_s=1)
    results = checking.check(up.context, LAB, up.lab())
    (state,) = [
        r for r in results if r.check.kind is CheckKind.STATE and r.check.node == "compute1"
    ]
    assert (state.status, state.detail, state.command) == (CheckStatus.FAILED, "is off", "")


def test_faults_are_refused_before_anything_is_changed(up: FakeHost) -> None:
    before = up.lab().record.read_bytes()
    for words in (["pause", "compute1"], ["partition", "net1", "compute1"]):
        with pytest.raises(
            ProviderError, match="lab trio is made by the provider tin, which does not have fau"
        ):
            faults.apply(up.context, LAB, up.lab(), faults.parse(LAB, words))
    with pytest.raises(ProviderError, match="does not have faults") as caught:
        faults.undo(up.context, LAB, up.lab())
    assert caught.value.hint
    assert not (up.lab().root / "faults.json").exists()
    assert up.lab().record.read_bytes() == before


@pytest.mark.parametrize("is_interactive", [False, True])
def test_a_console_is_refused(up: FakeHost, is_interactive: bool) -> None:
    with pytest.raises(ProviderError, match="provider tin, which does not have a serial console"):
        entering.console(up.context, "trio", "", follow=False, interactive=is_interactive)


def test_its_logs_are_those_of_the_lab_alone(up: FakeHost) -> None:
    for program in ("uname", "uptime", "free", "df", "git"):
        up.runner.on(program, stdout=f"{program} says\n")
    written = logs.collect(up.context, "trio", str(up.root / "bundle"), index=lambda _bundle: "")
    had = {item.path for item in written.bundle.items if not item.why_not}
    assert {"host/record.json", "host/machine.txt"} <= had
    assert not any("domains" in item.path for item in written.bundle.items)


def test_down_and_destroy_leave_nothing(up: FakeHost) -> None:
    ending.down(up.context, "trio")
    (status,) = lab_status.status(up.context, "trio")
    assert set(status.states.values()) == {NodeState.OFF}
    assert ending.destroy(up.context, "trio") is True
    assert not (up.root / "tin").exists()
    assert record.names(up.paths) == ()


def test_a_node_that_hangs_is_not_reset(up: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait, "banner", lambda _address, _port=22: (False, "refused"))
    monkeypatch.setattr(wait, "_LOOK_EVERY_S", 0.0)
    console = up.lab().console("compute1")
    console.parent.mkdir(parents=True, exist_ok=True)
    console.write_text("Kernel panic - not syncing\n")
    lab = dataclasses.replace(LAB, checks=dataclasses.replace(LAB.checks, boot_timeout_s=2))
    with pytest.raises(NodeNotReady, match="compute1 will never answer: its kernel panicked"):
        bringing.up(up.context, lab, checks=False)


def test_a_forged_handle_is_refused_by_its_own_provider(up: FakeHost) -> None:
    whole = json.loads(up.lab().record.read_text())
    whole["nodes"][0]["handle"]["tin"] = "../../theirs"
    up.lab().record.write_text(json.dumps(whole))
    with pytest.raises(LabError, match="not a tin of this lab") as caught:
        ending.destroy(up.context, "trio")
    assert str(caught.value.hint).startswith("ls tin shows what is left")


def test_both_providers_are_what_the_contract_says(up: FakeHost) -> None:
    site = HostServices(
        host=up.paths,
        runner=up.context.runner,
        progress=up.context.progress,
        accelerator=lambda: TCG,
    )
    tin: Provider = Tin(site)
    libvirt: Provider = registry.open_provider("libvirt", site)
    capabilities = (
        contract.Console,
        contract.Resets,
        contract.MakesFaults,
        contract.Evidence,
        contract.HostLogs,
        contract.Orphans,
    )
    assert [isinstance(tin, capability) for capability in capabilities] == [False] * 6
    assert [isinstance(libvirt, capability) for capability in capabilities] == [True] * 6
