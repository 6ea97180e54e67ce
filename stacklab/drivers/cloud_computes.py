"""Ask a cloud for the VMs of compute nodes, and have it forget compute nodes that are gone.

Runs on the controller as root, given on stdin, with nothing but Python's own library (an emulated
node imports openstacksdk for half a minute):

    python3 - --config FILE [OPTIONS] vms NODE...
    python3 - --config FILE [OPTIONS] forget NODE...

FILE is nova's: its section [neutron] says how a service user who may do everything logs in.
`--ovn`: OVN's databases are on this node, and have a chassis for each compute. `--answer SECONDS`
is how long one answer of an API may take, `--patience SECONDS` how long to wait for APIs and
databases that do not answer yet, as after a boot.

Writes a line of JSON for each thing, at once:

    {"vm": NAME, "node": NODE}    a VM on one of the nodes (vms)
    {"done": WORDS}               removed (forget)
    {"left": WORDS}               could not be removed, and why; or could not be looked at

Ends with 0 if nothing is left, else with 1. To forget a node twice is not an error: what is gone
is not named again.
"""

from __future__ import annotations

import argparse
import configparser
import contextlib
import functools
import http.client
import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

_ANSWER_S = 20.0
_SBCTL_S = 30
_PAUSE_S = 2.0
_VMS_GONE_S = 120.0
_COMPUTE_VERSION = "compute 2.53"  # services have UUIDs, and can be forced down
_WORDS_MAX = 300  # of an error
_LINE_MAX = 1000  # of what is written
# What neutron calls the host of agents whose chassis is gone from OVN: of no node any more.
_NO_CHASSIS = '("Chassis" register deleted)'


class CloudError(Exception):
    """An API or a database that does not do what it is asked; the text is for people."""


class Refused(CloudError):
    """An API's answer that is not a success."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Api:
    """The APIs of a cloud, by its catalogue."""

    def __init__(self, config: configparser.SectionProxy, answer_s: float = _ANSWER_S) -> None:
        self._config = config
        self._answer_s = answer_s
        authority = config.get("cafile") or None
        try:
            trust = ssl.create_default_context(cafile=authority)
        except OSError as error:
            raise CloudError(f"the authority of its APIs, {authority}: {error}") from error
        # No proxy knows the lab.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        self._token = ""
        self._urls: dict[str, str] = {}

    def log_in(self) -> None:
        """Get a token and the catalogue; raises CloudError."""
        config = self._config
        user = {
            "name": config["username"],
            "domain": {"name": config["user_domain_name"]},
            "password": config["password"],
        }
        project = {
            "name": config["project_name"],
            "domain": {"name": config["project_domain_name"]},
        }
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {"project": project}}}
        base = config["auth_url"].rstrip("/").removesuffix("/v3")
        answer, headers = self._request("POST", f"{base}/v3/auth/tokens", body)
        self._token = headers["X-Subject-Token"]
        for service in answer["token"]["catalog"]:
            for endpoint in service["endpoints"]:
                is_ours = endpoint["region"] == config.get("region_name", endpoint["region"])
                if endpoint["interface"] == "public" and is_ours:
                    self._urls[service["type"]] = endpoint["url"].rstrip("/")

    def call(self, service: str, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Return the answer of a service of the catalogue; raises CloudError."""
        if service not in self._urls:
            raise CloudError(f"the cloud's catalogue has no {service}")
        answer: dict[str, Any]
        answer, _ = self._request(method, self._urls[service] + path, body)
        return answer

    def _request(self, method: str, url: str, body: object) -> tuple[Any, Any]:
        headers = {"Accept": "application/json", "OpenStack-API-Version": _COMPUTE_VERSION}
        if self._token:
            headers["X-Auth-Token"] = self._token
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        try:
            with self._opener.open(request, timeout=self._answer_s) as answer:
                text = answer.read()
                return (json.loads(text) if text else {}), answer.headers
        except urllib.error.HTTPError as error:
            words = _words_of(error.read(_WORDS_MAX * 10))
            raise Refused(error.code, f"{method} {url}: {error.code} {words}") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise CloudError(f"{method} {url}: {error!r}") from error


