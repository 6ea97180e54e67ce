"""Check results for machines: JSON and JUnit XML, written piece by piece, and the files that they go to.

400,000 results are no more than a generator here: neither text is ever whole in memory.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypedDict
from xml.sax.saxutils import escape, quoteattr

from stacklab.checks.explain.causes import Explained, causes
from stacklab.checks.result import CheckResult, CheckStatus, Layer
from stacklab.errors import CheckFailed, CheckWarned, LabError, NotChecked
from stacklab.foreign import printable
from stacklab.model.lab import Lab

# Of the JSON: a key that goes or changes its meaning makes a new version, a further key does not.
VERSION = 1
_EXIT_CODES = {
    CheckStatus.PASSED: 0,
    CheckStatus.WARNED: CheckWarned.exit_code,
    CheckStatus.FAILED: CheckFailed.exit_code,
    CheckStatus.ERROR: NotChecked.exit_code,
}


class Ran(Protocol):
    """What a run of the checks came to; `started_at` is time.time()."""

    @property
    def lab(self) -> Lab: ...  # noqa: D102
    @property
    def results(self) -> Sequence[CheckResult]: ...  # noqa: D102
    @property
    def started_at(self) -> float: ...  # noqa: D102
    @property
    def elapsed_s(self) -> float: ...  # noqa: D102


class Counts(TypedDict):
    """How many checks there are of each outcome."""

    total: int
    passed: int
    warned: int
    failed: int
    error: int


def _counts(found: Counter[CheckStatus]) -> Counts:
    return {
        "total": found.total(),
        "passed": found[CheckStatus.PASSED],
        "warned": found[CheckStatus.WARNED],
        "failed": found[CheckStatus.FAILED],
        "error": found[CheckStatus.ERROR],
    }


def summary(results: Iterable[CheckResult]) -> Counts:
    """Count the outcomes."""
    return _counts(Counter(result.status for result in results))


def by_layer(results: Iterable[CheckResult]) -> dict[Layer, Counts]:
    """Count the outcomes of each layer that has checks, in the order of the layers."""
    found = Counter((result.check.kind.layer, result.status) for result in results)
    layers = {layer for layer, _ in found}
    return {
        layer: _counts(Counter({status: found[layer, status] for status in CheckStatus}))
        for layer in Layer
        if layer in layers
    }


def verdict(counts: Counts) -> CheckStatus:
    """How a run came out as a whole, as the exit code tells it: what failed says more than what had no answer."""
    if counts["failed"]:
        return CheckStatus.FAILED
    if counts["error"]:
        return CheckStatus.ERROR
    return CheckStatus.WARNED if counts["warned"] else CheckStatus.PASSED


def stamp(at: float, form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    """A time in UTC."""
    return time.strftime(form, time.gmtime(at))


def clean(text: str) -> str:
    """Return what a node wrote as a terminal and any document may hold it."""
    return printable(text, indent="")


def json_parts(ran: Ran) -> Iterator[str]:
    """The report as JSON, a check per line; docs/check-report.md says what is in it."""
    counts = summary(ran.results)
    outcome = verdict(counts)
    head = {
        "version": VERSION,
        "lab": ran.lab.name,
        "started_at": stamp(ran.started_at),
        "elapsed_s": round(ran.elapsed_s, 3),
        "verdict": outcome.value,
        "exit_code": _EXIT_CODES[outcome],
        "summary": {**counts, "layers": by_layer(ran.results)},
    }
    yield json.dumps(head)[:-1] + ', "causes": ['
    for number, cause in enumerate(causes(ran.results)):
        yield (",\n" if number else "\n") + json.dumps(_cause_row(cause))
    yield '], "checks": ['
    for number, result in enumerate(ran.results):
        yield (",\n" if number else "\n") + json.dumps(_row(result))
    yield "\n]}\n"


def _row(result: CheckResult) -> dict[str, str | float | None]:
    """Return a check as the report has it; `reason` and `cause_kind` are words that stay."""
    check = result.check
    return {
        "layer": check.kind.layer.value,
        "kind": check.kind.value,
        "node": check.node,
        "target": check.target,
        "network": check.network,
        "address": check.address,
        "device": check.device,
        "subject": check.subject,
        "status": result.status.value,
        "reason": result.reason.value,
        "about": _whole(result.about),
        "detail": _whole(result.sentence),
        "rtt_ms": result.rtt_ms,
        "elapsed_s": round(result.elapsed_s, 3),
        "command": _whole(result.command),
        "output": _whole(result.output),
        "cause_kind": result.cause.kind.value if result.cause else "",
        "cause": _whole(result.cause_text),
        "evidence": _whole(result.evidence),
    }


def _cause_row(group: Explained) -> dict[str, str | int]:
    return {
        "kind": group.cause.kind.value,
        "cause": _whole(group.cause.text),
        "count": len(group.results),
        "scope": group.scope,
        "evidence": _whole(group.evidence),
    }


def _whole(text: str) -> str:
    """The text without halves of characters, which strict readers of JSON refuse."""
    return (
        text
        if text.isascii()
        else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


def junit_parts(ran: Ran) -> Iterator[str]:
    """The report as JUnit XML: a suite per layer, a test case per check.

    Valid by the schema of Jenkins' xUnit plug-in, and but for the totals and the cases'
    system-out by that of Ant: hence the empty elements, and `localhost`.
    """
    layers = by_layer(ran.results)
    counts = summary(ran.results)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    totals = f'tests="{counts["total"]}" failures="{counts["failed"]}" errors="{counts["error"]}"'
    yield f'<testsuites name={_quoted(f"stacklab.{ran.lab.name}")} {totals} time="{ran.elapsed_s:.3f}">\n'
    for number, (layer, own) in enumerate(layers.items()):
        results = [result for result in ran.results if result.check.kind.layer is layer]
        seconds = sum(result.elapsed_s for result in results)
        name = _quoted(f"{ran.lab.name}.{layer}")
        yield (
            f'<testsuite name={name} package={_quoted(ran.lab.name)} id="{number}" hostname="localhost"'
            f' timestamp="{stamp(ran.started_at, "%Y-%m-%dT%H:%M:%S")}" tests="{own["total"]}"'
            f' failures="{own["failed"]}" errors="{own["error"]}" skipped="0" time="{seconds:.3f}">\n<properties/>\n'
        )
        for result in results:
            yield _case(ran.lab, result)
        yield "<system-out/>\n<system-err/>\n</testsuite>\n"
    yield "</testsuites>\n"


def _case(lab: Lab, result: CheckResult) -> str:
    check = result.check
    classname = _quoted(f"{lab.name}.{check.kind.layer}.{check.kind}")
    head = (
        f'<testcase classname={classname} name={_quoted(check.title)} time="{result.elapsed_s:.3f}"'
    )
    if result.status is CheckStatus.PASSED:
        return f"{head}/>\n"
    command = f"$ {result.command}" if result.command else ""
    details = "\n".join(filter(None, [command, result.output, result.evidence]))
    whole = f"{check.title}: {result.sentence}\n{details}"
    if result.status is CheckStatus.WARNED:
        warning = escape(clean(f"warning: {whole}"))
        return f"{head}>\n<system-out>{warning}</system-out>\n</testcase>\n"
    tag = "failure" if result.status is CheckStatus.FAILED else "error"
    # The message is all that many readers show, and group by.
    message = result.sentence
    if result.cause is not None and not result.is_cause_in_sentence:
        message += f" (cause: {result.cause})"
    text = escape(clean(whole))
    body = f'<{tag} message={_quoted(message)} type="{check.kind}">{text}</{tag}>\n'
    if details:
        body += f"<system-out>{escape(clean(details))}</system-out>\n"
    return f"{head}>\n{body}</testcase>\n"


def _quoted(text: str) -> str:
    # Also \r and \t as references: a parser makes blanks of the bare ones.
    return quoteattr(clean(text), {"\r": "&#13;", "\t": "&#9;", "\n": "&#10;"})


def check_writable(paths: Iterable[str]) -> None:
    """Make sure, before anything runs, that reports can be written there ("" is none); raises LabError naming all."""
    wanted = [path for path in paths if path]
    twice = [
        path
        for path, times in Counter(map(_place, wanted)).items()
        if times > 1 and not _is_stream(path)
    ]
    problems = [f"{path}: named for two reports" for path in twice]
    problems += [f"{path}: {why}" for path in wanted if (why := _why_not(_place(path)))]
    if problems:
        raise LabError(
            "\n".join(dict.fromkeys(problems)),
            hint="name a file of its own in a directory of yours",
        )


def _place(path: str) -> Path:
    """Where it goes; raises LabError where somebody else would have it go elsewhere."""
    try:
        place = Path(path).expanduser()
    except RuntimeError as error:
        raise LabError(
            f"{path}: there is no such user", hint="name a file in a directory of yours"
        ) from error
    if link := _planted(place.absolute()):
        raise LabError(
            f"{path}: {link} is another user's link", hint=f"ls -l {link}; name a file elsewhere"
        )
    return place


def _planted(place: Path) -> Path | None:
    """A link on the way that another user made in a directory such as /tmp; see protected_symlinks in proc(5)."""
    for path in (place, *place.parents):
        with contextlib.suppress(OSError):
            link, directory = path.lstat(), path.parent.stat()
            is_shared = (
                directory.st_mode & (stat.S_ISVTX | stat.S_IWOTH) == stat.S_ISVTX | stat.S_IWOTH
            )
            if (
                stat.S_ISLNK(link.st_mode)
                and is_shared
                and link.st_uid not in (os.geteuid(), directory.st_uid)
            ):
                return path
    return None


def _is_stream(path: Path) -> bool:
    """Whether it is a pipe or a device: to be written to, not to be replaced. /dev/stdout may be a file, too."""
    if path.parts[:2] in (("/", "dev"), ("/", "proc")) and path.exists() and not path.is_dir():
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _why_not(path: Path) -> str:
    """Why it can't be written, by trying; "" if it can. Leaves nothing behind."""
    try:
        if path.is_dir():
            return "is a directory"
        if _is_stream(path):
            return "" if os.access(path, os.W_OK) else "can't be written to"
        parent = path.resolve().parent
        while not parent.exists():
            parent = parent.parent
        with tempfile.TemporaryFile(dir=parent) as stream:
            stream.write(b"\n")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def save(path: str, parts: Iterable[str]) -> None:
    """Write a report whole or not at all, but for a pipe or a device; raises LabError naming the path."""
    place = _place(path)
    try:
        if _is_stream(place):
            with place.open("a", encoding="utf-8", errors="replace") as stream:
                stream.writelines(parts)
            return
        target = place.resolve()  # a link stays one
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
                os.fchmod(stream.fileno(), 0o644)
                stream.writelines(parts)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        # What mkdir says of a file where a directory should be helps nobody.
        why = os.strerror(errno.ENOTDIR) if isinstance(error, FileExistsError) else error.strerror
        raise LabError(f"{path}: {why}", hint="name a file in a directory of yours") from error
