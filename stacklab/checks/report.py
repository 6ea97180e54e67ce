"""Check results for machines: JSON and JUnit XML, written piece by piece, and their files.

A large lab has 400,000 results, so neither text is ever whole in memory.
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypedDict
from xml.sax.saxutils import escape, quoteattr

from stacklab import files
from stacklab.checks.explain.causes import Explained, causes
from stacklab.checks.result import CheckResult, CheckStatus, Layer
from stacklab.errors import CheckFailed, CheckWarned, LabError, NotChecked
from stacklab.foreign import printable
from stacklab.model.lab import Lab

# Of the JSON: a key that goes or changes its meaning makes a new version, a further key does not.
VERSION = 1
_EXIT_CODES = {
    CheckStatus.PASSED: 0,
    CheckStatus.WARNED: 0,  # but for a strict run
    CheckStatus.FAILED: CheckFailed.exit_code,
    CheckStatus.ERROR: NotChecked.exit_code,
}


class CheckRun(Protocol):
    """A run of the checks, and its results; `started_at` is time.time()."""

    @property
    def lab(self) -> Lab: ...  # noqa: D102
    @property
    def results(self) -> Sequence[CheckResult]: ...  # noqa: D102
    @property
    def started_at(self) -> float: ...  # noqa: D102
    @property
    def elapsed_s(self) -> float: ...  # noqa: D102
    @property
    def is_strict(self) -> bool: ...  # noqa: D102


class Counts(TypedDict):
    """The number of checks of each outcome."""

    total: int
    passed: int
    warned: int
    failed: int
    error: int


def _outcome_counts(by_status: Counter[CheckStatus]) -> Counts:
    """Return the counts by the words that the report has for them."""
    return {
        "total": by_status.total(),
        "passed": by_status[CheckStatus.PASSED],
        "warned": by_status[CheckStatus.WARNED],
        "failed": by_status[CheckStatus.FAILED],
        "error": by_status[CheckStatus.ERROR],
    }


def summary(results: Iterable[CheckResult]) -> Counts:
    """Count the outcomes."""
    return _outcome_counts(Counter(result.status for result in results))


def by_layer(results: Iterable[CheckResult]) -> dict[Layer, Counts]:
    """Count the outcomes of each layer that has checks, in the order of the layers."""
    by_status: dict[Layer, Counter[CheckStatus]] = {layer: Counter() for layer in Layer}
    for result in results:
        by_status[result.check.kind.layer][result.status] += 1
    return {layer: _outcome_counts(counts) for layer, counts in by_status.items() if counts}


def verdict(counts: Counts) -> CheckStatus:
    """Return how a run came out as a whole, as the exit code tells it.

    A failure says more than an error: that check had no answer.
    """
    if counts["failed"]:
        return CheckStatus.FAILED
    if counts["error"]:
        return CheckStatus.ERROR
    if counts["warned"]:
        return CheckStatus.WARNED
    return CheckStatus.PASSED


def _exit_code(outcome: CheckStatus, *, is_strict: bool) -> int:
    """Return what lab.check ends with."""
    if is_strict and outcome is CheckStatus.WARNED:
        return CheckWarned.exit_code
    return _EXIT_CODES[outcome]


def stamp(at: float, form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    """Write a time in UTC."""
    return time.strftime(form, time.gmtime(at))


def clean(text: str) -> str:
    """Return what a node wrote as a terminal and any document may hold it."""
    return printable(text, indent="")


def json_parts(ran: CheckRun) -> Iterator[str]:
    """Yield the report as JSON, a check per line; docs/check-report.md says what is in it."""
    counts = summary(ran.results)
    outcome = verdict(counts)
    head = {
        "version": VERSION,
        "lab": ran.lab.name,
        "started_at": stamp(ran.started_at),
        "elapsed_s": round(ran.elapsed_s, 3),
        "verdict": outcome.value,
        "exit_code": _exit_code(outcome, is_strict=ran.is_strict),
        "summary": {**counts, "layers": by_layer(ran.results)},
    }
    # Without the brace that ends it: two lists follow, row by row.
    yield json.dumps(head)[:-1] + ', "causes": ['
    yield from _row_texts(map(_cause_row, causes(ran.results)))
    yield '], "checks": ['
    yield from _row_texts(map(_check_row, ran.results))
    yield "\n]}\n"


def _row_texts(rows: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """Yield rows of a JSON list, each on a line of its own."""
    separator = "\n"
    for row in rows:
        # The same JSON: on stdout it may be the log of a CI system, to which ##[...] is an order.
        yield separator + json.dumps(row).replace("##", "#\\u0023")
        separator = ",\n"


def _check_row(result: CheckResult) -> dict[str, str | float | None]:
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
        "about": _valid_unicode(result.about),
        "detail": _valid_unicode(result.sentence),
        "rtt_ms": result.rtt_ms,
        "elapsed_s": round(result.elapsed_s, 3),
        "command": _valid_unicode(result.command),
        "output": _valid_unicode(result.output),
        "cause_kind": result.cause.kind.value if result.cause else "",
        "cause": _valid_unicode(result.cause_text),
        "evidence": _valid_unicode(result.evidence),
    }


def _cause_row(group: Explained) -> dict[str, str | int]:
    """Return a cause as the report has it, with the number of checks that it explains."""
    return {
        "kind": group.cause.kind.value,
        "cause": _valid_unicode(group.cause.text),
        "count": len(group.results),
        "scope": group.scope,
        "evidence": _valid_unicode(group.evidence),
    }


def _valid_unicode(text: str) -> str:
    """Return the text without halves of characters, which strict readers of JSON refuse."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def junit_parts(ran: CheckRun) -> Iterator[str]:
    """Yield the report as JUnit XML: a suite per layer, a test case per check.

    Valid by the schema of Jenkins' xUnit plug-in, and but for the totals and the cases'
    system-out by that of Ant: hence the empty elements, and `localhost`.
    """
    counts = summary(ran.results)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    totals = f'tests="{counts["total"]}" failures="{counts["failed"]}" errors="{counts["error"]}"'
    whole = _quoted_attribute(f"stacklab.{ran.lab.name}")
    yield f'<testsuites name={whole} {totals} time="{ran.elapsed_s:.3f}">\n'
    for number, (layer, of_layer) in enumerate(by_layer(ran.results).items()):
        results = [result for result in ran.results if result.check.kind.layer is layer]
        yield _suite_head(ran, number, layer, of_layer, results)
        for result in results:
            yield _test_case(ran.lab, result)
        yield "<system-out/>\n<system-err/>\n</testsuite>\n"
    yield "</testsuites>\n"


