"""`lab.check`: prove a running lab: what is asked for, once or again and again."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from stacklab.checks import host, plan
from stacklab.checks.asking.mesh import Mesh, States
from stacklab.checks.expect import Outage, summary
from stacklab.checks.family import Facts
from stacklab.checks.outcome import Outcome
from stacklab.checks.result import (
    ALL,
    Check,
    CheckKind,
    CheckResult,
    Layer,
    Selection,
    checks_of_kind,
)
from stacklab.errors import LabError, ProviderError
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.providers import registry
from stacklab.providers.contract import Evidence
from stacklab.record import LabRecord
from stacklab.tools.host.mirrors import host_mirrors
from stacklab.words import suggest
from stacklab.workflow import masking
from stacklab.workflow.check import other_labs
from stacklab.workflow.check.explaining import explained
from stacklab.workflow.cloud import proving
from stacklab.workflow.context import Context, running_lab
from stacklab.workflow.faults import fault_list
from stacklab.workflow.lab import host_guard

_LONGEST_WAIT_S = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """A request for checks of a running lab."""

    lab: Lab
    paths: LabPaths
    selection: Selection = ALL
    # How long to retry what fails; None: as often as the lab's spec says.
    wait_s: float | None = None
    # What the lab's faults cut must be cut.
    is_expecting: bool = False
    # A warning ends the command with an error.
    is_strict: bool = False


def request(
    context: Context,
    name: str,
    *,
    layers: str = "",
    nodes: str = "",
    networks: str = "",
    wait: str = "",
    expect: bool = False,
    strict: bool = False,
) -> CheckRequest:
    """Return the request that was typed; commas separate several words of one kind.

    Raises LabError naming the word that is wrong.
    """
    lab, paths = running_lab(context, name)
    selection = Selection(
        layers=frozenset(map(Layer, _split_words(layers, "layer", list(Layer)))),
        nodes=frozenset(_split_words(nodes, "node", [node.name for node in lab.nodes])),
        networks=frozenset(
            _split_words(networks, "network", [network.name for network in lab.networks])
        ),
    )
    if not plan.expected(lab, selection):
        layers_of_lab = {check.kind.layer for check in plan.expected(lab)}
        listed = ", ".join(layer for layer in Layer if layer in layers_of_lab)
        hint = f"./invoke lab.check {name} (its layers: {listed})"
        raise LabError(
            f"the selection fits none of lab {name}'s checks: nothing would be proved", hint=hint
        )
    return CheckRequest(
        lab=lab,
        paths=paths,
        selection=selection,
        wait_s=_parse_wait(wait),
        is_expecting=expect,
        is_strict=strict,
    )


def _split_words(text: str, what: str, known: Sequence[str]) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in known:
            raise LabError(f"no {what} {word!r} ({suggest(word, known, label='there are')})")
    return words


def _parse_wait(text: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0  # refused below; so is `nan`, which no comparison holds for
    if not 0 <= seconds <= _LONGEST_WAIT_S:
        raise LabError(f"--wait {text} is not a number of seconds", hint="--wait 60")
    return seconds


def run(context: Context, request: CheckRequest) -> Outcome:
    """Do the checks once."""
    started_at = time.time()
    started = time.monotonic()  # a clock that is set meanwhile must not change what it took
    results = check(
        context,
        request.lab,
        request.paths,
        selection=request.selection,
        wait_s=request.wait_s,
        expect=request.is_expecting,
    )
    return Outcome(
        lab=request.lab,
        results=results,
        started_at=started_at,
        elapsed_s=time.monotonic() - started,
        is_strict=request.is_strict,
    )


def watch(
    context: Context,
    request: CheckRequest,
    *,
    interval_s: float = 5.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Outcome]:
    """Do the checks again and again, for ever; what fails is not retried in between."""
    while True:
        # The next round comes soon enough to show what has passed meanwhile.
        yield run(context, dataclasses.replace(request, wait_s=0.0))
        sleep(interval_s)


def check(
    context: Context,
    lab: Lab,
    paths: LabPaths,
    *,
    selection: Selection = ALL,
    wait_s: float | None = None,
    expect: bool = False,
) -> tuple[CheckResult, ...]:
    """Check what the spec promises of running nodes.

    What fails is retried as the lab says, or for `wait_s`, and its result has a cause.
    With `expect`, what the lab's faults cut must be cut.
    """
    # Read only when it is asked for: a damaged list must not keep a lab from being checked.
    outage = Outage(lab, fault_list.listed(paths) if expect else ())
    if expect and not outage.faults:
        raise LabError(
            f"lab {lab.name} does not have a fault: there is nothing to expect",
            hint=f"./invoke lab.fault {lab.name} ...",
        )
    with context.progress.stage("host", "checks"):
        lab_record = registry.read(paths)
        nodes = _Nodes(context, lab_record)
        mesh = Mesh(
            families=plan.FAMILIES,
            lab=lab,
            paths=paths,
            runner=context.runner,
            gather=_facts_gatherer(context, lab, lab_record),
            states=nodes.states,
            about_state=nodes.about_state,
            judge_host=lambda checks: host.judge(plan.FAMILIES, lab, checks, context.runner),
            as_expected=outage.as_expected,
            on_event=lambda event: context.progress.say("host", str(event)),
        )
        listed = plan.expected(lab, selection)
        of_proof = checks_of_kind(listed, CheckKind.CLOUD)
        results = mesh.check([check for check in listed if check not in of_proof], wait_s=wait_s)
    if of_proof:
        results += proving.prove(context, lab, paths, of_proof, results)
    if expect:
        context.progress.note("host", summary(outage, results, time.time()))
    return masking.results(paths, explained(context, lab, paths, results))


def _facts_gatherer(
    context: Context, lab: Lab, lab_record: LabRecord | None
) -> Callable[[Sequence[Check]], Facts]:
    """Return the function that takes the host's control measurements, anew each time."""
    mirrors = host_mirrors(context.runner)

    def gather(checks: Sequence[Check]) -> Facts:
        context.progress.say("host", "control measurements from this host")
        facts = host.gather(
            plan.FAMILIES,
            lab,
            checks,
            context.runner,
            mirrors,
            other_labs=lambda: other_labs.nodes(context, lab),
        )
        answered_at = lab_record.answered_at if lab_record else None
        why_host_open = host_guard.why_open(context.host.lab(lab.name))
        return dataclasses.replace(facts, answered_at=answered_at, why_host_open=why_host_open)

    return gather


class _Nodes:
    """The lab's nodes, as their provider sees them."""

    def __init__(self, context: Context, lab_record: LabRecord | None) -> None:
        self._context = context
        self._record = lab_record
        self._provider = context.provider(lab_record)
        self._why_not = f"{self._provider.name} has not answered yet"
        self._hint = "./invoke doctor"

    def states(self) -> States:
        """Return the nodes' states, without those of which nobody can tell now."""
        if self._record is None:
            return {}
        try:
            states = self._context.states(self._record)
        except ProviderError as error:
            self._why_not, self._hint = error.message, error.hint or ""
            return {}
        if len(states) < len(self._record.nodes):
            unreachable = self._provider.why_unreachable()
            if unreachable is not None:
                self._why_not, self._hint = str(unreachable), unreachable.hint
        return states

    def about_state(self, node: str, state: NodeState | None) -> tuple[str, str]:
        """Return what to say of a node that does not run, and what to type."""
        if state is None:
            return self._why_not, self._hint
        command = ""
        if self._record and isinstance(self._provider, Evidence):
            command = self._provider.state_command(self._record, node)
        return f"is {state}", command
