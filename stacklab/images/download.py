"""Downloads of images: resumed where they broke, verified before use, shared by every lab.

What was received is kept in a .part file, at whose end the next try goes on. A server is never
believed: the whole file must have the digest that the catalogue pins, and a server that sends
too slowly, or without end, is given up.
"""

from __future__ import annotations

import errno
import hashlib
import http
import http.client
import queue
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from stacklab import files, locks
from stacklab.errors import ImageError

_CHUNK = 256 * 1024
_TIMEOUT_S = 30.0  # until a server answers, and between two pieces of a file
_PROBE_TIMEOUT_S = 5.0
_TRIES = 5  # in a row without progress
_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 10.0
_REPORT_EVERY_S = 1.0
# A connection that brings less than this is broken off. At that rate an image of 300 MiB would
# take 20 hours.
_STALLED_AFTER_S = 60.0
_STALLED_BELOW_BYTES = 256 * 1024
# The largest pinned file, an installer's DVD, has 4.5 GiB.
_LARGEST_BYTES = 16 * 1024**3
_MOST_DIGITS = 30  # of a size that is read; it is far too large then, and int() refuses 4300

_PARTIAL_CONTENT = http.HTTPStatus.PARTIAL_CONTENT
_RANGE_NOT_SATISFIABLE = http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE

_Answer: TypeAlias = http.client.HTTPResponse


class _TooSlowError(OSError):
    """A connection that brings almost nothing."""


def is_reachable(url: str, *, timeout_s: float = _PROBE_TIMEOUT_S) -> bool:
    """Return True if the source answers a HEAD request within the time limit."""
    try:
        request = urllib.request.Request(url, method="HEAD")
        with _open_url(request, timeout_s) as answer:
            return bool(answer.status < 400)
    except urllib.error.HTTPError as refusal:
        refusal.close()  # the error is the answer, and holds the connection
        return False
    except (OSError, ValueError, http.client.HTTPException):
        return False


def is_complete(url: str, digest: str, directory: Path) -> bool:
    """Return True if the whole file is here; its digest is checked when it is used."""
    return _target_path(url, digest, directory).is_file()


def fetch(url: str, digest: str, directory: Path, *, say: Callable[[str], None]) -> Path:
    """Return the verified file, after downloading what is missing of it.

    Raises ImageError if the source is not available, or if its content does not have the pinned
    digest. Such a file is kept aside as .refused, to be looked at, and is never used.
    """
    files.make_directory(directory)
    target = _target_path(url, digest, directory)
    lock = target.with_name(target.name + ".lock")
    with locks.held(lock, f"the download of {target.name}", wait_s=3600, waiting=say):
        if target.is_file() and _file_digest(target, digest) == digest:
            return target
        part = target.with_name(target.name + ".part")
        _download(url, part, say)
        say("verifying the digest")
        actual = _file_digest(part, digest)
        if actual != digest:
            refused = target.with_name(target.name + ".refused")
            part.replace(refused)
            raise ImageError(
                f"{url} is not what the catalogue pins\n"
                f"  pinned: {digest}\n  found:  {actual}\n  kept:   {refused}",
                hint="compare with the publisher's checksums, then correct packer/catalogue.yaml",
            )
        part.chmod(0o444)
        part.replace(target)
    return target


def _target_path(url: str, digest: str, directory: Path) -> Path:
    name = Path(urllib.parse.urlsplit(url).path).name or "download"
    return directory / f"{digest.replace(':', '-')[:23]}-{name}"


def _download(url: str, part: Path, say: Callable[[str], None]) -> None:
    """Fill `part` to its end; go on where a connection broke."""
    largest = _file_size(part)
    tries_without_progress = 0
    while True:
        is_slow = False
        try:
            if _transfer(url, part, say):
                return
            reason = "it ended early"
        except urllib.error.HTTPError as refusal:
            refusal.close()
            message = f"{url}: {refusal.code} {refusal.reason}"
            raise ImageError(message, hint="./invoke doctor") from refusal
        except (OSError, http.client.HTTPException) as error:
            reason = _break_reason(error, part)
            is_slow = isinstance(error, _TooSlowError)
        size = _file_size(part)
        # A slow server makes progress at every try, and would never be given up.
        if size > largest and not is_slow:
            tries_without_progress = 0
        else:
            tries_without_progress += 1
        largest = max(largest, size)
        # If nothing at all came, the source is not there: trying again would only delay the news.
        if size == 0 or tries_without_progress == _TRIES:
            raise _not_available_error(url, part, reason)
        say(
            f"connection broken ({reason}); going on at {_mib_words(size)}, "
            f"try {tries_without_progress + 1} of {_TRIES}"
        )
        pause_s = _PAUSE_S * 2**tries_without_progress
        time.sleep(min(pause_s, _LONGEST_PAUSE_S))


