from __future__ import annotations

import dataclasses
import json
import shutil
import time
from pathlib import Path

import pytest

from stacklab import locks, record
from stacklab.errors import NodeNotReady, ProviderError
from stacklab.workflow.lab import ending, lifetime, reap
from stacklab.workflow.lab import status as lab_status
from stacklab.workflow.lab import up as bringing
from stacklab.workflow.lab.reap import Fate
from tests.unit.checks.fake_lab import make_lab
from tests.unit.workflow.fake_host import FakeHost

DUO = {"name": "duo", "cidrs": ("10.30.0.0/24",)}


def up(host: FakeHost, *, ttl: str | None = None, **lab: object) -> None:
    made = make_lab(**lab)  # type: ignore[arg-type]
    bringing.up(host.context, made, checks=False, ttl_s=lifetime.ttl_s(ttl))


def change(host: FakeHost, name: str = "trio", **fields: object) -> None:
    kept = record.read(host.lab(name))
    assert kept is not None
    record.write(host.lab(name), dataclasses.replace(kept, **fields))  # type: ignore[arg-type]


def expires_at(host: FakeHost, name: str = "trio") -> float | None:
    kept = record.read(host.lab(name))
    assert kept is not None
    return kept.expires_at


def fates(host: FakeHost, *, dry_run: bool = False) -> dict[str, Fate]:
    return {each.lab: each.fate for each in reap.reap(host.context, dry_run=dry_run)}


def age(host: FakeHost, name: str = "trio", *, by_s: float = 10.0) -> None:
    """Let its time be over for that long."""
    change(host, name, expires_at=time.time() - by_s)


def test_a_lab_has_its_time_from_when_it_is_begun(host: FakeHost) -> None:
    before = time.time()
    up(host, ttl="2h")
    assert before + 7200 <= (expires_at(host) or 0) <= time.time() + 7200


def test_a_lab_that_was_cut_off_half_way_has_its_time_too(host: FakeHost) -> None:
    host.fails_at = "compute1"
    with pytest.raises((ProviderError, NodeNotReady)):
        up(host, ttl="2h")
    assert expires_at(host) is not None


def test_a_lab_without_a_time_lives_for_ever_and_its_record_is_as_it_always_was(
    host: FakeHost,
) -> None:
    up(host)
    assert expires_at(host) is None
    assert "expires_at" not in json.loads(host.lab().record.read_text()), (
        "an older checkout reads it"
    )


def test_up_again_prolongs_and_never_shortens(host: FakeHost) -> None:
    up(host, ttl="1h")
    first = expires_at(host) or 0
    up(host, ttl="2h")
    second = expires_at(host) or 0
    assert second > first + 3000
    up(host, ttl="30m")
    assert expires_at(host) == second, "who was promised two hours has them"
    up(host)
    assert expires_at(host) == second


def test_up_again_gives_an_expired_lab_new_time(host: FakeHost) -> None:
    up(host, ttl="1h")
    age(host)
    up(host, ttl="1h")
    assert fates(host) == {"trio": Fate.STAYS}


def test_up_of_an_expired_lab_tells_that_it_will_be_taken_all_the_same(host: FakeHost) -> None:
    up(host, ttl="1h")
    up(host)
    assert not any("lab.reap" in text for _, text in host.listener.heard)
    age(host)
    up(host)
    (told,) = [text for _, text in host.listener.heard if "lab.reap" in text]
    assert told.startswith("this lab's TTL has expired")
    assert told.endswith("./invoke lab.up trio --ttl 2h")


def test_a_rebuilt_lab_keeps_its_time(host: FakeHost) -> None:
    up(host, ttl="1h")
    first = expires_at(host)
    bringing.rebuild(host.context, make_lab(), checks=False)
    assert expires_at(host) == first


def test_status_tells_when_it_ends(host: FakeHost) -> None:
    up(host, ttl="1h")
    (found,) = lab_status.status(host.context)
    assert found.expires_at == expires_at(host)
    assert json.loads(json.dumps(lab_status.as_dict(found)))["expires_at"] == found.expires_at


def test_only_what_is_past_its_time_is_destroyed(host: FakeHost) -> None:
    up(host, ttl="1h")
    up(host, ttl="1h", **DUO)
    age(host, "duo")
    (duo, trio) = reap.reap(host.context)
    assert (duo.lab, duo.fate, duo.detail) == ("duo", Fate.DESTROYED, "ended 10 s ago")
    assert (trio.lab, trio.fate, trio.detail) == ("trio", Fate.STAYS, "59 min left")
    assert record.names(host.paths) == ("trio",)
    assert {name.split("_")[0] for name in host.libvirt.names.values()} == {"trio"}
    assert not host.lab("duo").root.exists()


def test_a_lab_without_a_time_is_never_destroyed_nor_spoken_of(host: FakeHost) -> None:
    up(host)
    change(host, created_at=0.0)
    assert fates(host) == {}
    assert record.names(host.paths) == ("trio",)


