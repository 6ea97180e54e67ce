"""`lab.up`: from a lab to nodes that passed their checks, going on wherever it was left."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from stacklab import doctor, files, record, secrets, spec
from stacklab.checks.explain.causes import raise_for
from stacklab.checks.result import CheckResult
from stacklab.errors import CommandFailed, LabError
from stacklab.foreign import printable
from stacklab.installers import rendering as answers
from stacklab.installers.kit.write import digest, write_tree
from stacklab.model.lab import Lab, NetworkStyle, Node
from stacklab.model.state import NodeState
from stacklab.nodes import access, protocol, seed, session
from stacklab.nodes.access import Keys
from stacklab.nodes.protocol import Part
from stacklab.paths import LabPaths
from stacklab.process import Command, as_root
from stacklab.providers.libvirt.provider import VagrantLibvirt
from stacklab.record import LabRecord, NodeRecord
from stacklab.tools import qemu_img
from stacklab.tools.host_mirrors import host_mirrors
from stacklab.workflow import base_image as base
from stacklab.workflow.base_image import Choice
from stacklab.workflow.check import checking
from stacklab.workflow.context import Context, last_resolved, read_own
from stacklab.workflow.faults import faults
from stacklab.workflow.lab import changes
from stacklab.workflow.nodes import clocks
from stacklab.workflow.nodes.impair import impair
from stacklab.workflow.nodes.wait import Waiter

Rendered = Mapping[str, Mapping[PurePosixPath, str]]

_PLACE_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A lab that is up."""

    lab: Lab
    image: str
    passed_over: Mapping[str, str]
    accelerator: str
    results: tuple[CheckResult, ...]


def up(context: Context, lab: Lab, *, checks: bool = True, ttl_s: float | None = None) -> Outcome:
    """Bring the lab up, or what is missing of it, and check it; from now on it has `ttl_s` before lab.reap may take it.

    Idempotent: nodes that run are left alone. Raises what stands in errors.py; whatever
    happened, the same call goes on from there, and destroy removes all of it.
    """
    with context.lab_lock(lab.name) as paths:
        bringing = Bringing(context, lab, paths, ttl_s=ttl_s)
        before = read_own(paths)
        if before is not None:
            changes.refuse(lab, last_resolved(paths))
        return bringing.bring(before, bringing.prepare(before), checks=checks)


