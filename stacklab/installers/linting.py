"""Say what an installer will make of an answer file, ours or anybody's: file, line, rule, effect, fix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from types import MappingProxyType

from stacklab import releases
from stacklab.errors import LabError
from stacklab.installers import detect, scoping
from stacklab.installers.contrail import lint as contrail
from stacklab.installers.detect import Kind
from stacklab.installers.devstack.lint import across, local_conf
from stacklab.installers.devstack.lint import linter as devstack
from stacklab.installers.kolla.lint import linter as kolla
from stacklab.installers.opensdn import lint as opensdn
from stacklab.installers.packstack.lint import linter as packstack
from stacklab.lint import read
from stacklab.lint.finding import Finding, Rule, Severity
from stacklab.lint.scope import Linter, Scope, Source
from stacklab.model.lab import Lab
from stacklab.words import suggest

__all__ = ("LINTERS", "RULES", "Finding", "Kind", "Rule", "Severity", "lint_files", "lint_lab")

LINTERS: Mapping[Kind, Linter] = MappingProxyType(
    {
        Kind.DEVSTACK: devstack.lint,
        Kind.LOCAL_CONF: local_conf.lint,
        Kind.CONTRAIL: contrail.lint,
        Kind.PACKSTACK: packstack.lint,
        Kind.KOLLA: kolla.lint,
        Kind.OPENSDN: opensdn.lint,
    }
)

_MODULES = (read, detect, local_conf, devstack, contrail, packstack, kolla, opensdn, across)
# The rules for any shell file are in two modules' lists.
RULES: tuple[Rule, ...] = tuple(
    {rule.id: rule for module in _MODULES for rule in module.RULES}.values()
)

# What of a lab's rendered files has rules; the others are scripts and notes.
_NAMES = frozenset(
    {"localrc", "local.conf", "answers.txt", "globals.yml", "passwords.yml", "instances.yaml"}
)
_MOST = 20  # findings of one rule in one file; who has more reads no more of them


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file with all that is known of it."""

    source: Source
    kind: Kind
    scope: Scope
    node: str


def lint_files(paths: Sequence[Path], *, release: str = "") -> tuple[Finding, ...]:
    """Lint files as they lie there; those of one cloud's nodes are compared, too.

    `release` says which release they are for; otherwise their branches do, else
    it is the newest. Raises LabError for a release that nobody has.
    """
    findings: list[Finding] = []
    files: list[_File] = []
    for path in dict.fromkeys(paths):
        source, wrong = read.read(path)
        findings += wrong
        if source is None:
            continue
        kind = detect.detect(source, path)
        if kind is None:
            findings.append(detect.unknown(source))
            continue
        node = scoping.node_of(
            path, is_alone=sum(other.parent == path.parent for other in paths) == 1
        )
        files.append(
            _File(
                source=source,
                kind=kind,
                scope=scoping.of_file(source, kind, path, release),
                node=node,
            )
        )
    _check_release(release, files)
    return _lint(files, findings)


def lint_lab(lab: Lab, rendered: Mapping[str, Mapping[PurePosixPath, str]]) -> tuple[Finding, ...]:
    """Lint what was rendered for a lab's nodes; a file that has no rules is passed over."""
    files = []
    for node in lab.nodes:
        texts = rendered.get(node.name, {})
        for path, text in texts.items():
            source = Source(name=f"{node.name}:{path}", text=text)
            kind = detect.detect(source, path)
            if kind is not None and (path.name in _NAMES or detect.is_inventory(text)):
                scope = scoping.of_lab(lab, node, kind, path, tuple(texts))
                files.append(_File(source=source, kind=kind, scope=scope, node=node.name))
    return _lint(files, [])


def _check_release(release: str, files: Sequence[_File]) -> None:
    known = dict.fromkeys(name for each in files for name in releases.of(each.kind.installer))
    if release and files and release not in known:
        wrong = f"no release {release!r} of what these files are for"
        raise LabError(wrong, hint=suggest(release, known, label="one of"))


def _lint(files: Sequence[_File], findings: Sequence[Finding]) -> tuple[Finding, ...]:
    found = [*findings]
    seats = []
    for each in files:
        found += _at_most(LINTERS[each.kind](each.source, each.scope))
        is_dropped = each.kind is Kind.LOCAL_CONF and "localrc" in each.scope.siblings
        if each.kind in scoping.SHELL and not is_dropped:
            rc = scoping.load(each.source, each.kind, each.scope)
            seats.append(across.Seat(node=each.node, rc=rc, is_contrail=each.kind is Kind.CONTRAIL))
    for cloud in _clouds(seats):
        found += across.check(cloud)
    return tuple(sorted(set(found)))


def _at_most(findings: Iterable[Finding]) -> Iterator[Finding]:
    """One file's findings, of each rule the first few; the last of them says how many more there are."""
    by_rule: dict[str, list[Finding]] = {}
    left_out: Counter[str] = Counter()
    for each in findings:
        told = by_rule.setdefault(each.rule, [])
        if len(told) < _MOST:
            told.append(each)
        else:
            left_out[each.rule] += 1
    for rule_id, told in by_rule.items():
        *first, last = sorted(told)
        yield from first
        more = (
            f" (and {left_out[rule_id]} more findings like it in this file)"
            if left_out[rule_id]
            else ""
        )
        yield replace(last, effect=f"{last.effect}{more}")


def _clouds(seats: Sequence[across.Seat]) -> Iterator[Sequence[across.Seat]]:
    """Those that belong together: a lab's, one directory's; single nodes from anywhere may be one cloud."""
    clouds: dict[str, list[across.Seat]] = {}
    for seat in seats:
        clouds.setdefault("" if seat.rc.scope.lab else str(PurePath(seat.node).parent), []).append(
            seat
        )
    if all(len({seat.node for seat in cloud}) == 1 for cloud in clouds.values()):
        yield seats
    else:
        yield from clouds.values()
