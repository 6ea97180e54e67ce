"""Nodes as libvirt domains that Vagrant makes; networks, disks and the rest by libvirt itself."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stacklab import locks
from stacklab.accelerator import Accelerator
from stacklab.errors import ProviderError
from stacklab.model.lab import NIC, Lab, Node
from stacklab.model.state import NodeState
from stacklab.paths import DEFAULT_ROOT, PROJECT, HostPaths, LabPaths
from stacklab.process import Runner
from stacklab.progress import Progress
from stacklab.providers.libvirt.evidence import Evidence, Looker
from stacklab.record import LabRecord, NodeRecord
from stacklab.tools import libvirt_xml, ssh, vagrant
from stacklab.tools.console import tail
from stacklab.tools.libvirt import URI, Libvirt

_POLL_S = 0.1
_WAIT_FOR_OTHER_VAGRANT_S = 600.0


class VagrantLibvirt:
    """See stacklab.providers.contract.Provider."""

    name = "libvirt"

    def __init__(
        self,
        libvirt: Libvirt,
        host: HostPaths,
        progress: Progress,
        accelerator: Accelerator | None,
        runner: Runner | None = None,
    ) -> None:
        """`accelerator` may be None for whoever starts nothing; without `runner` the evidence is libvirt's alone."""
        self._libvirt = libvirt
        self._host = host
        self._progress = progress
        self._accelerator = accelerator
        self._runner = runner

    @property
    def pool(self) -> str:
        """Our pool: one per STACKLAB_HOME, so that tests and people don't share one."""
        if self._host.root == DEFAULT_ROOT:
            return "stacklab"
        return "stacklab-" + "".join(
            c if c.isalnum() else "-" for c in str(self._host.root).strip("/")
        )

    def files(self, lab: Lab, paths: LabPaths, record: LabRecord) -> Mapping[Path, str]:
        """See Provider.files."""
        return {
            paths.vagrantfile: (PROJECT / "vagrant" / "Vagrantfile").read_text(),
            paths.machines: json.dumps(self._machines(lab, paths, record), indent=2) + "\n",
        }

    def up(self, lab: Lab, paths: LabPaths, record: LabRecord, nodes: Sequence[str]) -> None:
        """See Provider.up."""
        with self._progress.stage("host", "networks"):
            for network in record.networks:
                xml = libvirt_xml.network(lab, lab.network(network.name), network.uuid)
                self._libvirt.ensure_network(network.libvirt_name, network.uuid, xml)
            self._libvirt.ensure_pool(self.pool, self._host.volumes)
        for node in record.nodes:
            self._libvirt.refuse_foreign_domain(node.domain, node.uuid)
        lock = self._host.locks / "vagrant.lock"

        def waiting(text: str) -> None:
            self._progress.say("host", text)

        with (
            self._progress.stage("host", "vagrant"),
            locks.held(
                lock, "vagrant on this host", wait_s=_WAIT_FOR_OTHER_VAGRANT_S, waiting=waiting
            ),
        ):
            limit = vagrant.limit_s(nodes)
            self._progress.say(
                "host", f"vagrant makes or starts {', '.join(nodes)}, {limit:.0f} s at most"
            )
            vagrant.up(paths.root, nodes, log=paths.vagrant_log)

    def down(self, record: LabRecord, nodes: Sequence[str], *, patience_s: float) -> None:
        """See Provider.down."""
        paths = self._host.lab(record.name)
        mine = [node for node in record.nodes if node.name in nodes]
        for node in mine:
            if self._libvirt.state(node.uuid) is NodeState.PAUSED:
                self._libvirt.resume(node.uuid)  # a paused one does not hear the button
            self._libvirt.shut_down(node.uuid)
        started = time.monotonic()
        waiting = list(mine)
        while waiting and (elapsed := time.monotonic() - started) < patience_s:
            waiting = [node for node in waiting if self._is_on(node)]
            names = ", ".join(node.name for node in waiting)
            if waiting:
                self._progress.say(
                    "host", f"waiting for {names} to shut down, {elapsed:.0f} of {patience_s:.0f} s"
                )
                time.sleep(_POLL_S)
        for node in waiting:
            last = (tail(paths.console(node.name), 1) or ("",))[0]
            said = f"; its console ends with: {last[:100]}" if last else ""
            self._progress.note(
                node.name, f"did not shut down within {patience_s:.0f} s: its power is cut{said}"
            )
            self._libvirt.power_off(node.uuid)

    def remove_node(self, paths: LabPaths, record: LabRecord, node: str) -> None:
        """See Provider.remove_node."""
        found = record.node(node)
        if found is not None:
            self._libvirt.remove_domain(found.uuid, found.domain)
            found.overlay.unlink(missing_ok=True)
            found.seed.unlink(missing_ok=True)
            for half in found.seed.parent.glob(
                f".{found.seed.name}.*"
            ):  # of a run that was killed; it holds keys
                half.unlink(missing_ok=True)
        shutil.rmtree(vagrant.dotfile(paths.root) / "machines" / node, ignore_errors=True)
        paths.console(node).unlink(missing_ok=True)

    def destroy(self, paths: LabPaths, record: LabRecord) -> None:
        """See Provider.destroy."""
        # At once: QEMU under load takes seconds to let go.
        with ThreadPoolExecutor(max_workers=max(1, len(record.nodes))) as pool:
            list(pool.map(lambda node: self.remove_node(paths, record, node.name), record.nodes))
        for network in record.networks:
            self._libvirt.remove_network(network.libvirt_name, network.uuid)
        vagrant.forget(paths.root)

    def close_down(self) -> None:
        """When this host's last lab is gone: forget the pool."""
        self._libvirt.remove_pool(self.pool, self._host.volumes)

    def status(self, record: LabRecord) -> Mapping[str, NodeState]:
        """See Provider.status."""
        return {node.name: self._libvirt.state(node.uuid) for node in record.nodes}

    def reset(self, record: LabRecord, node: str) -> None:
        """See Provider.reset."""
        if (found := record.node(node)) is not None:
            self._libvirt.reset(found.uuid)

    def evidence(self, paths: LabPaths, record: LabRecord, node: Node) -> Evidence:
        """See Provider.evidence."""
        if record.node(node.name) is None:
            return Evidence(lines=(f"{node.name} is not on record",))
        return self.looker(paths, record).evidence(node)

    def looker(self, paths: LabPaths, record: LabRecord) -> Looker:
        """Who looks at a lab's nodes from this host."""
        return Looker(self._libvirt, self._runner, paths, record)

    def _is_on(self, node: NodeRecord) -> bool:
        return self._libvirt.state(node.uuid) not in (
            NodeState.OFF,
            NodeState.ABSENT,
            NodeState.CRASHED,
        )

    def _machines(self, lab: Lab, paths: LabPaths, record: LabRecord) -> Mapping[str, object]:
        """What vagrant/Vagrantfile reads."""
        if self._accelerator is None:
            raise ProviderError("no accelerator was picked")
        return {
            "name": lab.name,
            "ssh": {
                "user": ssh.USER,
                "private_key": str(paths.private_key),
                "config": str(paths.ssh_config),
            },
            "libvirt": {
                "uri": URI,
                "driver": self._accelerator.libvirt_driver,
                "pool": self.pool,
                "machine_type": "pc",
            },
            "nodes": [self._machine(lab, paths, record, node) for node in lab.nodes],
        }

    def _machine(
        self, lab: Lab, paths: LabPaths, record: LabRecord, node: Node
    ) -> Mapping[str, object]:
        found = record.node(node.name)
        if found is None or self._accelerator is None:
            raise ProviderError(f"{node.name} is not on record")
        kvm = self._accelerator.is_kvm
        cpu = {
            "mode": "host-passthrough" if kvm else "custom",
            "model": "" if kvm else self._accelerator.cpu_model,
            "features": list(self._accelerator.cpu_features),
        }
        return {
            "name": node.name,
            "uuid": found.uuid,
            "owner": f"made by stacklab from {lab.source}",
            "cpus": node.cpus,
            "memory_mib": node.memory.mib,
            "cpu": cpu,
            "overlay": found.overlay.name,
            "seed": found.seed.name,
            "console_log": str(paths.console(node.name)),
            "nics": [_nic(lab, nic) for nic in node.nics],
        }


def _nic(lab: Lab, nic: NIC) -> Mapping[str, object]:
    network = lab.network(nic.network)
    return {
        "mac": nic.mac,
        "address": str(nic.address.ip),
        "netmask": str(nic.address.netmask),
        "cidr": str(network.cidr),
        "libvirt_network": lab.network_name(network.name) if network.is_made_by_us else None,
        "bridge": None if network.is_made_by_us else network.bridge,
    }
