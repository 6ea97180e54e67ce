"""`lab.reap`: labs past their time are destroyed, so that a job that crashed leaks nothing."""

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
    return tuple(
        fate
        for name in record.names(context.host)
        if (fate := _one(context, context.host.lab(name), dry_run=dry_run, clock=clock)) is not None
    )


def raise_for(found: Sequence[Reaped]) -> None:
    """Raise ProviderError naming the labs that somebody must look at."""
    failed = [each for each in found if each.fate is Fate.FAILED]
    if failed:
        told = "\n".join(f"  {each.lab}: {each.detail}" for each in failed)
        raise ProviderError(
            f"{len(failed)} of {len(found)} labs can't be reaped:\n{told}",
            hint="./invoke lab.status",
        )


def _one(
    context: Context, paths: LabPaths, *, dry_run: bool, clock: Callable[[], float]
) -> Reaped | None:
    name = paths.name
    try:
        its_record = registry.read(paths)
        if its_record is None or its_record.expires_at is None:
            return None
        told = left(its_record.expires_at, clock())
        _refuse_odd_clock(its_record, clock())
        if its_record.expires_at > clock():
            return Reaped(lab=name, fate=Fate.STAYS, detail=told)
        _refuse_held(paths)
        if dry_run:
            return Reaped(lab=name, fate=Fate.DUE, detail=told)
        ending.destroy(context, name, read=lambda each: _read_due(each, clock))
        return Reaped(lab=name, fate=Fate.DESTROYED, detail=told)
    except _NotDue as error:
        return Reaped(lab=name, fate=Fate.STAYS, detail=str(error))
    except AlreadyRunning as error:
        return Reaped(lab=name, fate=Fate.IN_USE, detail=error.message)
    except LabError as error:
        return Reaped(lab=name, fate=Fate.FAILED, detail=str(error))
    except OSError as error:  # another user's files
        return Reaped(lab=name, fate=Fate.FAILED, detail=f"{error.filename}: {error.strerror}")


def _refuse_held(paths: LabPaths) -> None:
    """Raise AlreadyRunning where a command holds the lab: ending.destroy would wait for it."""
    if paths.lock.exists():
        with locks.held(paths.lock, f"lab {paths.name}"):
            return


def _refuse_odd_clock(its_record: LabRecord, now: float) -> None:
    """Raise LabError where the record is from the future: nobody knows whose time is up."""
    if its_record.created_at > now + _CLOCK_SLACK_S:
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(its_record.created_at))
        raise LabError(
            f"made at {made}, which is yet to come: the clock went backwards",
            hint=f"set the clock, or ./invoke lab.destroy {its_record.name}",
        )


def _read_due(paths: LabPaths, clock: Callable[[], float]) -> LabRecord:
    """Read the record again, under the lab's lock; raises _NotDue where it may live.

    Any checkout's lab is taken: that of a crashed job is often still there.
    """
    its_record = registry.read(paths)
    if its_record is None:
        raise _NotDue("somebody else has removed it")
    if its_record.expires_at is None or its_record.expires_at > clock():
        raise _NotDue(left(its_record.expires_at, clock()) or "has no time to live any more")
    _refuse_odd_clock(its_record, clock())
    return its_record
