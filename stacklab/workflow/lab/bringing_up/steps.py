"""One run of `lab.up`: its steps, in their order."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

from stacklab import files, installers, record
from stacklab.checks import plan
from stacklab.checks.explain.causes import raise_for
from stacklab.checks.result import ALL, CheckResult, Layer, Selection
from stacklab.errors import LabError
from stacklab.installers.kit.write import digest, write_tree
from stacklab.installers.rendering import Rendered
from stacklab.model import lab_json
from stacklab.model.lab import Lab, Node, NodeKind
from stacklab.model.stack import NO_INSTALLER
from stacklab.model.state import NodeState
from stacklab.nodes import access, seed
from stacklab.nodes.access import Keys
from stacklab.paths import LabPaths
from stacklab.providers import registry
from stacklab.providers.contract import Provider
from stacklab.record import LabRecord, NodeRecord
from stacklab.stages.journal import Journal
from stacklab.workflow.base_image import Choice
from stacklab.workflow.check import checking
from stacklab.workflow.cloud import departed
from stacklab.workflow.context import Context, read_own
from stacklab.workflow.faults import faults
from stacklab.workflow.lab import host_guard
from stacklab.workflow.lab.bringing_up import boot_times, node_hosting, preparing
from stacklab.workflow.lab.changes import names, nics
from stacklab.workflow.lab.lab_up import LabUp
from stacklab.workflow.mirror import serving
from stacklab.workflow.nodes import clocks, drivers
from stacklab.workflow.nodes.impair import impair
from stacklab.workflow.nodes.wait import Waiter
from stacklab.workflow.placing import place_changed, render_answers
from stacklab.workflow.snapshots import checkpoints, pristine
from stacklab.workflow.stack import stack

# A spec's own checks may be about its cloud.
_OF_CLOUD = Selection(layers=frozenset({Layer.SERVICES, Layer.CUSTOM}))
# Whether the cloud does its work is proved on request: that takes minutes.
_OF_NODES = Selection(layers=frozenset(Layer) - _OF_CLOUD.layers - {Layer.CLOUD})


class Bringing:
    """One run of up: the lab, its record as it grows, and the steps in their order.

    The caller holds the lab's lock.
    """

    def __init__(
        self,
        context: Context,
        lab: Lab,
        paths: LabPaths,
        *,
        ttl_s: float | None = None,
        all_as: NodeKind | None = None,
        with_stack: bool = True,
    ) -> None:
        self._context = context
        self._lab = lab
        self._paths = paths
        self._progress = context.progress
        self._ttl_s = ttl_s
        self._all_as = all_as
        self._runs_stack = with_stack and installers.is_quick(lab)
        self._record: LabRecord  # since `bring` began
        self._expires_at: float | None = None  # of the lab as it was before
        self._is_made_anew = False  # all of its nodes, since `bring` began

    def prepare(self, before: LabRecord | None, *, anew: bool = False) -> Choice:
        """Find what would fail, and get the base image, before a node is touched.

        `anew` takes today's image even where overlays of another one exist.
        """
        self._expires_at = before.expires_at if before else None
        return preparing.prepare(self._context, self._lab, self._paths, before, anew=anew)

    def come_back(self, before: LabRecord | None, choice: Choice) -> LabUp | None:
        """Restore the pristine snapshot; None where there is none, or not of today's lab."""
        if self._leaves_cloud_out:
            return None  # the snapshot has the cloud
        manifest = pristine.bring_back(
            self._context,
            self._lab,
            self._paths,
            before,
            image=choice.stored.key,
            expires_at=self._expiry_time(),
        )
        if manifest is None:
            return None
        return LabUp(
            lab=self._lab,
            image=manifest.image,
            passed_over=choice.passed_over,
            accelerator=node_hosting.say(self._context, self._lab),
            results=(),
            lacks_stack=self._lacks_stack,
            came_from=manifest,
            comes_back=True,
        )

    @property
    def _leaves_cloud_out(self) -> bool:
        return installers.is_quick(self._lab) and not self._runs_stack

    @property
    def _lacks_stack(self) -> bool:
        return self._lab.stack.installer is not NO_INSTALLER and not self._runs_stack

    def remove_node(self, before: LabRecord, node: str) -> LabRecord:
        """Remove a node, and return the record of a lab in which it has still to be made."""
        recorded = before.node(node)
        assert recorded is not None  # the spec did not change, and has it
        # Recorded first: if this is cut short, the next `lab.up` makes the node anew.
        half = before.with_node(dataclasses.replace(recorded, is_created=False, answers=""))
        self._write_record(half)
        with self._progress.stage(node, "remove"):
            self._context.provider(half).remove_node(self._paths, half, node)
        return half

    def bring(self, before: LabRecord | None, choice: Choice, *, checks: bool) -> LabUp:
        """Make and start what is missing, then check."""
        lab, paths, progress = self._lab, self._paths, self._progress
        how_run = node_hosting.say(self._context, lab)
        provider = self._provider(before)
        image, passed_over = choice.stored.key, choice.passed_over
        if before is None:
            before = registry.new_record(
                lab,
                paths,
                image=image,
                passed_over=passed_over,
                now=time.time(),
                provider=provider.name,
                all_as=self._all_as or "",
            )
        expires_at = self._expiry_time()
        self._warn_if_expired(expires_at)
        # A run that was cut short before its first overlay may have recorded another base image.
        self._write_record(
            dataclasses.replace(before, image=image, passed_over=passed_over, expires_at=expires_at)
        )
        with progress.stage("host", "files"):
            keys = access.prepare(lab, paths, self._context.runner)
            rendered, _ = render_answers(self._context, lab, paths)
            write_tree(rendered, paths.answers)
            files.write(paths.resolved, lab_json.to_json(lab))
            for path, text in provider.files(lab, paths, self._record).items():
                files.write(path, text, mode=0o600)
            undone = faults.clear(self._context, lab, paths, self._record)
            booting, paused = self._prepare_nodes(provider, choice, keys, rendered)
        # Before they run: a node is never in front of an open host.
        host_guard.close(self._context, lab, paths)
        self._start_nodes(provider, booting, paused)
        self._record = nics.plug_into_running(
            self._context, lab, paths, self._record, choice.image.network
        )
        serving.start(self._context, lab, paths)
        faults.settle(self._context, lab, paths, self._record, undone)
        fresh = {node.name for node in booting}
        self._write_record(
            place_changed(self._context, lab, paths, self._record, rendered, fresh=fresh)
        )
        self._record = names.place(self._context, lab, paths, self._record, keys)
        impair(self._context, lab, paths)
        results = self._check_and_stack(checks=checks)
        # Else somebody may have worked on it, or nobody knows whether it is whole.
        if results and self._is_made_anew and not self._leaves_cloud_out:
            pristine.keep(self._context, lab, paths, self._record, results)
        return LabUp(
            lab=lab,
            image=self._record.image,
            passed_over=self._record.passed_over,
            accelerator=how_run,
            results=results,
            lacks_stack=self._lacks_stack,
            still_listed=self._record.departed,
            comes_back=pristine.is_kept(lab, paths, image=self._record.image),
        )

    def _warn_if_expired(self, expires_at: float | None) -> None:
        if expires_at is None or expires_at >= time.time():
            return
        more = f"./invoke lab.up {self._lab.name} --ttl 2h"
        self._progress.note(
            "host", f"this lab's TTL has expired; lab.reap will destroy it unless you run {more}"
        )

    def _check_and_stack(self, *, checks: bool) -> tuple[CheckResult, ...]:
        """Check the nodes, run the stages of a quick installer, and then check its cloud."""
        lab, paths = self._lab, self._paths
        if not self._runs_stack:
            # Where --no-stack has left a cloud out, none of its services can be expected.
            selection = _OF_NODES if self._leaves_cloud_out else ALL
            results = self._check(selection) if checks else ()
            self._after_nodes()
            self._forget_departed()
            return results
        # First the nodes: where their networks are broken, a stage would fail without a cause.
        results = self._check(_OF_NODES) if checks else ()
        self._after_nodes()
        stack.run_held(self._context, lab, paths, self._record, hook=checkpoints.after_stage)
        # It may have placed answers, or had the cloud forget a compute, and recorded that.
        self._record = read_own(paths) or self._record
        if checks and plan.expected(lab, _OF_CLOUD):
            results += self._check(_OF_CLOUD)
        return results

    def _forget_departed(self) -> None:
        """Have the cloud forget the computes that are gone, where no stage runs that does it."""
        self._record = departed.forget(
            self._context,
            self._lab,
            self._paths,
            self._record,
            patience_s=departed.BOOTED_S,
            is_last=True,
        )

    def _after_nodes(self) -> None:
        """Make the snapshot of new nodes, if the lab wants one."""
        if self._is_made_anew:
            checkpoints.after_nodes(self._context, self._lab, self._record)

    def _check(self, selection: Selection) -> tuple[CheckResult, ...]:
        name = self._lab.name
        results = checking.check(self._context, self._lab, self._paths, selection=selection)
        raise_for(
            results,
            warnings=False,
            hint=f"./invoke lab.check {name}, or ./invoke lab.ssh {name}",
        )
        return results

    def _provider(self, before: LabRecord | None) -> Provider:
        return self._context.provider(before, of_new=self._lab)

    def _expiry_time(self) -> float | None:
        """Return when the lab expires: never earlier than was promised before."""
        if self._ttl_s is None:
            return self._expires_at
        return max(time.time() + self._ttl_s, self._expires_at or 0.0)

    def _write_record(self, changed: LabRecord) -> None:
        self._record = changed
        record.write(self._paths, changed)

    def _write_node(self, changed: NodeRecord) -> None:
        self._write_record(self._record.with_node(changed))

    def _nodes_not_running(self, provider: Provider) -> tuple[Sequence[Node], Sequence[Node]]:
        """Remove what was left half-way; return the nodes to boot, and those paused."""
        states = provider.status(self._record)
        booting, paused = [], []
        for node in self._lab.nodes:
            state = states[node.name]
            is_created = self._record_of(node).is_created
            if state is NodeState.RUNNING and is_created:
                continue
            if state is NodeState.PAUSED and is_created:
                paused.append(node)
                continue
            if state is not NodeState.ABSENT and not is_created:
                # Its making was cut short: nothing in it is worth keeping.
                provider.remove_node(self._paths, self._record, node.name)
            booting.append(node)
        return booting, paused

    def _prepare_nodes(
        self, provider: Provider, choice: Choice, keys: Keys, rendered: Rendered
    ) -> tuple[Sequence[Node], Sequence[Node]]:
        """Give the nodes that are to boot what they start from; return them, and those paused."""
        lab = self._lab
        style = choice.image.network  # how the image's network is configured
        booting, paused = self._nodes_not_running(provider)
        provider.prepare(
            lab,
            self._record,
            [node.name for node in booting],
            base=choice.stored.path,
            identity=lambda node: seed.entries(lab, node, keys, style, rendered[node.name]),
        )
        for node in booting:
            self._write_node(
                dataclasses.replace(self._record_of(node), answers=digest(rendered[node.name]))
            )
        nics.plug_into_off(self._context, lab, self._record, booting)
        return booting, paused

    def _start_nodes(
        self, provider: Provider, booting: Sequence[Node], paused: Sequence[Node]
    ) -> None:
        starting = [node.name for node in (*booting, *paused)]
        made = [node.name for node in booting if not self._record_of(node).is_created]
        self._is_made_anew = len(made) == len(self._lab.nodes)
        # Before they exist: what was done on the nodes that they replace is lost.
        Journal(self._paths.journal).note_new_nodes(made)
        waiter = Waiter(self._lab, self._paths, self._record, provider, self._progress)
        started = time.monotonic()
        if starting:
            provider.up(self._lab, self._paths, self._record, starting)
            for node in booting:
                self._write_node(self._record_of(node).as_booted())
        waiter.start(self._lab.nodes)
        waiter.finish()
        if len(booting) == len(self._lab.nodes):
            boot_times.keep(self._context.host, self._lab, time.monotonic() - started)
        # A container's clock is the host's: it has none of its own, and must not be set.
        vms = self._lab.of_kind(NodeKind.VM)
        if vms:
            drivers.load(self._context.runner, self._paths, vms)
            # A booting kernel reads its clock to the second, and nobody puts it right later.
            with self._progress.stage("host", "clocks"):
                clocks.set_clocks(self._context.runner, self._paths, vms)
        self._write_record(dataclasses.replace(self._record, answered_at=time.time()))

    def _record_of(self, node: Node) -> NodeRecord:
        node_record = self._record.node(node.name)
        if node_record is None:
            raise LabError(
                f"{node.name} is not on record", hint=f"./invoke lab.rebuild {self._lab.name}"
            )
        return node_record
