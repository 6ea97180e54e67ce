"""`lab.down` and `lab.destroy`: end a lab's nodes, and remove what is on record."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from stacklab import record
from stacklab.errors import HostError, LabError, ProviderError
from stacklab.paths import LabPaths
from stacklab.record import LabRecord
from stacklab.workflow.context import Context, not_up, read_own
from stacklab.workflow.faults import faults
from stacklab.workflow.lab import host_guard
from stacklab.workflow.lab.connections import close_connections
from stacklab.workflow.mirror import serving
from stacklab.workflow.snapshots import store as snapshots

_SHUTDOWN_S = 60.0


def down(context: Context, name: str) -> None:
    """Shut all nodes down; disks, networks and addresses stay."""
    with context.lab_lock(name) as paths:
        lab_record = read_own(paths)
        if lab_record is None:
            raise not_up(context, name)
        # While the nodes run: ssh ends at once if its other end still answers.
        close_connections(context, paths, lab_record)
        with context.progress.stage("host", "shutdown"):
            nodes = [node.name for node in lab_record.nodes]
            context.provider(lab_record).down(lab_record, nodes, patience_s=_SHUTDOWN_S)
            serving.end(paths)
            faults.forget(context, paths, lab_record)


def destroy(
    context: Context,
    name: str,
    *,
    purge: bool = False,
    read: Callable[[LabPaths], LabRecord | None] = read_own,
) -> bool:
    """Remove all that is recorded as this lab's, and nothing else; False if there was nothing.

    Its pristine snapshot stays for the next `lab.up`, unless with `purge`. `read` returns the
    record, or raises what keeps the lab from being destroyed.
    """
    with context.lab_lock(name, finishes=False) as paths:
        lab_record = read(paths)
        was_there = remove(context, paths, lab_record)
        was_there |= snapshots.remove_all(
            paths, context.runner, but="" if purge else paths.pristine().name
        )
        if was_there:
            with context.progress.stage("host", "files"):
                _remove_directory(paths)
            # Then only: its own record is not to be counted.
            provider = context.provider(lab_record)
            if _is_last_of(context, provider.name):
                provider.close_down()
        return was_there


def _is_last_of(context: Context, provider: str) -> bool:
    """Return whether no lab of that provider is left on this host, as far as records tell."""
    for name in record.names(context.host):
        try:
            other = record.read(context.host.lab(name))
        except LabError:
            return False  # damaged: nobody knows whose it is
        if other is not None and other.provider == provider:
            return False
    return True


def _remove_directory(paths: LabPaths) -> None:
    if not paths.root.exists():  # snapshots alone were left
        return
    try:
        shutil.rmtree(paths.root)
    except OSError as error:
        raise HostError(
            f"{paths.root} can't be removed: {error}", hint=f"rm -r {paths.root}"
        ) from error


def clear_away(context: Context, paths: LabPaths, lab_record: LabRecord | None) -> None:
    """Remove a lab, but for its keys and passwords, with which it can be made again."""
    remove(context, paths, lab_record)
    paths.record.unlink(missing_ok=True)
    paths.resolved.unlink(missing_ok=True)


def remove(context: Context, paths: LabPaths, lab_record: LabRecord | None) -> bool:
    """Remove everything outside the lab's directory; the caller removes the record."""
    if lab_record is None:
        return paths.root.exists()
    serving.end(paths)
    close_connections(context, paths, lab_record)
    with context.progress.stage("host", "destroy"):
        context.provider(lab_record).destroy(paths, lab_record)
        host_guard.forget(context, paths)
        faults.forget(context, paths, lab_record)
    _refuse_left_disks(paths, lab_record)
    return True


def _refuse_left_disks(paths: LabPaths, lab_record: LabRecord) -> None:
    """Raise ProviderError while a disk is there: without the record nobody would know of it."""
    left: list[str] = []
    for node in lab_record.nodes:
        for disk in paths.disks(node.name):
            if disk.exists():
                left.append(str(disk))
    left += map(str, paths.host.volumes.glob(f"{paths.name}.shared.*.raw"))
    if left:
        raise ProviderError(
            f"left behind: {', '.join(left)}",
            hint=f"./invoke lab.destroy {paths.name} again",
        )
