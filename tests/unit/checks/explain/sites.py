"""A lab whose nodes and host can be spoiled, and what is explained of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from stacklab.checks.expect import Fault
from stacklab.checks.explain import explain
from stacklab.checks.explain.scene import Scene, SeenDevice
from stacklab.checks.pairs import family as pairs
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus, Reason
from stacklab.model.cause import Cause, CauseKind
from stacklab.model.host_network import Link, Neighbour, Plug, Snapshot
from stacklab.model.lab import Lab, Node
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths, LabPaths
from stacklab.process import Conversing
from stacklab.providers.node_view import NICView, View


def well(lab: Lab, node: Node) -> Scene:
    """What a healthy node says."""
    devices = {
        nic.device: SeenDevice(
            flags=("UP", "LOWER_UP"), mtu=nic.mtu, addresses=(str(nic.address),), mac=nic.mac
        )
        for nic in node.nics
    }
    others = [
        (peer, theirs, nic)
        for nic in node.nics
        for peer, theirs in lab.members(nic.network)
        if peer != node
    ]
    return Scene(
        is_seen=True,
        devices=devices,
        routes={
            str(t.address.ip): f"{t.address.ip} dev {nic.device} src {nic.address.ip}"
            for _, t, nic in others
        },
        neighbours={str(theirs.address.ip): (theirs.mac, "REACHABLE") for _, theirs, _ in others},
        listens=True,
    )


def view_of(lab: Lab, node: Node) -> View:
    """How the host sees a healthy node."""
    nics = tuple(
        NICView(
            nic=nic,
            network=f"{lab.name}_{nic.network}",
            bridge=lab.network(nic.network).bridge,
            plug=Plug(mac=nic.mac, network="", bridge="", tap=f"vnet-{nic.device}", is_linked=True),
            tap=Link(
                name=f"vnet-{nic.device}",
                master=lab.network(nic.network).bridge,
                received=5,
                sent=6,
            ),
        )
        for nic in node.nics
    )
    access = node.access
    return View(
        node=node,
        title=f"domain {lab.name}_{node.name}",
        state=NodeState.RUNNING,
        nics=nics,
        is_looked_at=True,
        neighbour=Neighbour(
            address=str(access.address.ip), device="b", mac=access.mac, state="REACHABLE"
        ),
    )


class Site:
    """A lab of three; a test changes what a node says (`scenes`) or how the host sees it
    (`views`).
    """

    def __init__(self, lab: Lab, root: Path) -> None:
        self.lab = lab
        self.paths = HostPaths(root).lab(lab.name)
        self.scenes = {node.name: well(lab, node) for node in lab.nodes}
        self.views = {node.name: view_of(lab, node) for node in lab.nodes}
        self.asked: list[str] = []
        self.knocked: list[str] = []
        self.faults: list[Fault] = []
        self.results = {check: _passed(check) for check in self._checks()}

    def _checks(self) -> list[Check]:
        found = []
        for node in self.lab.nodes:
            nic = node.access
            address = str(nic.address.ip)
            found += [
                Check(kind=CheckKind.STATE, node=node.name),
                Check(
                    kind=CheckKind.LOGIN,
                    node=node.name,
                    target=node.name,
                    network=nic.network,
                    address=address,
                    device=nic.device,
                ),
                *(
                    Check(
                        kind=CheckKind.NIC,
                        node=node.name,
                        network=nic.network,
                        address=str(nic.address.ip),
                        device=nic.device,
                    )
                    for nic in node.nics
                ),
            ]
        return [*found, *pairs.expected(self.lab)]

    def ask(self, paths: LabPaths, runner: Conversing, node: str, addresses: list[str]) -> Scene:
        self.asked.append(node)
        return self.scenes[node]

    def snapshot(self) -> Snapshot:
        return Snapshot()

    def view(
        self, node: Node, snapshot: Snapshot | None = None, *, is_knocking: bool = True
    ) -> View:
        if is_knocking:
            self.knocked.append(node.name)
        return self.views[node.name]

    def change(self, node: str, device: str, **changes: object) -> None:
        """Let a node say something else of one of its devices."""
        found = self.scenes[node]
        devices = {**found.devices, device: dataclasses.replace(found.devices[device], **changes)}  # type: ignore[arg-type]
        self.scenes[node] = dataclasses.replace(found, devices=devices)

    def take(self, node: str, mac: str = "", **changes: object) -> None:
        """A bridge takes the second NIC's address and MAC, as a cloud does it."""
        found = self.scenes[node].devices["eth1"]
        self.change(node, "eth1", addresses=())
        bridge = dataclasses.replace(found, **{"mac": mac or found.mac, **changes})  # type: ignore[arg-type]
        devices = {**self.scenes[node].devices, "br-ex": bridge}
        routes = {
            to: way.replace("dev eth1", "dev br-ex") for to, way in self.scenes[node].routes.items()
        }
        self.scenes[node] = dataclasses.replace(self.scenes[node], devices=devices, routes=routes)

    def see(self, node: str, network: str, change: Callable[[NICView], NICView]) -> None:
        """Let the host see something else of one NIC."""
        view = self.views[node]
        nics = tuple(change(each) if each.nic.network == network else each for each in view.nics)
        self.views[node] = dataclasses.replace(view, nics=nics)

    def fail(self, detail: str, *, status: CheckStatus = CheckStatus.FAILED, **which: str) -> None:
        """Let all checks of that description fail."""
        hit = [
            c
            for c in self.results
            if all(str(getattr(c, key)) == value for key, value in which.items())
        ]
        assert hit, which
        for check in hit:
            self.results[check] = CheckResult(
                check=check,
                status=status,
                reason=_REASONS[detail],
                detail=detail,
                command="type this",
            )

    def explained(self) -> dict[Check, CheckResult]:
        found, faults = tuple(self.results.values()), self.faults
        results = explain.explain(self.lab, self.paths, None, found, self, faults)  # type: ignore[arg-type]
        return {result.check: result for result in results}

    def cause(self, **which: str) -> Cause | None:
        """What is found out about the one check of that description."""
        for check, result in self.explained().items():
            if all(str(getattr(check, key)) == value for key, value in which.items()):
                return result.cause
        raise AssertionError(f"no check is {which}")

    def kind(self, **which: str) -> CauseKind | None:
        """The kind of that cause; its words are among the golden ones."""
        cause = self.cause(**which)
        return cause.kind if cause else None


