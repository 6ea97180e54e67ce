"""Mask what must not be shown of a lab: its passwords, and every line of its private keys."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Sequence

from stacklab.checks.result import CheckResult
from stacklab.errors import LabError
from stacklab.installers.kit.masking import mask
from stacklab.paths import LabPaths

# All lines of a key but its last one have 64 or 70 characters; words are shorter than this.
_SHORTEST_KEY_LINE = 30
_KEY_LINE = re.compile(rf"[A-Za-z0-9+/=]{{{_SHORTEST_KEY_LINE},}}")
_STRING = re.compile(r':\s*"([^"]+)"')
_END_OF_KEY = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")


def masked(text: str, secrets: frozenset[str], *, is_all_secret: bool = False) -> str:
    """Return a text without these secrets and what looks like one.

    The second half of a key that was cut in two is taken out as well.
    """
    end = _END_OF_KEY.search(text)
    # A whole key, with its beginning, is found by `mask.masked`.
    if end and "-----BEGIN" not in text[: end.start()]:
        text = mask.MASK + text[end.end() :]
    return mask.masked(text, secrets, is_all_secret=is_all_secret)


def known_secrets(paths: LabPaths) -> frozenset[str]:
    """Return all that must not be shown: the lab's passwords, and every line of its private keys.

    Raises LabError where they can't be read, and so can't be masked.
    """
    return frozenset((*_read_passwords(paths), *_read_key_lines(paths)))


def results(paths: LabPaths, shown: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    """Return the results without the lab's secrets, which an output or a console may have."""
    masker = Masker(paths)
    return tuple(map(masker.result, shown))


def text(paths: LabPaths, shown: str) -> str:
    """Return the text without the lab's secrets."""
    return Masker(paths).text(shown)


class Masker:
    """Takes a lab's secrets out of many short texts; `masked` looks for more in whole files.

    `shaped` are secrets in another form than they are kept in.
    """

    def __init__(self, paths: LabPaths, *, shaped: Iterable[str] = ()) -> None:
        self._passwords: frozenset[str] = frozenset()
        self._key_lines: frozenset[str] = frozenset()
        # A user who may not read the keys may not log in either, so no output can hold them.
        with contextlib.suppress(LabError, OSError):
            self._passwords = frozenset((*_read_passwords(paths), *shaped))
            self._key_lines = frozenset(_read_key_lines(paths))

    def result(self, result: CheckResult) -> CheckResult:
        """Return a result without the lab's secrets."""
        before = (result.detail, result.command, result.output, result.clues, result.cause_text)
        after = tuple(map(self.text, before))
        if after == before:  # nearly all of them: a copy of each would cost more
            return result
        detail, command, output, clues, cause_text = after
        cause = result.cause
        if cause is not None:
            cause = dataclasses.replace(cause, text=cause_text)
        return dataclasses.replace(
            result,
            detail=detail,
            command=command,
            output=output,
            clues=clues,
            cause=cause,
        )

    def text(self, shown: str) -> str:
        """Return a text without the lab's secrets."""
        shown = mask.in_any_form(shown, self._passwords)
        if len(shown) < _SHORTEST_KEY_LINE:  # most texts: a regular expression would cost more
            return shown
        return _KEY_LINE.sub(self._run_of_base64, shown)

    def _run_of_base64(self, match: re.Match[str]) -> str:
        run = match[0]
        if run in self._key_lines:  # by far the most frequent case, and quick
            return mask.MASK
        # An output may have joined several lines of a key to one run.
        for line in self._key_lines:
            if line in run:
                return mask.MASK
        return run


def _read_passwords(paths: LabPaths) -> Iterator[str]:
    try:
        text = paths.secrets.read_text(errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        hint = f"ls -l {paths.secrets}"
        raise LabError(
            f"{paths.secrets}: {error.strerror}: secrets could not be masked", hint=hint
        ) from error
    try:
        for value in json.loads(text).values():
            yield from _texts_of(str(value))
    except (ValueError, AttributeError):
        yield from _STRING.findall(text)  # a damaged file's secrets are secrets


def _texts_of(value: str) -> Iterator[str]:
    """Yield what must not be shown of a secret: of a key and its certificate, the key's lines."""
    key = mask.PEM_KEY.search(value)
    if key is None:
        yield value
    else:
        yield from _KEY_LINE.findall(key[0])


def _read_key_lines(paths: LabPaths) -> Iterator[str]:
    if not paths.keys.is_dir():
        return
    for key in paths.keys.iterdir():
        if key.suffix == ".pub":  # what everybody may know
            continue
        try:
            yield from _KEY_LINE.findall(key.read_text(errors="replace"))
        except OSError as error:
            raise LabError(
                f"{key}: {error.strerror}: secrets could not be masked", hint=f"ls -l {key}"
            ) from error
