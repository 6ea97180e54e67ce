"""Have a cloud boot a VM, or make a volume, and write down what its client sees.

Runs in the venv of requirements/cloud.txt. Reads its orders as JSON from stdin:

    auth         arguments of openstack.connect
    prefix       what the names of all that it makes begin with
    what         boot, volume or volume_from_image
    request_id   id that the request goes by
    tenant       paths of kernel, ramdisk and disk; command_line of the kernel
    public_key   for the VM
    has_volumes  true: the cloud has cinder
    host         where the VM has to boot; "": wherever the scheduler puts it
    limit_s      seconds until it has to be there
    poll_s       seconds between two looks at it
    keep         true: leave everything as it is at the end

Writes lines of JSON, each with one of these:

    begins    what is done now
    event     a word, with `at` (seconds since 1970), `text`, and `took_s` where it has a length
    state     status, vm_state and task_state, at each change that was seen; with `at`
    ids       ids of what was made, and those that services gave the request
    actions   what nova says of its own steps: request_id, name, start, finish, result, host
    failed    what went wrong
    left      why something of it could not be deleted

What was made is deleted at the end, whatever happened. Ends with 0 unless something failed.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import keystoneauth1.exceptions
import openstack

from stacklab.drivers.cloud_smoke.resources import Resources
from stacklab.drivers.cloud_smoke.steps import StepFailed, words_of

_SETTLED_S = 2.0  # services log their last words a moment after the cloud says that it is done
_WORDS_MAX = 2000
_HEADER = "X-Openstack-Request-Id"
_ACTIONS_VERSION = "2.62"  # the first that names hosts
_VOLUME_GIB = 1
# Of openstacksdk, of keystoneauth below it, and of an answer that is not what it should be.
_API_ERRORS = (
    StepFailed,
    openstack.exceptions.SDKException,
    keystoneauth1.exceptions.ClientException,
    KeyError,
    ValueError,
)


class Tracer:
    """One request to one cloud."""

    def __init__(self, orders: dict[str, Any]) -> None:
        self._orders = orders
        self._cloud = openstack.connect(
            load_yaml_config=False, load_envvars=False, **orders["auth"]
        )
        self._made = Resources(self._cloud, orders["prefix"], has_volumes=orders["has_volumes"])

    def run(self) -> None:
        """Make the request and follow it; raises StepFailed for what does not come about."""
        write(begins="log in")
        self._cloud.authorize()
        write(begins="delete what an earlier trace has left")
        self._made.delete_all()
        if self._orders["what"] == "boot":
            self._boot()
        else:
            self._make_volume()

    def clean_up(self) -> None:
        """Delete everything that was made."""
        write(begins="delete it again")
        self._made.delete_all()

    def _boot(self) -> None:
        write(begins="upload an image")
        self._made.upload_image(self._orders["tenant"])
        write(begins="make a network")
        self._made.make_flavors_and_key(self._orders["public_key"])
        self._made.make_tenant_network()
        compute = self._cloud.compute
        image = self._cloud.image.find_image(self._made.full_name("image"), ignore_missing=False)
        flavor = compute.find_flavor(self._made.full_name("flavor"), ignore_missing=False)
        network = self._made.network(self._made.full_name("network"))
        server: dict[str, Any] = {
            "name": self._made.full_name("vm"),
            "imageRef": image.id,
            "flavorRef": flavor.id,
            "networks": [{"uuid": network.id}],
        }
        if self._orders["host"]:
            server["availability_zone"] = f"nova:{self._orders['host']}"
        write(begins="boot a VM")
        made = self._ask(compute, "/servers", {"server": server})["server"]
        write(ids=[made["id"], image.id])
        try:
            self._follow_server(made["id"])
        finally:
            # What went wrong before is what counts.
            with contextlib.suppress(*_API_ERRORS):
                ports = self._cloud.network.ports(device_id=made["id"])
                write(ids=[port.id for port in ports])
                write(actions=list(self._actions(made["id"])))

    def _make_volume(self) -> None:
        volume = {"name": self._made.full_name("volume"), "size": _VOLUME_GIB}
        if self._orders["what"] == "volume_from_image":
            write(begins="upload an image")
            self._made.upload_image(self._orders["tenant"])
            name = self._made.full_name("image")
            image = self._cloud.image.find_image(name, ignore_missing=False)
            write(ids=[image.id])
            volume["imageRef"] = image.id
        write(begins="make a volume")
        storage = self._cloud.block_storage
        made = self._ask(storage, "/volumes", {"volume": volume})["volume"]
        write(ids=[made["id"]])
        self._follow_volume(made["id"])

    def _ask(self, service: Any, path: str, body: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
        """Send the request that is traced, under its id, with a token of its own."""
        self._cloud.session.auth.invalidate()
        began = time.time()
        self._cloud.authorize()
        event("token", began, "POST /v3/auth/tokens", time.time() - began)
        began = time.time()
        headers = {_HEADER: self._orders["request_id"]}
        answer = service.post(path, json=body, headers=headers)
        own_id = answer.headers.get(_HEADER, "")
        text = f"POST {path}: {answer.status_code}, {own_id}"
        event("asked", began, text, time.time() - began)
        write(ids=[own_id] if own_id else [])
        openstack.exceptions.raise_from_response(answer)
        content: dict[str, Any] = answer.json()
        return content

    def _follow_server(self, server_id: str) -> None:
        for said in self._looks(self._cloud.compute, f"/servers/{server_id}", "server"):
            state = {
                "status": said["status"],
                "vm_state": said.get("OS-EXT-STS:vm_state"),
                "task_state": said.get("OS-EXT-STS:task_state"),
            }
            if self._is_over(state, "ACTIVE"):
                return
            if said["status"] == "ERROR":
                raise StepFailed(str(said.get("fault", {}).get("message", "nova gives no reason")))

    def _follow_volume(self, volume_id: str) -> None:
        for said in self._looks(self._cloud.block_storage, f"/volumes/{volume_id}", "volume"):
            if self._is_over({"status": said["status"]}, "available"):
                return
            if said["status"] == "error":
                raise StepFailed("cinder made no volume: its log says why")

    def _looks(
        self,
        service: Any,  # noqa: ANN401  openstacksdk's
        path: str,
        word: str,
    ) -> Iterator[dict[str, Any]]:
        """Yield what a service says of a thing, again and again until the limit."""
        self._last: dict[str, Any] = {}
        deadline = time.monotonic() + self._orders["limit_s"]
        while time.monotonic() < deadline:
            answer = service.get(path)
            # A service that is being restarted answers at the next look.
            if answer.ok:
                yield answer.json()[word]
            time.sleep(self._orders["poll_s"])
        raise StepFailed(f"not there after {self._orders['limit_s']:.0f} s: {self._last}")

    def _is_over(self, state: dict[str, Any], wanted: str) -> bool:
        now = time.time()
        if state != self._last:
            write(state=state, at=now)
            self._last = state
        if state["status"] != wanted:
            return False
        event("active", now, f"status {wanted}")
        return True

    def _actions(self, server_id: str) -> Iterator[dict[str, Any]]:
        compute = self._cloud.compute
        path = f"/servers/{server_id}/os-instance-actions"
        listed = compute.get(path, microversion=_ACTIONS_VERSION).json()["instanceActions"]
        for action in listed:
            request_id = action["request_id"]
            whole = compute.get(f"{path}/{request_id}", microversion=_ACTIONS_VERSION).json()
            for done in whole["instanceAction"].get("events", []):
                yield {
                    "request_id": request_id,
                    "name": done["event"],
                    "start": done["start_time"],
                    "finish": done["finish_time"],
                    "result": done["result"],
                    "host": done.get("host"),
                }


def event(word: str, at: float, text: str, took_s: float | None = None) -> None:
    """Write an event of the client."""
    write(event=word, at=at, text=text, took_s=took_s)


def write(**fields: object) -> None:
    """Write a line of JSON."""
    print(json.dumps(fields), flush=True)


def main() -> int:
    """Read the orders, make the request, clean up."""
    orders = json.load(sys.stdin)
    tracer = Tracer(orders)
    code = 0
    try:
        tracer.run()
    except _API_ERRORS as error:
        words = str(error) if isinstance(error, StepFailed) else words_of(error)
        write(failed=words[:_WORDS_MAX])
        code = 1
    finally:
        time.sleep(_SETTLED_S)
        if not orders["keep"]:
            try:
                tracer.clean_up()
            except _API_ERRORS as error:
                write(left=f"what was made is not all deleted: {words_of(error)}"[:_WORDS_MAX])
    return code


if __name__ == "__main__":
    sys.exit(main())
