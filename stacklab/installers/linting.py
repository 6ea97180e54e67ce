"""Say what an installer will make of an answer file, ours or anybody's.

Kits bring their rules, and the means to tell their files from those of others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath

from stacklab import releases
from stacklab.errors import LabError
from stacklab.installers import detecting
from stacklab.installers.detecting import (
    LINTINGS,
    STDIN,
    detect,
    find_unknown,
    has_rules,
    kind_named,
)
from stacklab.lint import ignores, placeholders, syntaxes
from stacklab.lint.certainty import soften_uncertain
from stacklab.lint.finding import Finding, Rule, Severity
from stacklab.lint.held import HeldNode
from stacklab.lint.kind_era import era_as_said
from stacklab.lint.kinds import FileKind, Judgement, LintedFile, no_era
from stacklab.lint.readers import read
from stacklab.lint.scope import Era, Ground, Scope, Source
from stacklab.model.lab import Lab, Node
from stacklab.words import suggest

__all__ = (
    "RULES",
    "FileKind",
    "Finding",
    "Judgement",
    "Rule",
    "Severity",
    "judge_files",
    "judge_lab",
    "lint_files",
    "lint_lab",
)

_TREES = frozenset(name for linting in LINTINGS for name in linting.trees)
_MAX_PER_RULE = 20  # findings of one rule in one file; nobody reads more


def _collect_rules() -> tuple[Rule, ...]:
    """Return every rule, by modules; those that two kits share, of any shell file, once."""
    rules = [*read.RULES, *placeholders.RULES, *ignores.RULES, *detecting.RULES]
    for linting in LINTINGS:
        rules += linting.rules
    by_id = {rule.id: rule for rule in rules}
    return tuple(by_id.values())


RULES: tuple[Rule, ...] = _collect_rules()
_OF_AGE = frozenset(rule.id for rule in RULES if rule.is_of_age)


def lint_files(paths: Sequence[Path], *, release: str = "") -> tuple[Finding, ...]:
    """Return the findings of `judge_files`."""
    return judge_files(paths, release=release).findings


def judge_files(
    paths: Sequence[Path],
    *,
    release: str = "",
    kind: str = "",
    lab: HeldNode | None = None,
    stdin: bytes = b"",
) -> Judgement:
    """Lint files where they lie; those of one cloud's nodes are compared, too.

    `release` says which release they are for, and `kind` what they are; otherwise the files
    do, as far as they tell. `lab` is a lab that they are held against. The path `-` stands for
    the bytes of stdin. Raises LabError for a release or a kind that nobody has.
    """
    findings: list[Finding] = []
    files: list[LintedFile] = []
    files_in = Counter(path.parent for path in paths)
    # All files are read first: the release must fit what they turn out to be.
    for path in dict.fromkeys(paths):  # each once, in the user's order
        is_stdin = str(path) == STDIN
        source, problems = (
            read.decode_source("<stdin>", stdin) if is_stdin else read.read_source(path)
        )
        findings += problems
        if source is None:
            continue
        found = kind_named(kind) if kind else detect(source, path)
        is_shell = found is not None and found.syntax is syntaxes.SHELL
        if read.is_unreadable(problems, by_bash=is_shell):
            continue
        if found is None:
            findings.append(find_unknown(source, path))
            continue
        conflict = read.find_conflict(source)
        if conflict is not None:
            findings.append(conflict)
            continue
        cleared = placeholders.take_out(source, found.syntax)
        findings += _first_of_each_rule(cleared.findings)
        if cleared.is_template:
            continue
        file = LintedFile(
            source=cleared.source,
            kind=found,
            scope=_scope_of_file(cleared.source, found, path, release, lab),
            node=_find_node(path, is_alone=files_in[path.parent] == 1),
            placeholders=cleared.lines,
        )
        files.append(file)
    _check_release(release, files)
    return Judgement(files=tuple(files), findings=_lint_and_compare(files, findings))


def lint_lab(lab: Lab, rendered: Mapping[str, Mapping[PurePosixPath, str]]) -> tuple[Finding, ...]:
    """Return the findings of `judge_lab`."""
    return judge_lab(lab, rendered).findings


def judge_lab(lab: Lab, rendered: Mapping[str, Mapping[PurePosixPath, str]]) -> Judgement:
    """Lint what was rendered for a lab's nodes; scripts and notes have no rules."""
    files: list[LintedFile] = []
    for node in lab.nodes:
        texts = rendered.get(node.name, {})
        for path, text in texts.items():
            source = Source(name=f"{node.name}:{path}", text=text)
            kind = detect(source, path)
            if kind is None or not has_rules(path, text):
                continue
            scope = _scope_in_lab(lab, node, kind, path, tuple(texts))
            files.append(LintedFile(source=source, kind=kind, scope=scope, node=node.name))
    return Judgement(files=tuple(files), findings=_lint_and_compare(files, []))