def test_a_dry_run_touches_nothing(host: FakeHost) -> None:
    up(host, ttl="1h")
    age(host)
    before = {path: path.stat().st_mtime_ns for path in host.lab().root.rglob("*")}
    calls = len(host.libvirt.calls)
    assert fates(host, dry_run=True) == {"trio": Fate.DUE}
    assert {path: path.stat().st_mtime_ns for path in host.lab().root.rglob("*")} == before
    assert len(host.libvirt.calls) == calls


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_crashed_job_s_checkout_may_be_gone_or_still_there(
    host: FakeHost, tmp_path: Path, is_gone: bool
) -> None:
    up(host, ttl="1h")
    other = tmp_path / "job-7"
    other.mkdir()
    (other / "tasks.py").touch()
    change(host, checkout=other, expires_at=time.time() - 10)
    if is_gone:
        shutil.rmtree(other)
    assert fates(host) == {"trio": Fate.DESTROYED}


def test_a_lab_in_use_is_left_and_told_at_once(host: FakeHost) -> None:
    up(host, ttl="1h")
    age(host)
    started = time.monotonic()
    with locks.held(host.lab().lock, "lab trio"):
        for dry_run in (True, False):
            (found,) = reap.reap(host.context, dry_run=dry_run)
            assert found.fate is Fate.IN_USE
            assert "in use by process" in found.detail
    assert time.monotonic() - started < 5
    reap.raise_for([found])  # the next reap will see: nobody needs to be woken
    assert fates(host) == {"trio": Fate.DESTROYED}


def test_who_was_given_more_time_while_we_waited_for_the_lock_stays(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(host, ttl="1h")
    age(host)
    monkeypatch.setattr(
        reap, "_refuse_held", lambda _paths: change(host, expires_at=time.time() + 3600.5)
    )
    (found,) = reap.reap(host.context)
    assert (found.fate, found.detail) == (Fate.STAYS, "1 h 0 min left")
    assert record.read(host.lab()) is not None


def test_who_was_destroyed_and_begun_anew_for_ever_meanwhile_stays(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(host, ttl="1h")
    age(host)
    monkeypatch.setattr(reap, "_refuse_held", lambda _paths: change(host, expires_at=None))
    assert fates(host) == {"trio": Fate.STAYS}
    monkeypatch.setattr(reap, "_refuse_held", lambda paths: paths.record.unlink())
    age(host)
    assert fates(host) == {"trio": Fate.STAYS}
    assert host.lab().root.exists()


def test_one_that_fails_keeps_none_of_the_others(host: FakeHost) -> None:
    up(host, ttl="1h", **DUO)
    up(host, ttl="1h")
    first = next(uuid for uuid, name in host.libvirt.names.items() if name.startswith("duo_"))
    host.libvirt.names[first] = "somebodys"
    for name in ("duo", "trio"):
        age(host, name)
    found = reap.reap(host.context)
    assert [each.fate for each in found] == [Fate.FAILED, Fate.DESTROYED]
    with pytest.raises(ProviderError, match=r"1 of 2 labs can't be reaped:\n  duo: .*somebodys"):
        reap.raise_for(found)


def test_files_of_another_user_are_told_not_raised(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> bool:
        raise PermissionError(13, "Permission denied", "/var/lib/theirs")

    up(host, ttl="1h")
    age(host)
    monkeypatch.setattr(ending, "destroy", refuse)
    (found,) = reap.reap(host.context)
    assert (found.fate, found.detail) == (Fate.FAILED, "/var/lib/theirs: Permission denied")


@pytest.mark.parametrize("junk", ['"soon"', "NaN", "Infinity", "true", "[]"])
def test_a_damaged_record_is_told_and_its_lab_left(host: FakeHost, junk: str) -> None:
    up(host, ttl="1h")
    text = host.lab().record.read_text()
    host.lab().record.write_text(text.replace(json.dumps(expires_at(host)), junk))
    (found,) = reap.reap(host.context)
    assert found.fate is Fate.FAILED
    assert "the record of lab trio is damaged" in found.detail
    assert "expires_at" in found.detail
    assert len(host.libvirt.states) == 3


def test_a_copy_of_a_lab_s_directory_reaps_nothing_of_the_lab(host: FakeHost) -> None:
    up(host, ttl="1h")
    age(host)
    shutil.copytree(host.lab().root, host.lab("trio-old").root)
    change(host, expires_at=time.time() + 3600.5)  # the lab itself was given more time
    assert fates(host) == {"trio": Fate.STAYS, "trio-old": Fate.FAILED}
    assert len(host.libvirt.states) == 3


def test_a_record_of_no_sense_keeps_no_other_lab_alive(host: FakeHost) -> None:
    up(host, ttl="1h", **DUO)
    up(host, ttl="1h")
    age(host)
    whole = json.loads(host.lab("duo").record.read_text())
    host.lab("duo").record.write_text(json.dumps({**whole, "created_at": "soon"}))
    assert fates(host) == {"duo": Fate.FAILED, "trio": Fate.DESTROYED}


def test_a_clock_that_went_backwards_is_told_and_the_lab_left(host: FakeHost) -> None:
    up(host, ttl="1h")
    (found,) = reap.reap(host.context, clock=lambda: time.time() - 86400)
    assert found.fate is Fate.FAILED
    assert "the clock went backwards" in found.detail
    assert fates(host) == {"trio": Fate.STAYS}


def test_nothing_to_reap_is_no_error(host: FakeHost) -> None:
    assert reap.reap(host.context) == ()
    reap.raise_for(())