def _suite_head(
    ran: CheckRun, number: int, layer: Layer, counts: Counts, results: Sequence[CheckResult]
) -> str:
    """Return the beginning of a layer's suite."""
    package = _quoted_attribute(ran.lab.name)
    name = _quoted_attribute(f"{ran.lab.name}.{layer}")
    timestamp = stamp(ran.started_at, "%Y-%m-%dT%H:%M:%S")  # the schema's, without a zone
    seconds = sum(result.elapsed_s for result in results)
    return (
        f'<testsuite name={name} package={package} id="{number}" hostname="localhost"'
        f' timestamp="{timestamp}" tests="{counts["total"]}"'
        f' failures="{counts["failed"]}" errors="{counts["error"]}" skipped="0"'
        f' time="{seconds:.3f}">\n<properties/>\n'
    )


def _test_case(lab: Lab, result: CheckResult) -> str:
    """Return a check as a test case; what passed with a warning says so in its system-out."""
    check = result.check
    classname = _quoted_attribute(f"{lab.name}.{check.kind.layer}.{check.kind}")
    title = _quoted_attribute(check.title)
    head = f'<testcase classname={classname} name={title} time="{result.elapsed_s:.3f}"'
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
    body = f'<{tag} message={_quoted_attribute(message)} type="{check.kind}">{text}</{tag}>\n'
    if details:
        body += f"<system-out>{escape(clean(details))}</system-out>\n"
    return f"{head}>\n{body}</testcase>\n"


def _quoted_attribute(text: str) -> str:
    # Also \r and \t as references: a parser makes blanks of the bare ones.
    return quoteattr(clean(text), {"\r": "&#13;", "\t": "&#9;", "\n": "&#10;"})


