"""Have a lab that exists follow its spec: mark what has to be done, and clear away what must go.

What is made is then made by `lab.up`, as if it had been missing. Each step may be the last one of
a process that is killed; the next `lab.up` goes on by these rules:

1. Nodes are marked in the record by one write, before any of them is touched. A mark outlives
   the process and the spec: what was marked is finished, whatever the spec says by then.
2. Nodes that go, and networks, are removed while resolved.json is still that of before: until all
   of them are gone, the next comparison finds the same differences.
3. A network that is made anew gets a new handle. So a snapshot of before, which has the old one,
   is never restored onto it.
4. A compute that is gone is on record as departed from the write that takes it out of the nodes,
   until the cloud has forgotten it: see workflow.cloud.departed.
5. Then `lab.up` writes the new resolved.json, and makes what the record has and the host lacks:
   nodes, networks, and NICs of nodes that go on (see `nics`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from stacklab import installers, record
from stacklab.model.lab import Lab
from stacklab.paths import LabPaths
from stacklab.providers import registry
from stacklab.record import LabRecord, NodeRecord
from stacklab.workflow.cloud import departed
from stacklab.workflow.context import Context
from stacklab.workflow.faults import faults
from stacklab.workflow.lab.changes import names, nics
from stacklab.workflow.lab.changes.change import Changes, Cost, Subject
from stacklab.workflow.lab.changes.compare import compare
from stacklab.workflow.lab.changes.refusing import Consent, SpecChanged, refuse_unless_agreed
from stacklab.workflow.lab.connections import close_connections

_SHUTDOWN_S = 60.0


class Following:
    """One lab that exists, and its spec of today. The caller holds the lab's lock."""

    def __init__(
        self, context: Context, lab: Lab, paths: LabPaths, *, made: Lab | None, before: LabRecord
    ) -> None:
        self._context = context
        self._lab = lab
        self._paths = paths
        self._made = made
        self._record = before
        whys_no_plug = nics.whys_no_plug(context, made, lab, before)
        self.changes: Changes = compare(made, lab, before, whys_no_plug=whys_no_plug)

    def refuse_unless(self, consent: Consent) -> None:
        """Raise SpecChanged for what can't be followed, and for what nobody has agreed to."""
        refuse_unless_agreed(self._lab.name, self.changes, consent)
        if self.changes.is_disruptive and faults.listed(self._paths):
            # They name nodes, NICs and networks of before.
            raise SpecChanged(
                f"lab {self._lab.name} has faults, and its spec has changed since",
                hint=f"./invoke lab.fault {self._lab.name} --undo, then lab.up again",
            )

    def clear_away(self) -> LabRecord:
        """Mark what is to be done, remove what goes; returns the record of what is to be there."""
        self._write(self._marked())
        if not self._has_work:
            return self._record
        self._end_connections()
        self._undefine_outdated()
        gone = self._remove_nodes()
        self._remove_networks()
        # With those that are gone: until networks have forgotten them, the next run has to.
        self._write(registry.grown_record(self._lab, self._paths, self._record))
        with self._context.progress.stage("host", "networks"):
            provider = self._context.provider(self._record)
            provider.make_networks(self._lab, self._record.without(nodes=gone))
        for name in gone:
            self._forget_node(name)
        self._write(self._with_departed().without(nodes=gone))
        return self._record

    # --- what has to be done

    @property
    def _has_work(self) -> bool:
        """Return True unless all of it is done to nodes that go on, by `lab.up` as ever."""
        kept = {node.name for node in self._lab.nodes}
        has_left = any(node.name not in kept or node.is_outdated for node in self._record.nodes)
        # Killed behind the removal of a node whose disks changed: nothing else tells of it.
        has_left |= registry.has_stale_handle(self._lab, self._paths, self._record)
        return has_left or any(change.cost is not Cost.LIVE for change in self.changes)

    def _marked(self) -> LabRecord:
        rebooted = self.changes.names(Subject.NODE, Cost.REBOOT)
        anew = self.changes.names(Subject.NODE, Cost.REBUILD, Cost.REMOVE)
        more_nics = self.changes.nodes_with_more_nics
        marked = self._record
        for recorded in self._record.nodes:
            changed = recorded
            if recorded.name in anew:
                changed = dataclasses.replace(changed, is_created=False, answers="")
            elif recorded.name in rebooted:
                changed = dataclasses.replace(changed, is_outdated=True)
            elif recorded.name in more_nics:
                changed = dataclasses.replace(changed, has_nics=self._nics_of(recorded))
            if recorded.is_created and self._knows_other_names(recorded):
                changed = dataclasses.replace(changed, lacks_names=True)
            marked = marked.with_node(changed)
        return marked

    def _nics_of(self, recorded: NodeRecord) -> int:
        """Return how many NICs a node surely has, of those that it had in the spec of before."""
        assert self._made is not None  # a node of which nothing is known gets no NICs
        before = len(self._made.node(recorded.name).nics)
        # Where plugging was cut short, some of them may be missing.
        return min(recorded.has_nics or before, before)

    def _knows_other_names(self, recorded: NodeRecord) -> bool:
        nodes = {node.name: node for node in self._lab.nodes}
        node = nodes.get(recorded.name)
        return node is not None and names.differ(self._made, self._lab, node)

    # --- doing it

    def _undefine_outdated(self) -> None:
        outdated = [node.name for node in self._record.nodes if node.is_outdated]
        if not outdated:
            return
        provider = self._context.provider(self._record)
        with self._context.progress.stage("host", f"shutdown of {', '.join(outdated)}"):
            provider.down(self._record, outdated, patience_s=_SHUTDOWN_S)
        for name in outdated:
            provider.undefine_node(self._paths, self._record, name)

    def _remove_nodes(self) -> Sequence[str]:
        """Remove the nodes that are marked; returns those that do not come back."""
        kept = {node.name for node in self._lab.nodes}
        provider = self._context.provider(self._record)
        for recorded in self._record.nodes:
            if not recorded.is_created:
                with self._context.progress.stage(recorded.name, "remove"):
                    provider.remove_node(self._paths, self._record, recorded.name)
        return [node.name for node in self._record.nodes if node.name not in kept]

    def _with_departed(self) -> LabRecord:
        """Return the record with the computes that the lab's cloud has to forget."""
        if self._made is None or not departed.has_cloud(self._lab, self._paths):
            return self._record
        leaving = installers.leaving_computes(self._made, self._lab)
        names = dict.fromkeys((*self._record.departed, *leaving))
        return dataclasses.replace(self._record, departed=tuple(names))

    def _remove_networks(self) -> None:
        """Remove networks that go or are made anew, from the host and from the record."""
        going = self.changes.names(Subject.NETWORK, Cost.REBUILD, Cost.REMOVE)
        if not going:
            return
        provider = self._context.provider(self._record)
        with self._context.progress.stage("host", f"remove {', '.join(going)}"):
            for name in going:
                provider.remove_network(self._record, name)
        self._record = self._record.without(networks=going)

    def _end_connections(self) -> None:
        """End ssh's shared connections to nodes that are interrupted: they would hang."""
        interrupted = [node for node in self._record.nodes if node.is_interrupted]
        going = dataclasses.replace(self._record, nodes=tuple(interrupted))
        close_connections(self._context, self._paths, going)

    def _forget_node(self, name: str) -> None:
        """Remove what else this host has of a node that is gone: its keys."""
        key = self._paths.host_key(name)
        key.unlink(missing_ok=True)
        key.with_name(f"{key.name}.pub").unlink(missing_ok=True)

    def _write(self, changed: LabRecord) -> None:
        if changed != self._record:
            record.write(self._paths, changed)
        self._record = changed
