"""The proof, step by step.

Runs in the venv of requirements/cloud.txt. Reads its orders as JSON from stdin:

    auth         arguments of openstack.connect
    computes     names of the hypervisors
    external     name of one that is there, or ""; physical_network, cidr, gateway, first and last
                 address of the pool
    tenant       paths of kernel, ramdisk and disk; command_line of the kernel
    key          path of the private SSH key; public_key: its public half
    known_hosts  path of a file that this program may write
    prefix       what the names of all that it makes begin with
    ratios       allocation ratios that placement must have, by resource; {}: nobody says
    has_volumes  true: the cloud has cinder
    dashboard_url  where horizon is; "": the cloud has none
    clues        argv and stdin of a program that tells why a step failed
    can_migrate  true: VMs can move between its computes
    keep         true: leave everything as it is at the end

Writes two lines of JSON for each step: `begins` with its name; then name, ok, seconds, detail.
What was made is deleted at the end, whatever happened, and what a run that was killed left behind
is deleted first. Ends with 0 if every step succeeded, else with 1.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import openstack

from stacklab.drivers.cloud_smoke.agents import not_ready
from stacklab.drivers.cloud_smoke.dashboard import Dashboard
from stacklab.drivers.cloud_smoke.guests import Guests
from stacklab.drivers.cloud_smoke.moves import Moves
from stacklab.drivers.cloud_smoke.proof import Act, ProofStep, guests, steps
from stacklab.drivers.cloud_smoke.resources import Resources
from stacklab.drivers.cloud_smoke.steps import (
    StepFailed,
    StepRunner,
    run_program,
    wait_until_nothing_is_missing,
)
from stacklab.drivers.cloud_smoke.volumes import Volumes

_READY_S = 600.0  # services and agents, after their start
_CONSOLE_LINES = 60
_CLUES_S = 120.0


class Smoke:
    """One run against one cloud."""

    def __init__(self, orders: dict[str, Any], runner: StepRunner) -> None:
        self._orders = orders
        self._runner = runner
        self._computes: list[str] = orders["computes"]
        # Nobody's clouds.yaml and no variables: the orders say all.
        self._cloud = openstack.connect(
            load_yaml_config=False, load_envvars=False, **orders["auth"]
        )
        self._resources = Resources(
            self._cloud, orders["prefix"], has_volumes=orders["has_volumes"]
        )
        self._fixed: dict[str, str] = {}
        self._floating: dict[str, str] = {}
        self._guests = Guests(
            self._fixed,
            self._floating,
            orders["key"],
            orders["known_hosts"],
            self._console,
        )
        self._volumes = Volumes(self._cloud, self._resources, self._guests)
        self._moves = Moves(self._cloud, self._resources, self._guests)
        self._acts = self._known_acts()

    def _known_acts(self) -> dict[Act, Callable[[ProofStep], str | None]]:
        """Return what each kind of step does; its detail is what that returns."""
        made, guests, orders = self._resources, self._guests, self._orders
        return {
            Act.LOG_IN: lambda _: self._log_in(),
            Act.SWEEP: lambda _: made.delete_all(),
            Act.COMPUTES: lambda _: self._wait_for_computes(),
            Act.AGENTS: lambda _: self._wait_for_agents(),
            Act.RATIOS: lambda _: self._compare_ratios(),
            Act.IMAGE: lambda _: made.upload_image(orders["tenant"]),
            Act.FLAVORS: lambda _: made.make_flavors_and_key(orders["public_key"]),
            Act.NETWORKS: lambda _: made.make_networks(orders["external"]),
            Act.BOOT: lambda _: self._boot(),
            Act.FLOATING: lambda _: self._give_floating_addresses(),
            Act.DASHBOARD: lambda _: self._look_at_dashboard(),
            Act.HOST_PINGS: lambda step: guests.host_pings(step.one),
            Act.HOST_LOGS_IN: lambda step: guests.host_logs_in(step.one),
            Act.PINGS: lambda step: guests.ping(step.one, step.other),
            Act.LOGS_IN: lambda step: guests.log_in(step.one, step.other),
            Act.METADATA: lambda step: guests.read_metadata(step.one),
            Act.VOLUME: lambda _: self._volumes.make(),
            Act.WRITE: lambda step: self._volumes.write(step.one),
            Act.READ: lambda step: self._volumes.read(step.one, step.other),
            Act.MIGRATE: lambda step: self._moves.migrate(step.one, step.other),
            Act.RESIZE: lambda step: self._moves.resize(step.one),
            Act.CLEAN: lambda _: made.delete_all(),
        }

    def run(self) -> None:
        """Run every step; raises StepFailed at the first that fails."""
        listed = steps(
            self._computes,
            has_volumes=self._orders["has_volumes"],
            can_migrate=self._orders["can_migrate"],
            has_dashboard=bool(self._orders["dashboard_url"]),
        )
        for step in listed:
            if step.act is not Act.CLEAN:
                self._do(step)

    def clean_up(self) -> None:
        """Delete everything, and prove that it is gone."""
        self._do(ProofStep(Act.CLEAN))

    def _do(self, step: ProofStep) -> None:
        self._runner.step(step.title, partial(self._acts[step.act], step))

    def _log_in(self) -> None:
        self._cloud.authorize()

    def _wait_for_computes(self) -> str:
        wanted = set(self._computes)

        def look() -> str:
            services = list(self._cloud.compute.services(binary="nova-compute"))
            up = {service.host for service in services if service.state == "up"}
            mapped = {hypervisor.name for hypervisor in self._cloud.compute.hypervisors()}
            missing = sorted(wanted - (up & mapped))
            if missing:
                return f"not up, or not mapped to a cell: {', '.join(missing)}"
            return "; ".join(_disabled(services, wanted))

        wait_until_nothing_is_missing(look, _READY_S)
        return ", ".join(sorted(wanted))

    def _wait_for_agents(self) -> None:
        """Wait until neutron has heard every agent.

        A port that is bound before that fails at once: "Refusing to bind port to dead agent".
        """

        def look() -> str:
            return ", ".join(not_ready(self._cloud.network.agents(), self._computes))

        wait_until_nothing_is_missing(look, _READY_S)

    def _compare_ratios(self) -> str:
        """Compare what placement has of each compute with what the lab's file says."""
        wanted: dict[str, float] = self._orders["ratios"]
        placement = self._cloud.placement
        wrong = []
        for provider in placement.resource_providers():
            if provider.name not in self._computes:
                continue
            answer = placement.get(f"/resource_providers/{provider.id}/inventories").json()
            for resource, inventory in answer["inventories"].items():
                found = inventory["allocation_ratio"]
                if found != wanted.get(resource, found):
                    wrong.append(
                        f"{resource} of {provider.name} is {found}, not {wanted[resource]}"
                    )
        if wrong:
            raise StepFailed("; ".join(wrong))
        return ", ".join(f"{resource} {ratio:g}" for resource, ratio in wanted.items())

    def _boot(self) -> str:
        self._fixed |= self._resources.boot(guests(self._computes))
        return _listed(self._fixed)

    def _give_floating_addresses(self) -> str:
        self._floating |= self._resources.give_floating_addresses(self._orders["external"])
        return _listed(self._floating)

    def _look_at_dashboard(self) -> str:
        dashboard = Dashboard(self._orders["dashboard_url"], self._orders["auth"])
        dashboard.log_in()
        return dashboard.find_servers([server.name for server in self._resources.servers()])

    def _console(self, name: str) -> str:
        server_id = self._resources.server_id(name)
        answer = self._cloud.compute.get_server_console_output(server_id, length=_CONSOLE_LINES)
        return f"its console:\n{answer.get('output', '')}"


def _disabled(services: Sequence[Any], wanted: set[str]) -> Iterator[str]:
    """Yield the computes that get no VM, with nova's reason.

    nova-compute disables itself while its libvirtd does not answer.
    """
    for service in services:
        if service.host in wanted and service.status == "disabled":
            yield f"{service.host} is disabled: {service.disabled_reason or 'nova tells no reason'}"


def _listed(addresses: dict[str, str]) -> str:
    return ", ".join(f"{name} {address}" for name, address in sorted(addresses.items()))


def read_clues(program: dict[str, Any]) -> str:
    """Return what the program says that knows why a step failed."""
    return run_program(tuple(program["argv"]), _CLUES_S, program["stdin"]).stdout


def main() -> int:
    """Read the orders, run, clean up."""
    orders = json.load(sys.stdin)
    runner = StepRunner(partial(read_clues, orders["clues"]))
    smoke = Smoke(orders, runner)
    try:
        smoke.run()
    except StepFailed:
        pass  # its line is written
    finally:
        if not orders["keep"]:
            with contextlib.suppress(StepFailed):
                smoke.clean_up()
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main())
