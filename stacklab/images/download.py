"""Downloads that resume, are verified before use, and are shared by every lab.

A transfer restarts from its checkpoint (the .part file), and what was written is
checked against the pin of the catalogue, whatever the server says.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from stacklab import locks
from stacklab.errors import ImageError

_CHUNK = 256 * 1024
_TIMEOUT_S = 30.0
_PROBE_TIMEOUT_S = 5.0
_TRIES = 5  # in vain, one after the other
_PAUSE_S = 2.0
_TELL_EVERY_S = 1.0


def is_reachable(url: str, *, timeout_s: float = _PROBE_TIMEOUT_S) -> bool:
    """Whether the source answers a HEAD request; a name that does not resolve says no at once."""
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return bool(answer.status < 400)
    except urllib.error.HTTPError as refusal:
        refusal.close()  # it is the answer, connection and all
        return False
    except (OSError, ValueError, http.client.HTTPException):
        return False


def is_complete(url: str, digest: str, directory: Path) -> bool:
    """Whether the whole file is here already (its digest is checked when it is used)."""
    return _target(url, digest, directory).is_file()


def fetch(url: str, digest: str, directory: Path, *, say: Callable[[str], None]) -> Path:
    """Return the verified file, downloading what is missing of it.

    Raises ImageError when the source can't be had, or when what came is not what was pinned
    (it is kept aside as .refused for a look, and never used).
    """
    directory.mkdir(parents=True, exist_ok=True)
    target = _target(url, digest, directory)
    name = target.name
    with locks.held(
        target.with_suffix(target.suffix + ".lock"),
        f"the download of {name}",
        wait_s=3600,
        waiting=say,
    ):
        if target.is_file() and _digest(target, digest) == digest:
            return target
        part = target.with_name(target.name + ".part")
        _download(url, part, say)
        say("verifying the digest")
        found = _digest(part, digest)
        if found != digest:
            refused = target.with_name(target.name + ".refused")
            part.replace(refused)
            raise ImageError(
                f"{url} is not what the catalogue pins\n  pinned: {digest}\n  found:  {found}\n  kept:   {refused}",
                hint="compare with the publisher's checksums, then correct packer/catalogue.yaml",
            )
        part.chmod(0o444)
        part.replace(target)
    return target


def _target(url: str, digest: str, directory: Path) -> Path:
    name = Path(urllib.parse.urlsplit(url).path).name or "download"
    return directory / f"{digest.replace(':', '-')[:23]}-{name}"


def _download(url: str, part: Path, say: Callable[[str], None]) -> None:
    """Fill `part` to its end; a broken connection is taken up where it broke."""
    most, in_vain = _size(part), 0
    while True:
        try:
            if _transfer(url, part, say):
                return
            why = "it ended early"
        except urllib.error.HTTPError as refusal:
            refusal.close()
            raise ImageError(
                f"{url}: {refusal.code} {refusal.reason}", hint="./invoke doctor"
            ) from refusal
        except (OSError, http.client.HTTPException) as broken:
            if isinstance(broken, OSError) and broken.errno == errno.ENOSPC:
                raise ImageError(
                    f"{part}: {broken.strerror}", hint="./invoke image.prune"
                ) from broken
            why = str(getattr(broken, "reason", broken)) or type(broken).__name__
        if (size := _size(part)) > most:
            most, in_vain = size, 0
        else:
            in_vain += 1
        if (
            size == 0 or in_vain == _TRIES
        ):  # of nothing, that the source is not there is told at once
            if size == 0:
                part.unlink(missing_ok=True)
            tried = (
                f" ({_TRIES} tries in vain, the {_mib(size)} that came are kept)" if size else ""
            )
            raise ImageError(f"{url} can't be had: {why}{tried}", hint="./invoke doctor")
        say(f"connection broken ({why}); going on at {_mib(size)}, try {in_vain + 1} of {_TRIES}")
        time.sleep(min(_PAUSE_S * 2**in_vain, 10.0))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _transfer(url: str, part: Path, say: Callable[[str], None]) -> bool:
    """One connection's worth; True when the server's announced length has arrived."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        error.close()
        # "bytes */SIZE": the part is complete, or it is no part of what is there today
        if error.headers.get("Content-Range", "").rpartition("/")[2] == str(have):
            return True
        part.unlink()
        return _transfer(url, part, say)
    with answer:
        if have and answer.status != 206:  # the server can't resume: from the start
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length is not None else None
        with part.open("ab" if have else "wb") as stream:
            done = _copy(answer, stream.write, have, total, say)
    return total is None or done >= total


def _copy(
    answer: http.client.HTTPResponse,
    write: Callable[[bytes], object],
    done: int,
    total: int | None,
    say: Callable[[str], None],
) -> int:
    told = started = time.monotonic()
    first = done
    while chunk := answer.read(_CHUNK):
        write(chunk)
        done += len(chunk)
        now = time.monotonic()
        if now - told >= _TELL_EVERY_S:
            told = now
            rate = (done - first) / (now - started)
            say(
                f"downloaded {_mib(done)}"
                + (f" of {_mib(total)}" if total else "")
                + f", {_mib(int(rate))}/s"
            )
    return done


def _digest(path: Path, like: str) -> str:
    algorithm = like.split(":", 1)[0]
    with path.open("rb") as stream:
        return f"{algorithm}:{hashlib.file_digest(stream, algorithm).hexdigest()}"


def _mib(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MiB"