def _break_reason(error: OSError | http.client.HTTPException, part: Path) -> str:
    """Return why a connection broke; raise ImageError if it was the disk."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        raise ImageError(f"{part}: {error.strerror}", hint="./invoke image.prune") from error
    # urllib wraps the error of the connection; some errors have no words of their own.
    reason = str(getattr(error, "reason", error))
    return reason or type(error).__name__


def _not_available_error(url: str, part: Path, reason: str) -> ImageError:
    size = _file_size(part)
    if size == 0:
        part.unlink(missing_ok=True)
        return ImageError(f"{url} can't be had: {reason}", hint="./invoke doctor")
    return ImageError(
        f"{url} can't be had: {reason} "
        f"({_TRIES} tries without progress, the {_mib_words(size)} that came are kept)",
        hint="./invoke doctor",
    )


def _file_size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _transfer(url: str, part: Path, say: Callable[[str], None]) -> bool:
    """Fetch what one connection brings; return True if all that the server announced is here."""
    offset = _file_size(part)
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        answer = _open_url(request, _TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != _RANGE_NOT_SATISFIABLE or offset == 0:
            raise
        error.close()
        if _size_told_by(error) == offset:
            return True
        part.unlink()  # the file has changed since: from the start
        return _transfer(url, part, say)
    with answer:
        return _receive_body(answer, url, part, offset, say)


def _size_told_by(refusal: urllib.error.HTTPError) -> int | None:
    """Return the size of the file that a server tells with 416: `Content-Range: bytes */SIZE`."""
    content_range = refusal.headers.get("Content-Range", "")
    return _parse_size(content_range.rpartition("/")[2])


def _receive_body(
    answer: _Answer, url: str, part: Path, offset: int, say: Callable[[str], None]
) -> bool:
    """Write an answer to the file; return True if all that was announced is here."""
    if answer.status != _PARTIAL_CONTENT:
        offset = 0  # the server can't resume, and sends all of it
    total = _announced_size(answer, offset)
    if total is not None and total > _LARGEST_BYTES:
        raise _too_large_error(url, part)
    with part.open("ab" if offset else "wb") as stream:
        for size in _copy_body(answer, stream.write, offset, total, say):
            # What was announced may be a lie, and an answer without an end fills the disk.
            if size > _LARGEST_BYTES:
                raise _too_large_error(url, part)
    return total is None or _file_size(part) >= total


def _open_url(request: urllib.request.Request, timeout_s: float) -> _Answer:
    """Send a request and return its answer; raise TimeoutError if that takes too long in all.

    urlopen's own limit is for each piece that it receives: a server that sends one header after
    another could keep it for hours. So it runs in a thread, which is left behind if it is late.
    """
    answers: queue.Queue[_Answer | BaseException] = queue.Queue()
    is_late = threading.Event()

    def send() -> None:
        try:
            answer = urllib.request.urlopen(request, timeout=timeout_s)
        except BaseException as error:
            answers.put(error)
            return
        answers.put(answer)
        if is_late.is_set():
            answer.close()

    threading.Thread(target=send, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty:
        is_late.set()
        raise TimeoutError(f"no answer within {timeout_s:g} s") from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _announced_size(answer: _Answer, offset: int) -> int | None:
    """Return the size of the whole file, or None if the server does not announce it."""
    # Of this answer only: what is here already is not part of it.
    length = _parse_size(answer.headers.get("Content-Length", ""))
    if length is None:
        return None
    return offset + length


def _parse_size(header: str) -> int | None:
    """Return the number in a header's value, or None if it is anything else."""
    if not (header.isascii() and header.isdecimal()):
        return None
    return int(header[:_MOST_DIGITS])


def _too_large_error(url: str, part: Path) -> ImageError:
    part.unlink(missing_ok=True)
    return ImageError(
        f"{url} is larger than {_mib_words(_LARGEST_BYTES)}, which no image is",
        hint="correct its url in packer/catalogue.yaml",
    )


def _copy_body(
    answer: _Answer,
    write: Callable[[bytes], object],
    offset: int,
    total: int | None,
    say: Callable[[str], None],
) -> Iterator[int]:
    """Write what a connection brings; yield the size of the file after each piece."""
    started = reported = time.monotonic()
    done = offset
    window_start, window_offset = started, offset
    # read1 returns what is there: read would wait for a whole chunk from a slow server.
    while chunk := answer.read1(_CHUNK):
        write(chunk)
        done += len(chunk)
        yield done
        now = time.monotonic()
        if now - window_start >= _STALLED_AFTER_S:
            came = done - window_offset
            if came < _STALLED_BELOW_BYTES:
                raise _TooSlowError(f"only {came} bytes in {_STALLED_AFTER_S:g} s")
            window_start, window_offset = now, done
        if now - reported >= _REPORT_EVERY_S:
            reported = now
            of_total = f" of {_mib_words(total)}" if total else ""
            elapsed_s = max(now - started, 0.001)  # never zero, whatever the clock's step
            rate = int((done - offset) / elapsed_s)
            say(f"downloaded {_mib_words(done)}{of_total}, {_mib_words(rate)}/s")


def _file_digest(path: Path, like: str) -> str:
    """Return a file's digest by the algorithm of another one: sha256:... or sha512:..."""
    algorithm = like.split(":", 1)[0]
    with path.open("rb") as stream:
        return f"{algorithm}:{hashlib.file_digest(stream, algorithm).hexdigest()}"


def _mib_words(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MiB"