def _scope_of_file(
    source: Source, kind: FileKind, path: Path, release: str, held: HeldNode | None
) -> Scope:
    siblings: tuple[str, ...] = ()
    if str(path) != STDIN:
        siblings = tuple(sorted(other.name for other in path.parent.iterdir() if other != path))
    era = _find_era(kind, source, release)
    if held is None:
        return Scope(release=era.row if era else None, era=era, siblings=siblings)
    if not release and kind.installer is held.lab.stack.installer:
        era = _era_of_lab(kind, held.lab) or era
    return Scope(
        release=era.row if era else None,
        era=era,
        siblings=siblings,
        lab=held.lab,
        node=held.find_node(source, path),
    )


def _era_of_lab(kind: FileKind, lab: Lab) -> Era | None:
    row = kind.lab_release(kind, lab)
    if row is None or kind.era is no_era:
        return None
    return era_as_said(kind, row.name, Ground.LAB, f"lab {lab.name} is of it")


def _find_era(kind: FileKind, source: Source, named: str) -> Era | None:
    """Return the era that the user names, if the kind has it, else the one that the file tells."""
    requested = kind.requested(kind, source, named)
    if requested in kind.releases(kind):
        return era_as_said(kind, requested, Ground.REQUEST, "--release names it")
    return kind.era(kind, source)


def _scope_in_lab(
    lab: Lab, node: Node, kind: FileKind, path: PurePosixPath, paths: tuple[PurePosixPath, ...]
) -> Scope:
    other_paths = [other for other in paths if other.parent == path.parent and other != path]
    return Scope(
        release=kind.lab_release(kind, lab),
        era=_era_of_lab(kind, lab),
        lab=lab,
        node=node,
        siblings=tuple(other.name for other in other_paths),
    )


def _find_node(path: PurePath, *, is_alone: bool) -> str:
    """Return what stands for a node: the directory above the trees that installers make.

    Where several files of a directory are linted, each stands for a node of its own.
    """
    if not is_alone:
        return str(path)
    directory = path.parent
    while directory.name in _TREES:
        directory = directory.parent
    return str(directory)


def _check_release(release: str, files: Sequence[LintedFile]) -> None:
    if not release or not files:
        return
    known: dict[str, None] = {}  # a set that keeps the order
    for file in files:
        known |= dict.fromkeys(file.kind.releases(file.kind))
        known |= dict.fromkeys(releases.of(file.kind.installer))
    if release not in known:
        raise LabError(
            f"no release {release!r} of what these files are for",
            hint=suggest(release, known, label="one of"),
        )


def _lint_and_compare(
    files: Sequence[LintedFile], findings: Sequence[Finding]
) -> tuple[Finding, ...]:
    # A set: the same thing may be found in several pairs of files.
    all_findings = set(findings)
    for file in files:
        all_findings.update(soften_uncertain(file, _first_of_each_rule(_lint_file(file)), _OF_AGE))
    compared = [file for file in files if file.kind.is_compared(file.source, file.scope)]
    for linting in LINTINGS:
        # Another installer's files must not decide on which of these are one cloud.
        kinds = (*linting.kinds, *linting.compared_beside)
        for cloud in _group_by_cloud([file for file in compared if file.kind in kinds]):
            all_findings.update(linting.compare(cloud))
    return tuple(sorted(_without_ignored(files, all_findings)))


def _lint_file(file: LintedFile) -> Iterator[Finding]:
    """Yield a file's findings, but for what follows from a placeholder that is told already."""
    for finding in file.kind.lint(file.source, file.scope):
        if finding.line not in file.placeholders or finding.rule.endswith("-key"):
            yield finding


def _without_ignored(files: Sequence[LintedFile], findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings that no comment in their file ignores, and comments that ignore nothing."""
    known = {rule.id for rule in RULES}
    by_file = {file.source.name: ignores.read(file.source) for file in files}
    for finding in findings:
        comments = by_file.get(finding.file)
        if comments is None or not comments.hides(finding):
            yield finding
    for comments in by_file.values():
        yield from _first_of_each_rule(comments.find_unknown(known))


def _first_of_each_rule(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the first few findings of each rule; the last of them counts those left out."""
    by_rule: dict[str, list[Finding]] = {}
    left_out: Counter[str] = Counter()
    for finding in findings:
        shown = by_rule.setdefault(finding.rule, [])
        if len(shown) < _MAX_PER_RULE:
            shown.append(finding)
        else:
            left_out[finding.rule] += 1
    for rule_id, shown in by_rule.items():
        # A rule may go through a file more than once, so its findings are not in order.
        *first, last = sorted(shown)
        yield from first
        count = left_out[rule_id]
        if count:
            effect = f"{last.effect} (and {count} more findings like it in this file)"
            last = replace(last, effect=effect)
        yield last


def _group_by_cloud(files: Sequence[LintedFile]) -> Iterator[Sequence[LintedFile]]:
    """Yield files that belong together: those of a lab, or of one directory's nodes.

    Single nodes from anywhere may be one cloud.
    """
    clouds: dict[str, list[LintedFile]] = {}
    for file in files:
        directory = "" if file.scope.lab else str(PurePath(file.node).parent)
        clouds.setdefault(directory, []).append(file)
    # With a directory of several nodes, each directory is a cloud of its own.
    for cloud in clouds.values():
        nodes = {file.node for file in cloud}
        if len(nodes) > 1:
            yield from clouds.values()
            return
    yield files
