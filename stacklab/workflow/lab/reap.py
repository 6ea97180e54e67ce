"""`lab.reap`: destroy labs past their time to live, so that a job that crashed leaks nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stacklab import locks, record
from stacklab.errors import AlreadyRunning, LabError, ProviderError
from stacklab.paths import LabPaths
from stacklab.providers import registry
from stacklab.record import LabRecord
from stacklab.workflow.context import Context
from stacklab.workflow.lab import ending
from stacklab.workflow.lab.lifetime import left

_CLOCK_SLACK_S = 60.0  # what a time server may take back at once


class Fate(StrEnum):
    """The fate of a lab that has a time to live."""

    DESTROYED = "destroyed"
    DUE = "due"  # would be destroyed now
    STAYS = "stays"  # has time left
    IN_USE = "in use"  # past its time; the next reap will see
    FAILED = "failed"  # somebody must look


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped:
    """A lab and its fate."""

    lab: str
    fate: Fate
    detail: str


class _NotDue(Exception):
    """Somebody has given the lab more time, or removed it, since it was looked at."""


def reap(
    context: Context, *, dry_run: bool = False, clock: Callable[[], float] = time.time
) -> tuple[Reaped, ...]:
    """Destroy every lab past its time, whichever checkout made it; returns the fate of each.

    One that can't be destroyed does not keep the others alive. A lab without a time to
    live is not looked at; one that a command holds is left alone.
    """
    reaped = []
    for name in record.names(context.host):
        lab = _reap_lab(context, context.host.lab(name), dry_run=dry_run, clock=clock)
        if lab is not None:
            reaped.append(lab)
    return tuple(reaped)


def raise_for(reaped: Sequence[Reaped]) -> None:
    """Raise ProviderError naming the labs that somebody must look at."""
    failed = [lab for lab in reaped if lab.fate is Fate.FAILED]
    if failed:
        details = "\n".join(f"  {lab.lab}: {lab.detail}" for lab in failed)
        raise ProviderError(
            f"{len(failed)} of {len(reaped)} labs can't be reaped:\n{details}",
            hint="./invoke lab.status",
        )


def _reap_lab(
    context: Context, paths: LabPaths, *, dry_run: bool, clock: Callable[[], float]
) -> Reaped | None:
    name = paths.name
    try:
        lab_record = registry.read(paths)
        if lab_record is None or lab_record.expires_at is None:
            return None
        time_left = left(lab_record.expires_at, clock())
        # Even for a lab that stays: its owner should learn early that its TTL is worth nothing.
        _refuse_odd_clock(lab_record, clock())
        if lab_record.expires_at > clock():
            return Reaped(lab=name, fate=Fate.STAYS, detail=time_left)
        # Before destroy, which would wait for the lock: the next reap comes soon enough.
        _refuse_held(paths)
        if dry_run:
            return Reaped(lab=name, fate=Fate.DUE, detail=time_left)
        # The record is read again under the lock: the lab may have been given more time meanwhile.
        ending.destroy(context, name, read=lambda paths: _read_due(paths, clock))
        return Reaped(lab=name, fate=Fate.DESTROYED, detail=time_left)
    except _NotDue as error:
        return Reaped(lab=name, fate=Fate.STAYS, detail=str(error))
    except AlreadyRunning as error:
        return Reaped(lab=name, fate=Fate.IN_USE, detail=error.message)
    except LabError as error:
        return Reaped(lab=name, fate=Fate.FAILED, detail=str(error))
    except OSError as error:  # another user's files
        return Reaped(lab=name, fate=Fate.FAILED, detail=f"{error.filename}: {error.strerror}")


def _refuse_held(paths: LabPaths) -> None:
    """Raise AlreadyRunning where a command holds the lab."""
    if paths.lock.exists():
        with locks.held(paths.lock, f"lab {paths.name}"):
            return


def _refuse_odd_clock(lab_record: LabRecord, now: float) -> None:
    """Raise LabError where the record is from the future: then no lab's time can be trusted."""
    if lab_record.created_at > now + _CLOCK_SLACK_S:
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(lab_record.created_at))
        raise LabError(
            f"made at {made}, which is in the future: the clock went backwards",
            hint=f"set the clock, or ./invoke lab.destroy {lab_record.name}",
        )


def _read_due(paths: LabPaths, clock: Callable[[], float]) -> LabRecord:
    """Read the record again, under the lab's lock; raises _NotDue where it may live.

    Labs of any checkout are reaped: the checkout of a crashed job is often still there.
    """
    lab_record = registry.read(paths)
    if lab_record is None:
        raise _NotDue("somebody else has removed it")
    if lab_record.expires_at is None or lab_record.expires_at > clock():
        raise _NotDue(left(lab_record.expires_at, clock()) or "its time to live was removed")
    _refuse_odd_clock(lab_record, clock())
    return lab_record