def _passed(check: Check) -> CheckResult:
    return CheckResult(check=check, status=CheckStatus.PASSED, reason=Reason.OK, detail="fine")


# The reasons that families give with these sentences.
_REASONS = {
    "no reply to 3 pings": Reason.NO_REPLY,
    "no reply to pings of any size": Reason.NO_REPLY,
    "1500 bytes do not pass, 1400 do": Reason.TOO_LONG,
    "1501 bytes are sent and get lost, 1500 is the MTU that the lab declares": Reason.MTU_LARGER,
    "no packet could be sent": Reason.NOT_SENT,
    "would leave by eth0, not by eth1": Reason.WRONG_WAY,
    "timed out": Reason.TIMED_OUT,
    "refused": Reason.REFUSED,
    "HOST KEY MISMATCH": Reason.HOST_KEY,
    "permission denied": Reason.DENIED,
    "name not known": Reason.NAME_UNKNOWN,
    "not reached: refused": Reason.NOT_REACHED,
    "not reached: the node is paused": Reason.NODE_OFF,
    "the node is paused": Reason.NODE_OFF,
    "the session ended before this check: the node is off": Reason.NODE_OFF,
    "the session ended before this check: ssh ended with 255": Reason.SESSION_ENDED,
    "is paused": Reason.NOT_RUNNING,
    "eth1 is down": Reason.NIC_DOWN,
    "eth1 has no carrier": Reason.NO_CARRIER,
    "has MTU 9000, not 1500": Reason.WRONG_MTU,
    "eth1 is down; has MTU 9000, not 1500": Reason.SEVERAL,
}
PING = {"kind": "ping", "node": "controller", "target": "compute1", "network": "net1"}
SSH = {"kind": "ssh", "node": "controller", "target": "compute1"}
SILENT = "no reply to 3 pings"
