"""Prove that a lab's cloud works: `drivers/cloud_smoke`, which runs in the client's venv."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stacklab import files, locks
from stacklab.checks.cloud.proof import computes_of
from stacklab.errors import CheckFailed, LabError, NotChecked
from stacklab.foreign import INDENT, printable
from stacklab.model.cloud import CloudAccess, ExternalNetwork
from stacklab.model.lab import Lab
from stacklab.nodes.programs import read_json
from stacklab.paths import LabPaths
from stacklab.tools import ssh
from stacklab.workflow.cloud import client, tenant
from stacklab.workflow.context import Context, running_lab

_DRIVER = "stacklab.drivers.cloud_smoke"
_LIMIT_S = 3600.0
_WAIT_S = 5.0
_MOST_RESULTS = 200
_ROW = "cloud"  # of the progress
_PREFIX = "stacklab-smoke"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeStep:
    """A step of the proof and how it ended; `detail` may have foreign text in it."""

    name: str
    is_ok: bool
    elapsed_s: float
    detail: str


def run(context: Context, name: str, *, keep: bool) -> tuple[SmokeStep, ...]:
    """Run the whole proof, and delete what it made unless `keep`.

    Raises LabError for a lab that is not up or has no cloud, NotChecked if the driver ended
    without a result.
    """
    lab, paths = running_lab(context, name)
    return prove(context, lab, paths, keep=keep)


def prove(context: Context, lab: Lab, paths: LabPaths, *, keep: bool) -> tuple[SmokeStep, ...]:
    """Run the whole proof of a lab that is up; see `run`."""
    client.access_of(lab)  # refuses a lab without a cloud
    client.prepare_venv(context)
    paths.cloud.mkdir(mode=0o700, exist_ok=True)
    # A second one would delete what the first has made: it has to be left of an earlier run.
    lock = paths.cloud / "smoke.lock"
    with locks.held(lock, f"cloud.smoke {lab.name}", wait_s=_WAIT_S):
        return _run(context, lab, paths, keep=keep)


def _run(context: Context, lab: Lab, paths: LabPaths, *, keep: bool) -> tuple[SmokeStep, ...]:
    orders = _orders(context, lab, paths, keep=keep)
    reader = _StepReader(context)
    command = client.driver_command(
        lab, _DRIVER, orders, what="the proof of the cloud", timeout_s=_LIMIT_S
    )
    result = context.runner.converse(command, heard=reader.take)
    reader.end()
    has_failed = any(not step.is_ok for step in reader.steps)
    # One that ended for a reason of its own has proved nothing.
    if not reader.steps or (result.exit_code != 0 and not has_failed):
        raise NotChecked(
            f"the proof of the cloud ended without a result\n{INDENT}{_end_of(result.stderr)}",
            hint=f"./invoke lab.cloud {lab.name} -- token issue",
        )
    return tuple(reader.steps)


def raise_for(name: str, steps: tuple[SmokeStep, ...]) -> None:
    """Raise CheckFailed if a step failed."""
    failed = [step for step in steps if not step.is_ok]
    if failed:
        raise CheckFailed(
            f"the cloud of {name} does not work: {failed[0].name}",
            hint=f"./invoke lab.cloud {name} -- server list; ./invoke lab.logs {name}",
        )


def _end_of(text: str) -> str:
    return printable(text[-2000:].strip())


class _StepReader:
    """Takes the driver's lines, and shows what it does."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.steps: list[SmokeStep] = []

    def take(self, line: str, _at: float) -> None:
        """Take one line: a step begins, or it ended; others are warnings of a library."""
        for said in read_json([line]):
            self._take_object(said)

    def _take_object(self, said: Mapping[str, Any]) -> None:
        if "begins" in said:
            self._context.progress.say(_ROW, printable(str(said["begins"])))
        elif "name" in said and len(self.steps) < _MOST_RESULTS:
            step = _step_of(said)
            self.steps.append(step)
            ended = "done" if step.is_ok else "failed"
            self._context.progress.note(_ROW, f"{step.name}: {ended} in {step.elapsed_s:.1f} s")

    def end(self) -> None:
        """Show that nothing runs any more."""
        self._context.progress.say(_ROW, "")


def _step_of(said: Mapping[str, Any]) -> SmokeStep:
    """Return a step as the driver told it; what it quotes may be a cloud's own words."""
    seconds = said.get("seconds")
    is_number = isinstance(seconds, int | float) and 0 <= seconds < _LIMIT_S * 2
    return SmokeStep(
        name=printable(str(said["name"])),
        is_ok=said.get("ok") is True,
        elapsed_s=float(seconds) if is_number else 0.0,  # type: ignore[arg-type]
        detail=printable(str(said.get("detail", ""))),
    )


def _orders(context: Context, lab: Lab, paths: LabPaths, *, keep: bool) -> dict[str, Any]:
    access = client.access_of(lab)
    if access.external is None:
        raise LabError(
            f"lab {lab.name} has no external network: the host could not reach its VMs",
            hint="write stack.external_network into its spec; see labs/openstack-3node.yaml",
        )
    public_key = client.public_key(paths)
    known_hosts = paths.cloud / "known_hosts"
    files.write(known_hosts, "", mode=0o600)  # of VMs that are gone
    return {
        "auth": client.login(lab, paths),
        "computes": computes_of(lab),
        "ratios": dict(access.ratios),
        "has_volumes": access.has_volumes,
        "can_migrate": access.can_migrate,
        "dashboard_url": access.dashboard_url,
        "clues": _clues(lab, paths, access),
        "external": external_orders(access.external),
        "tenant": tenant.extract(context, paths, public_key),
        "key": str(paths.private_key),
        "public_key": public_key,
        "known_hosts": str(known_hosts),
        "prefix": _PREFIX,
        "keep": keep,
    }


def _clues(lab: Lab, paths: LabPaths, access: CloudAccess) -> Mapping[str, object]:
    """Return the command that tells why a step failed, while what it made is still there."""
    command = ssh.root_command(paths, lab.controller.name, access.clues, what="looking for clues")
    return {"argv": command.argv, "stdin": (command.stdin or b"").decode()}


def external_orders(network: ExternalNetwork) -> Mapping[str, str]:
    """Return an external network as the drivers take it."""
    return {
        "name": network.name,
        "physical_network": network.physical_network,
        "cidr": str(network.cidr),
        "gateway": str(network.gateway),
        "first": str(network.pool[1]),
        "last": str(network.pool[-2]),
    }