class Bringing:
    """One run of up: the lab, its record as it grows, and the steps in their order.

    For callers that hold the lab's lock.
    """

    def __init__(
        self, context: Context, lab: Lab, paths: LabPaths, *, ttl_s: float | None = None
    ) -> None:
        self._context = context
        self._lab = lab
        self._paths = paths
        self._progress = context.progress
        self._ttl_s = ttl_s
        self._expires_at: float | None = None  # of the lab that is there already

    def prepare(self, before: LabRecord | None, *, anew: bool = False) -> Choice:
        """Find out all that can be known to fail, and have the base image, before a node is touched.

        `anew` takes today's image even where overlays of another one exist.
        """
        self._expires_at = before.expires_at if before else None
        with self._progress.stage("host", "preflight"):
            answers.preview(self._lab)
            self._preflight(before)
        return self._base(None if anew else before)

    def bring(self, before: LabRecord | None, choice: Choice, *, checks: bool) -> Outcome:
        """Make and start what is missing, then check."""
        lab, paths, progress = self._lab, self._paths, self._progress
        accelerator = self._context.accelerator()
        progress.note("host", f"accelerator: {accelerator}")
        provider = self._context.provider(accelerator)
        image, passed_over = choice.stored.key, choice.passed_over
        if before is None:
            before = record.new(lab, paths, image=image, passed_over=passed_over, now=time.time())
        # A run that was ended before its first overlay may have recorded another base than is taken now.
        expires_at = self._until()
        if expires_at is not None and expires_at < time.time():
            more = f"./invoke lab.up {lab.name} --ttl 2h"
            progress.note("host", f"its time (--ttl) is over: lab.reap takes it, unless {more}")
        self._keep(
            dataclasses.replace(before, image=image, passed_over=passed_over, expires_at=expires_at)
        )
        with progress.stage("host", "files"):
            keys = access.prepare(lab, paths, self._context.runner)
            rendered, _ = render_answers(self._context, lab, paths)
            write_tree(rendered, paths.answers)
            files.write(paths.resolved, spec.to_json(lab))
            for path, text in provider.files(lab, paths, self._record).items():
                files.write(path, text, mode=0o600)
            undone = faults.clear(self._context, lab, paths, self._record)
            missing = self._prepare_disks(provider, choice, keys, rendered)
        self._start(provider, missing)
        faults.settle(self._context, lab, paths, self._record, undone)
        self._place_answers(rendered, fresh={node.name for node in missing})
        impair(self._context, lab, paths)
        results = checking.check(self._context, lab, paths) if checks else ()
        raise_for(
            results,
            warnings=False,
            hint=f"./invoke lab.check {lab.name}, or ./invoke lab.ssh {lab.name}",
        )
        return Outcome(
            lab=lab,
            image=self._record.image,
            passed_over=self._record.passed_over,
            accelerator=str(accelerator),
            results=results,
        )

    def _until(self) -> float | None:
        """When the lab expires: a new time to live counts from now, and takes nothing from an older promise."""
        if self._ttl_s is None:
            return self._expires_at
        return max(time.time() + self._ttl_s, self._expires_at or 0.0)

    def _keep(self, changed: LabRecord) -> None:
        self._record = changed
        record.write(self._paths, changed)

    def _preflight(self, before: LabRecord | None) -> None:
        context, lab = self._context, self._lab
        context.libvirt  # noqa: B018  starts libvirtd if that is all that is missing
        states = context.provider().status(before) if before else {}
        starting = [
            node.name for node in lab.nodes if states.get(node.name) is not NodeState.RUNNING
        ]
        doctor.raise_for(
            doctor.preflight(
                lab,
                context.host,
                context.machine,
                connect=context.why_unreachable,
                others=context.other_labs(lab.name),
                starting=starting,
                builds_image=not base.is_built(context, lab),
            )
        )

    def _base(self, before: LabRecord | None) -> Choice:
        if before is not None and any(node.overlay.exists() for node in before.nodes):
            return base.recorded(self._context, before)
        return base.choose(self._context, self._lab)

    def _prepare_disks(
        self, provider: VagrantLibvirt, choice: Choice, keys: Keys, rendered: Rendered
    ) -> tuple[Node, ...]:
        """Put right what was left half-way, make what is missing; returns the nodes to start."""
        states = provider.status(self._record)
        starting = []
        for node in self._lab.nodes:
            found = self._record_of(node)
            state = states[node.name]
            if state is NodeState.RUNNING and found.is_created:
                continue
            if state is NodeState.PAUSED and found.is_created:
                self._context.libvirt.resume(found.uuid)
                continue
            if state is not NodeState.ABSENT and not found.is_created:
                # Vagrant was ended between the domain and its second NIC: nothing in it is worth keeping
                provider.remove_node(self._paths, self._record, node.name)
            if not found.overlay.exists():
                self._context.runner.run(
                    qemu_img.overlay(found.overlay, choice.stored.path, node.disk)
                )
            self._write_seed(node, found, keys, choice.image.network, rendered[node.name])
            _empty_console(self._paths, node)
            starting.append(node)
        return tuple(starting)

    def _write_seed(
        self,
        node: Node,
        found: NodeRecord,
        keys: Keys,
        style: NetworkStyle,
        files_: Mapping[PurePosixPath, str],
    ) -> None:
        content = seed.entries(self._lab, node, keys, style, files_)
        # libvirt gives the file to QEMU's user when the domain starts; until then it is ours alone
        found.seed.unlink(missing_ok=True)
        files.write(found.seed, seed.image(content), mode=0o600)
        self._keep(self._record.with_node(dataclasses.replace(found, answers=digest(files_))))

    def _start(self, provider: VagrantLibvirt, nodes: Sequence[Node]) -> None:
        waiter = Waiter(self._lab, self._paths, self._record, provider, self._progress)
        if nodes:
            provider.up(self._lab, self._paths, self._record, [node.name for node in nodes])
            self._open_consoles(nodes)
            for node in nodes:
                self._keep(
                    self._record.with_node(
                        dataclasses.replace(self._record_of(node), is_created=True)
                    )
                )
        waiter.start(self._lab.nodes)
        waiter.finish()
        # A booting kernel reads its clock to the second, and nobody puts it right later.
        clocks.set_clocks(self._context.runner, self._paths, self._lab.nodes)
        self._keep(dataclasses.replace(self._record, answered_at=time.time()))

    def _open_consoles(self, nodes: Sequence[Node]) -> None:
        """Let us read what our nodes say: virtlogd makes the files anew, root's and shut, in our 0700 directory."""
        if os.geteuid() == 0:
            return
        argv = as_root(("chmod", "0644", *(str(self._paths.console(node.name)) for node in nodes)))
        with contextlib.suppress(LabError):  # without sudo the nodes run all the same
            self._context.runner.run(Command(argv=argv, what="opening the console logs"))

    def _place_answers(self, rendered: Rendered, *, fresh: set[str]) -> None:
        """Bring changed answer files to nodes that ran already; new nodes have them from their seeds."""
        for node in self._lab.nodes:
            wanted = digest(rendered[node.name])
            found = self._record_of(node)
            if node.name in fresh or found.answers == wanted or not rendered[node.name]:
                continue
            place_answers(self._context, self._lab, self._paths, node.name, rendered[node.name])
            self._keep(self._record.with_node(dataclasses.replace(found, answers=wanted)))

    def _record_of(self, node: Node) -> NodeRecord:
        found = self._record.node(node.name)
        if found is None:
            raise LabError(
                f"{node.name} is not on record", hint=f"./invoke lab.rebuild {self._lab.name}"
            )
        return found


