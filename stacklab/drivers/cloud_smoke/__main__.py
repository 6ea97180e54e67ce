"""The proof, step by step.

Runs in the venv of requirements/cloud.txt. Reads its orders as JSON from stdin:

    auth         arguments of openstack.connect
    computes     names of the hypervisors
    external     physical_network, cidr, gateway, first and last address of the pool
    tenant       paths of kernel, ramdisk and disk; command_line of the kernel
    key          path of the private SSH key; public_key: its public half
    known_hosts  path of a file that this program may write
    prefix       what the names of all that it makes begin with
    keep         true: leave everything as it is at the end

Writes two lines of JSON for each step: `begins` with its name; then name, ok, seconds, detail.
What was made is deleted at the end, whatever happened, and what a run that was killed left behind
is deleted first. Ends with 0 if every step succeeded, else with 1.
"""

from __future__ import annotations

import contextlib
import json
import sys
from functools import partial
from typing import Any

import openstack

from stacklab.drivers.cloud_smoke.guests import Guests
from stacklab.drivers.cloud_smoke.resources import Resources
from stacklab.drivers.cloud_smoke.steps import (
    Journal,
    StepFailed,
    wait_until_nothing_is_missing,
)

_READY_S = 600.0  # services and agents, after their start
_CONSOLE_LINES = 60


class Smoke:
    """One run against one cloud."""

    def __init__(self, orders: dict[str, Any], journal: Journal) -> None:
        self._orders = orders
        self._journal = journal
        self._computes: list[str] = orders["computes"]
        # Nobody's clouds.yaml and no variables: the orders say all.
        self._cloud = openstack.connect(
            load_yaml_config=False, load_envvars=False, **orders["auth"]
        )
        self._resources = Resources(self._cloud, orders["prefix"])
        self._fixed: dict[str, str] = {}
        self._floating: dict[str, str] = {}

    def run(self) -> None:
        """Run every step; raises StepFailed at the first that fails."""
        step = self._journal.step
        made = self._resources
        step("log in at keystone", self._log_in)
        step("delete what an earlier run left", made.delete_all)
        step("computes are up", self._wait_for_computes)
        step("network agents are alive", self._wait_for_agents)
        step("upload the tenant image", partial(made.upload_image, self._orders["tenant"]))
        step(
            "make flavor and key",
            partial(made.make_flavor_and_key, self._orders["public_key"]),
        )
        step("make networks and router", partial(made.make_networks, self._orders["external"]))
        step("boot a VM on each compute", self._boot)
        step("give them floating addresses", self._give_floating_addresses)
        self._prove_guests()

    def _prove_guests(self) -> None:
        step = self._journal.step
        guests = Guests(
            self._fixed,
            self._floating,
            self._orders["key"],
            self._orders["known_hosts"],
            self._console,
        )
        names = sorted(self._floating)
        for name in names:
            step(f"the host pings {name}", partial(guests.host_pings, name))
            step(f"the host logs in to {name}", partial(guests.host_logs_in, name))
        for one in names:
            for other in names:
                if one != other:
                    step(f"{one} pings {other}", partial(guests.ping, one, other))
                    step(f"{one} logs in to {other}", partial(guests.log_in, one, other))
        for name in names:
            step(f"{name} reads its metadata", partial(guests.read_metadata, name))

    def clean_up(self) -> None:
        """Delete everything, and prove that it is gone."""
        self._journal.step("delete everything again", self._resources.delete_all)

    def _log_in(self) -> None:
        self._cloud.authorize()

    def _wait_for_computes(self) -> str:
        wanted = set(self._computes)

        def look() -> str:
            services = self._cloud.compute.services(binary="nova-compute")
            up = {service.host for service in services if service.state == "up"}
            mapped = {hypervisor.name for hypervisor in self._cloud.compute.hypervisors()}
            missing = sorted(wanted - (up & mapped))
            return f"not up, or not mapped to a cell: {', '.join(missing)}" if missing else ""

        wait_until_nothing_is_missing(look, _READY_S)
        return ", ".join(sorted(wanted))

    def _wait_for_agents(self) -> None:
        """Wait until neutron has heard every agent.

        A port that is bound before that fails at once: "Refusing to bind port to dead agent".
        """

        def look() -> str:
            agents = list(self._cloud.network.agents())
            # Before the first sign of life that counts, it is of the year 1970.
            silent = [
                f"{agent.agent_type} on {agent.host}"
                for agent in agents
                if not agent.is_alive or not str(agent.last_heartbeat_at).startswith("20")
            ]
            controllers = {agent.host for agent in agents if "ontroller" in agent.agent_type}
            metadata = {agent.host for agent in agents if "etadata" in agent.agent_type}
            for name in self._computes:
                silent += [f"no OVN controller on {name}"] if name not in controllers else []
                silent += [f"no metadata agent on {name}"] if name not in metadata else []
            return ", ".join(silent)

        wait_until_nothing_is_missing(look, _READY_S)

    def _boot(self) -> str:
        self._fixed |= self._resources.boot(self._computes)
        return _listed(self._fixed)

    def _give_floating_addresses(self) -> str:
        self._floating |= self._resources.give_floating_addresses()
        return _listed(self._floating)

    def _console(self, name: str) -> str:
        server = self._cloud.compute.find_server(name)
        if server is None:
            return "nova does not know it any more"
        answer = self._cloud.compute.get_server_console_output(server, length=_CONSOLE_LINES)
        return f"its console:\n{answer.get('output', '')}"


def _listed(addresses: dict[str, str]) -> str:
    return ", ".join(f"{name} {address}" for name, address in sorted(addresses.items()))


def main() -> int:
    """Read the orders, run, clean up."""
    orders = json.load(sys.stdin)
    journal = Journal()
    smoke = Smoke(orders, journal)
    try:
        smoke.run()
    except StepFailed:
        pass  # its line is written
    finally:
        if not orders["keep"]:
            with contextlib.suppress(StepFailed):
                smoke.clean_up()
    return 1 if journal.failed else 0


if __name__ == "__main__":
    sys.exit(main())