def _words_of(text: bytes) -> str:
    """Return what an API says in an error: {"conflictingRequest": {"message": ...}} and others."""
    words = text.decode(errors="replace")
    with contextlib.suppress(ValueError):
        found = json.loads(words)
        while isinstance(found, dict) and found:
            found = found.get("message") or found.get("detail") or next(iter(found.values()))
            if isinstance(found, list) and found:
                found = found[0]
        words = str(found)
    return " ".join(words.split())[:_WORDS_MAX]


class Computes:
    """What one cloud has of compute nodes."""

    def __init__(self, api: Api, *, has_ovn: bool, patience_s: float) -> None:
        self._api = api
        self._has_ovn = has_ovn
        self._deadline = time.monotonic() + patience_s
        self.has_left = False

    def vms(self, nodes: list[str]) -> None:
        """Write a line for each VM on these nodes."""
        if self._is_logged_in():
            for node in nodes:
                with self._told(f"the VMs on {node}"):
                    for server in self._servers(node):
                        _write(vm=server["name"], node=node)

    def forget(self, nodes: list[str]) -> None:
        """Remove what the cloud has of these nodes, and write what was removed and what is left."""
        has_api = self._is_logged_in()
        for node in nodes:
            # Neutron's list first: of a chassis that is gone it does not tell the node any more.
            if has_api:
                with self._told(f"neutron's agents of {node}"):
                    self._forget_agents(node)
            if self._has_ovn:
                with self._told(f"OVN's chassis {node}"):
                    self._patiently(functools.partial(self._forget_chassis, node))
            if has_api:
                with self._told(f"nova's service of {node}"):
                    self._forget_service(node)
                with self._told(f"placement's provider {node}"):
                    self._forget_providers(node)

    # --- waiting, and telling

    def _is_logged_in(self) -> bool:
        with self._told("the cloud's APIs"):
            self._patiently(self._log_in)
            return True
        return False

    def _log_in(self) -> None:
        self._api.log_in()
        # Keystone answers long before these do.
        self._api.call("compute", "GET", "/os-services?binary=nova-conductor")
        self._api.call("network", "GET", "/v2.0/agents?fields=id")

    def _patiently(self, act: Callable[[], None]) -> None:
        """Do it, and again until it succeeds or patience is over; raises CloudError then."""
        while True:
            try:
                return act()
            except CloudError:
                if time.monotonic() > self._deadline:
                    raise
                time.sleep(_PAUSE_S)

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Write what is left because of an error; the next thing is tried all the same."""
        try:
            yield
        except (CloudError, KeyError, TypeError) as error:
            words = str(error) if isinstance(error, CloudError) else f"odd answer: {error!r}"
            self._leave(f"{what}: {words}")

    def _leave(self, words: str) -> None:
        self.has_left = True
        _write(left=words)

    # --- neutron and OVN

    def _forget_agents(self, node: str) -> None:
        for agent in self._api.call("network", "GET", "/v2.0/agents")["agents"]:
            # The agent of an OVN controller has its chassis' name for an ID.
            if agent["host"] in (node, _NO_CHASSIS) or agent["id"] == node:
                self._delete("network", f"/v2.0/agents/{urllib.parse.quote(agent['id'])}")
                _write(done=f"neutron's {agent['agent_type']} of {node}")

    def _forget_chassis(self, node: str) -> None:
        if _sbctl("--bare", "--columns=_uuid", "find", "Chassis", f"name={node}").strip():
            _sbctl("--if-exists", "chassis-del", node)
            _write(done=f"OVN's chassis {node}")
        # Some versions of chassis-del leave it, and a sync of all chassis waits for it for ever.
        rows = _sbctl("--bare", "--columns=_uuid", "find", "Chassis_Private", f"name={node}")
        for row in rows.split():
            _sbctl("--if-exists", "destroy", "Chassis_Private", row)

    # --- nova and placement

    def _servers(self, node: str) -> list[Any]:
        found: list[Any] = []
        while True:
            words = {"all_tenants": "1", "host": node, "limit": "100"}
            if found:
                words["marker"] = found[-1]["id"]
            query = urllib.parse.urlencode(words)
            page = self._api.call("compute", "GET", f"/servers/detail?{query}")["servers"]
            if not page:
                return found
            found += page

    def _services(self, node: str) -> list[Any]:
        query = urllib.parse.urlencode({"binary": "nova-compute", "host": node})
        listed: list[Any] = self._api.call("compute", "GET", f"/os-services?{query}")["services"]
        return [service for service in listed if service["host"] == node]

    def _forget_service(self, node: str) -> None:
        services = self._services(node)
        try:
            # Else nova would leave VMs to the node that is gone, until it misses its reports.
            self._force_down(services, is_down=True)
            self._delete_servers(node)
            for service in services:
                # Host mapping and provider go with it.
                self._delete("compute", f"/os-services/{service['id']}")
                _write(done=f"nova's service of {node}")
        except CloudError:
            # A compute of that name that comes back would stay down.
            with contextlib.suppress(CloudError):
                self._force_down(self._services(node), is_down=False)
            raise

    def _force_down(self, services: list[Any], *, is_down: bool) -> None:
        for service in services:
            path = f"/os-services/{service['id']}"
            self._api.call("compute", "PUT", path, {"forced_down": is_down})

    def _delete_servers(self, node: str) -> None:
        """Delete the VMs that were lost with a node: nova keeps the service of one that has any."""
        lost = self._servers(node)
        for server in lost:
            self._delete("compute", f"/servers/{server['id']}")
        deadline = time.monotonic() + _VMS_GONE_S
        left = self._servers(node) if lost else []
        while left and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
            left = self._servers(node)
        for server in lost:
            if server["id"] not in [one["id"] for one in left]:
                _write(done=f"VM {server['name']}, which was lost with {node}")
        if left:
            names = ", ".join(server["name"] for server in left)
            raise CloudError(f"nova does not delete its VMs: {names}")

    def _forget_providers(self, node: str) -> None:
        query = urllib.parse.urlencode({"name": node})
        listed = self._api.call("placement", "GET", f"/resource_providers?{query}")
        for provider in listed["resource_providers"]:
            path = f"/resource_providers/{provider['uuid']}"
            try:
                self._delete("placement", path)
            except Refused as error:
                allocations = self._api.call("placement", "GET", f"{path}/allocations")
                holders = ", ".join(allocations.get("allocations", {}))
                raise CloudError(
                    f"{error}; it has allocations of: {holders or 'nobody'}"
                ) from error
            _write(done=f"placement's provider {node}")

    def _delete(self, service: str, path: str) -> None:
        """Delete it; one that is gone already is none the worse for that."""
        try:
            self._api.call(service, "DELETE", path)
        except Refused as error:
            if error.status != 404:
                raise


def _sbctl(*words: str) -> str:
    argv = ("ovn-sbctl", f"--timeout={_SBCTL_S}", *words)
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise CloudError(f"ovn-sbctl: {error}") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise CloudError(f"ovn-sbctl ended with {done.returncode}: {last[:_WORDS_MAX]}")
    return done.stdout


def _write(**line: str) -> None:
    print(json.dumps({key: words[:_LINE_MAX] for key, words in line.items()}), flush=True)


def main(words: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--ovn", action="store_true")
    parser.add_argument("--answer", type=float, default=_ANSWER_S)
    parser.add_argument("--patience", type=float, default=0.0)
    parser.add_argument("order", choices=("vms", "forget"))
    parser.add_argument("nodes", nargs="+")
    chosen = parser.parse_args(words)
    config = configparser.ConfigParser(interpolation=None, strict=False)
    if not config.read(chosen.config) or not config.has_section("neutron"):
        _write(left=f"{chosen.config} of the controller does not say how to log in")
        return 1
    try:
        api = Api(config["neutron"], chosen.answer)
    except CloudError as error:
        _write(left=str(error))
        return 1
    computes = Computes(api, has_ovn=chosen.ovn, patience_s=chosen.patience)
    act = computes.vms if chosen.order == "vms" else computes.forget
    act(chosen.nodes)
    return 1 if computes.has_left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