def render_answers(
    context: Context, lab: Lab, paths: LabPaths
) -> tuple[Rendered, Mapping[str, str]]:
    """Every answer file with the lab's own secrets, made now if there are none; and those. For who holds the lock."""
    known = secrets.load_or_make(paths.secrets, answers.secret_names(lab), lab.stack.secrets)
    return answers.render(lab, known, mirrors=host_mirrors(context.runner)), known


def place_answers(
    context: Context, lab: Lab, paths: LabPaths, node: str, found: Mapping[PurePosixPath, str]
) -> None:
    """Bring answer files to a running node, over those that are there; their directories are made."""
    with context.progress.stage(node, "answers"):
        archive = seed.tar(seed.answer_entries(lab, found))
        shell = protocol.fed("sudo -n tar -xpf - -C /", archive)
        part = Part(tag="answers.place", shell=shell, limit_s=_PLACE_LIMIT_S)
        reply = session.ask(context.runner, paths, node, [part], limit_s=_PLACE_LIMIT_S)
        placed = reply.answer.of(part.tag)
        if placed.code != 0:
            why = reply.missing(part.tag) or placed.text or f"ended with {placed.code}"
            raise CommandFailed(
                f"placing the answers on {node} failed: {printable(why)}",
                hint=f"./invoke lab.check {paths.name}, then ./invoke lab.up {paths.name} again",
            )


def _empty_console(paths: LabPaths, node: Node) -> None:
    """Only this boot's words, and something to look at before virtlogd makes its own."""
    console = paths.console(node.name)
    console.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    console.unlink(missing_ok=True)
    os.close(os.open(console, os.O_WRONLY | os.O_CREAT, 0o600))
