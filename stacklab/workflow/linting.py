"""Lint what a user names: labs, answer files, directories of them, or stdin."""

from __future__ import annotations

import fnmatch
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stacklab import spec
from stacklab.errors import LabError
from stacklab.files import read_regular
from stacklab.spec.lab_files import SUFFIXES
from stacklab.spec.lab_search import directories
from stacklab.words import nearest, plural
from stacklab.workflow.node_names import node_named

if TYPE_CHECKING:  # rendering must not wait for 200 rules
    from stacklab.lint.finding import Finding, Rule
    from stacklab.lint.held import HeldNode
    from stacklab.lint.kinds import Judgement


_MOST_OF_A_SPEC = 1024 * 1024  # bytes
_NAMES_OF_STDIN = ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")


@dataclass(frozen=True, slots=True, kw_only=True)
class LintWishes:
    """What a user says besides the files; "" leaves it to the files themselves."""

    release: str = ""
    kind: str = ""
    lab: str = ""  # that hand-written files are held against
    node: str = ""  # of that lab
    select: str = ""  # patterns of rules, separated by commas: only these
    ignore: str = ""  # not these


def judge(words: Sequence[str], labs: Path, wishes: LintWishes) -> Judgement:
    """Apply every rule to labs' files as they would be rendered, and to files that are named.

    Raises LabError for words that stand for nothing.
    """
    from stacklab.installers import detecting
    from stacklab.installers import linting as lint
    from stacklab.lint.kinds import Judgement

    if not words:
        raise LabError(
            "nothing to lint is named",
            hint="./invoke answers.lint LAB, or ./invoke answers.lint FILE..., DIR or -",
        )
    verdicts: list[Judgement] = []
    lab_words = [word for word in words if _is_lab(word, labs)]
    paths = _expand([Path(word) for word in words if word not in lab_words])
    held = _find_held(wishes)
    if paths:
        # All at once: files of one cloud's nodes are compared with each other.
        verdict = lint.judge_files(
            paths,
            release=wishes.release,
            kind=wishes.kind,
            lab=held,
            stdin=_read_stdin() if Path(detecting.STDIN) in paths else b"",
        )
        verdicts.append(verdict)
    for word in lab_words:
        verdicts.append(_judge_lab(word, wishes))
    merged = Judgement(
        files=tuple(file for verdict in verdicts for file in verdict.files),
        findings=tuple(finding for verdict in verdicts for finding in verdict.findings),
    )
    return replace(merged, findings=_choose(merged.findings, lint.RULES, wishes))


def _judge_lab(word: str, wishes: LintWishes) -> Judgement:
    from stacklab.installers import linting as lint
    from stacklab.installers import rendering as answers

    for option in ("release", "kind", "lab"):
        if getattr(wishes, option):
            raise LabError(
                f"a lab says itself which {option} it is for: {word}",
                hint=f"./invoke answers.lint {word}",
            )
    lab = spec.load(spec.lab_file(word))
    return lint.judge_lab(lab, answers.preview(lab))


def _find_held(wishes: LintWishes) -> HeldNode | None:
    """Return the lab that files are held against; None if none is named."""
    from stacklab.lint.held import HeldNode

    if not wishes.lab:
        if wishes.node:
            raise LabError("--node is a node of a lab", hint="--lab LAB --node NODE")
        return None
    lab = spec.load(spec.lab_file(wishes.lab))
    if not wishes.node:
        return HeldNode(lab=lab)
    hint = f"./invoke lab.show {lab.name}"
    return HeldNode(lab=lab, node=node_named(lab, wishes.node, hint=hint))


def _expand(paths: Sequence[Path]) -> list[Path]:
    """Return the paths with each directory replaced by the answer files below it."""
    from stacklab.installers import detecting

    files: list[Path] = []
    for path in paths:
        if str(path) in _NAMES_OF_STDIN:
            path = Path(detecting.STDIN)
        if str(path) == detecting.STDIN or not path.is_dir():
            files.append(path)
            continue
        below = detecting.find_answer_files(path)
        if not below:
            raise LabError(
                f"no installer reads any of the files below {path}",
                hint="name a file, and --kind if its name and text do not tell what it is",
            )
        files += below
    return list(dict.fromkeys(files))


def _read_stdin() -> bytes:
    """Return what comes from stdin, up to a little more than an answer file may have."""
    from stacklab.lint.readers.read import LIMIT

    return sys.stdin.buffer.read(LIMIT + 1)


def _is_lab(word: str, labs: Path) -> bool:
    """Return True for a lab's name or its spec, False for an answer file."""
    path = Path(word)
    if path.exists():
        if path.suffix not in SUFFIXES:
            return False
        known = {directory.resolve() for directory in (labs, *directories())}
        return path.resolve().parent in known or _has_keys_of_a_lab(path)
    # Nothing of that name exists: a word without a path or suffix is a lab that was mistyped.
    return "/" not in word and "." not in word and word != "-"


def _has_keys_of_a_lab(path: Path) -> bool:
    """Return True for a lab's spec that lies anywhere: no answer file has these keys together."""
    try:
        text = read_regular(path, most=_MOST_OF_A_SPEC).decode(errors="replace")
    except OSError:
        return False
    return all(re.search(rf"^{key}:", text, re.MULTILINE) for key in ("image", "networks", "nodes"))


def _choose(
    findings: Iterable[Finding], rules: Sequence[Rule], wishes: LintWishes
) -> tuple[Finding, ...]:
    """Return the findings of rules that are selected and not ignored."""
    selected = _match(wishes.select, rules) if wishes.select else None
    ignored = _match(wishes.ignore, rules)
    return tuple(
        finding
        for finding in findings
        if finding.rule not in ignored and (selected is None or finding.rule in selected)
    )


def _match(patterns: str, rules: Sequence[Rule]) -> set[str]:
    """Return the rules that patterns name, such as `shell-crlf,devstack-*`."""
    ids = [rule.id for rule in rules]
    matching: set[str] = set()
    for pattern in filter(None, (word.strip() for word in patterns.split(","))):
        found = fnmatch.filter(ids, pattern)
        if not found:
            raise _unknown_rule(pattern, ids)
        matching.update(found)
    return matching


def rule_named(word: str) -> Rule:
    """Return the rule of that id; raise LabError if there is none."""
    from stacklab.installers import linting as lint

    by_id = {rule.id: rule for rule in lint.RULES}
    if word not in by_id:
        raise _unknown_rule(word, by_id)
    return by_id[word]


def _unknown_rule(word: str, ids: Iterable[str]) -> LabError:
    near = nearest(word, ids)
    why = f" (did you mean {near}?)" if near else ""
    return LabError(f"no rule {word!r}{why}", hint="./invoke answers.rules lists all of them")


def raise_for_findings(findings: Sequence[Finding]) -> None:
    """Raise LabError if a consumer will fail or lose something; not for warnings alone."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return
    counts = plural(len(errors), "error")
    warnings = len(findings) - len(errors)
    if warnings:
        counts += f", {plural(warnings, 'warning')}"
    first = errors[0]
    place = f"{first.file}:{first.line}" if first.line else first.file
    raise LabError(counts, hint=f"mend {place}, then the same again")