def check_writable(paths: Iterable[str]) -> None:
    """Make sure, before anything runs, that reports can be written to these paths.

    "" stands for a report that nobody asked for. Raises LabError, which names all that is wrong.
    """
    wanted = [(path, _report_place(path)) for path in paths if path]
    problems: list[str] = []
    count = Counter(place for _, place in wanted)
    for place, times in count.items():
        # Two reports may well go to one pipe, one after the other.
        if times > 1 and not _is_stream(place):
            problems.append(f"{place}: named for two reports")
    for path, place in wanted:
        why_not = _why_not_writable(place)
        if why_not:
            problems.append(f"{path}: {why_not}")
    if problems:
        raise LabError(
            "\n".join(dict.fromkeys(problems)),
            hint="name a file of its own in a directory of yours",
        )


def _report_place(path: str) -> Path:
    """Return where a report goes; raises LabError where another user would redirect it."""
    try:
        place = Path(path).expanduser()
    except RuntimeError as error:
        raise LabError(
            f"{path}: this user does not exist", hint="name a file in a directory of yours"
        ) from error
    link = _planted_link(place.absolute())
    if link:
        raise LabError(
            f"{path}: {link} is another user's link", hint=f"ls -l {link}; name a file elsewhere"
        )
    return place


def _planted_link(place: Path) -> Path | None:
    """Return a link on the way that another user made in a directory such as /tmp.

    See protected_symlinks in proc(5): whoever follows it writes where that user wants.
    """
    shared = stat.S_ISVTX | stat.S_IWOTH  # the sticky bit, and all may write
    for path in (place, *place.parents):
        with contextlib.suppress(OSError):
            link, directory = path.lstat(), path.parent.stat()
            is_in_shared = directory.st_mode & shared == shared
            is_trusted = link.st_uid in (os.geteuid(), directory.st_uid)
            if stat.S_ISLNK(link.st_mode) and is_in_shared and not is_trusted:
                return path
    return None


def _is_stream(path: Path) -> bool:
    """Return True for a pipe or a device: it is written to, and never replaced.

    /dev/stdout counts as one even where it leads to a file.
    """
    is_special = path.parts[:2] in (("/", "dev"), ("/", "proc"))
    if is_special and path.exists() and not path.is_dir():
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _why_not_writable(path: Path) -> str:
    """Return why a path can't be written to, by trying; "" if it can. Leaves nothing behind."""
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
    """Write a report whole or not at all, but for a pipe or a device.

    Raises LabError, which names the path.
    """
    place = _report_place(path)
    try:
        if _is_stream(place):
            with os.fdopen(_open_stream(place), "a", encoding="utf-8", errors="replace") as stream:
                stream.writelines(parts)
        else:
            _write_whole(place.resolve(), parts)  # a link stays one
    except OSError as error:
        # What mkdir says of a file where a directory should be helps nobody.
        why = os.strerror(errno.ENOTDIR) if isinstance(error, FileExistsError) else error.strerror
        raise LabError(f"{path}: {why}", hint=_hint_for(error)) from error


def _open_stream(place: Path) -> int:
    """Open a pipe or a device for writing; raises OSError for a pipe that nobody reads."""
    # Without O_NONBLOCK, opening such a pipe would wait for a reader, maybe for ever.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    try:
        descriptor = os.open(place, flags)
    except OSError as error:
        if error.errno == errno.ENXIO:
            error.strerror = "nobody reads from this pipe"
        raise
    os.set_blocking(descriptor, True)
    return descriptor


def _hint_for(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room there (df -h), or name another file"
    if error.errno == errno.ENXIO:
        return "start what reads it first"
    return "name a file in a directory of yours"


def _write_whole(target: Path, parts: Iterable[str]) -> None:
    """Write a file beside the target, and put it into the target's place when it is complete."""
    files.make_directory(target.parent)
    # Not all of a long name: with what mkstemp adds it would be too long for a file system.
    prefix = f".{target.name[:100]}."
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=prefix)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
            os.fchmod(stream.fileno(), 0o644)  # mkstemp's files are their owner's alone
            stream.writelines(parts)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
