"""DevStack's two kinds of files: how they are told from others, and which release they are for."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import PurePath

from stacklab import releases
from stacklab.installers.devstack.lint import across, era, known, linter, local_conf, localrc
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.installers.devstack.lint.rules.sources import named_release
from stacklab.lint.kind_era import era_as_said
from stacklab.lint.kinds import (
    Claim,
    FileKind,
    LintedFile,
    Linting,
    Sureness,
    newest_release,
)
from stacklab.lint.near import Near
from stacklab.lint.scope import Era, Ground, Scope, Source
from stacklab.lint.shape import count_lines, is_assignments
from stacklab.lint.syntaxes import SHELL
from stacklab.model.lab import Lab
from stacklab.model.release import Release
from stacklab.model.release_names import plain_name
from stacklab.model.stack import Installer

# A header of local.conf, even if DevStack would not take it for one: a rule says so then.
_HEADER = re.compile(rf"^[ \t]*\[\[?\s*({'|'.join(local_conf.PHASES)})\s*\|", re.MULTILINE)
# No \s: it takes the ends of lines, and a thousand blank ones a thousand times.
_PLAIN_ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)\+?=", re.MULTILINE)
# Other programs' local.conf, too: NAME = VALUE, NAME ?= VALUE.
_ANY_ASSIGNMENT = re.compile(
    r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*[?:.+]{0,2}=", re.MULTILINE
)
_WORD = re.compile(r"\b[A-Z][A-Z0-9_]{2,}\b")  # what may be a variable of DevStack
_SEVERAL = 2  # names: a single one may be misspelt
_CHANCE = 0.2  # share of DevStack's names that another program may have by chance
# openstack/devstack@stable/2026.1:stack.sh; the first with it is Essex.
_LOCAL_SH = "stack.sh runs local.sh at its end, if it is executable: it holds no answers"
_SUFFIXES = ("", ".sh", ".conf", ".env", ".auto")  # of files that may be a localrc


def _find_era(kind: FileKind, source: Source) -> Era:
    rc = across.load(source, kind is LOCAL_CONF, Scope())
    if _is_half(rc) and not named_release(rc):
        line = rc.line("Q_PLUGIN")
        why = f"line {line} takes Contrail's plugin, which worked with it"
        # Contrail's older releases went with older ones of DevStack.
        paired = {name for row in releases.of(Installer.CONTRAIL).values() for name in row.pairs}
        possible = tuple(name for name in releases.of(Installer.DEVSTACK) if name in paired)
        return era_as_said(kind, _find_devstack_of(""), Ground.MARKS, why).among(possible)
    return era.find(kind, rc)


def _is_half(rc: Localrc) -> bool:
    """Return True for DevStack's half of a Contrail cloud."""
    return "contrail" in rc.value("Q_PLUGIN")


def _find_requested(kind: FileKind, source: Source, named: str) -> str:
    """Return the release that the user means; "" leaves it to the file.

    In DevStack's half of a Contrail cloud, `master`, for one, is Contrail's: it stands for the
    DevStack beside it, unless the file's branches name another one.
    """
    rc = across.load(source, kind is LOCAL_CONF, Scope())
    if _is_half(rc) and named in releases.of(Installer.CONTRAIL):
        return "" if named_release(rc) else _find_devstack_of(named)
    return named


def _find_lab_release(kind: FileKind, lab: Lab) -> Release | None:
    """Return the lab's DevStack: its own release, or the one that its Contrail runs beside."""
    name = lab.stack.release
    if lab.stack.installer is Installer.CONTRAIL:
        branch = plain_name(lab.stack.devstack_branch)
        name = branch or _find_devstack_of(name)
    return releases.of(kind.installer).get(name) or newest_release(kind.installer)


def _find_devstack_of(contrail: str) -> str:
    """Return the DevStack that goes with a release of Contrail; "" stands for the default."""
    known = releases.of(Installer.CONTRAIL)
    # The first of the pairs is the one to take where the file does not tell.
    release = known.get(contrail) or newest_release(Installer.CONTRAIL)
    if release is None or not release.pairs:
        return ""
    return release.pairs[0]


def _is_read(_source: Source, scope: Scope) -> bool:
    """Return False for a local.conf beside a localrc: stack.sh does not read its localrc."""
    return "localrc" not in scope.siblings


LOCALRC = FileKind(
    title="localrc of DevStack",
    installer=Installer.DEVSTACK,
    names=frozenset({"localrc"}),
    lint=linter.lint,
    consumer="DevStack",
    word="localrc",
    syntax=SHELL,
    era=_find_era,
    requested=_find_requested,
    lab_release=_find_lab_release,
    is_compared=lambda _source, _scope: True,
)
LOCAL_CONF = FileKind(
    title="local.conf of DevStack",
    installer=Installer.DEVSTACK,
    names=frozenset({"local.conf"}),
    lint=local_conf.lint,
    consumer="DevStack",
    word="local.conf",
    syntax=SHELL,
    era=_find_era,
    requested=_find_requested,
    lab_release=_find_lab_release,
    is_compared=_is_read,
)


KINDS = (LOCALRC, LOCAL_CONF)


def localrcs_in(files: Sequence[LintedFile]) -> list[across.NodeLocalrc]:
    """Return DevStack's localrc of each node, from whichever of its two files counts."""
    return across.of_kinds(files, *KINDS)


def _claim_file(source: Source, path: PurePath) -> Claim | None:
    """Claim a file by what it holds, by where it lies, or by its name."""
    is_named_localrc = path.name.startswith("localrc")
    if _HEADER.search(source.text):
        return Claim(kind=LOCAL_CONF, sureness=Sureness.HEADER)
    if path.name.startswith("local.conf"):
        if _is_local_conf_of_another(source):
            return None
        return Claim(kind=LOCAL_CONF, sureness=Sureness.NAME)
    if is_assignments(source.text, path):
        return _claim_assignments(source, path)
    # A localrc may hold anything that bash runs; then its name tells, and the names in it.
    has_services = _has_services(source)
    words = set(_WORD.findall(source.text))
    is_ours = has_services or not words or words & known.every_variable()
    return Claim(kind=LOCALRC, sureness=Sureness.NAME) if is_named_localrc and is_ours else None


def _has_services(source: Source) -> bool:
    """Return True if a text names services as DevStack's files alone do."""
    return localrc.names_services(source.text) or "ENABLED_SERVICES" in source.text


def _claim_assignments(source: Source, path: PurePath) -> Claim | None:
    """Claim a file of assignments, which may be another installer's as well."""
    # Installers have directories of their own, which say more than a name.
    if "devstack" in path.parts:
        return Claim(kind=LOCALRC, sureness=Sureness.PLACE)
    has_name = "localrc" in path.name or path.suffix in _SUFFIXES
    has_services = _has_services(source)
    if not has_services and _is_anothers(source):
        return None
    if has_name or has_services:
        return Claim(kind=LOCALRC, sureness=Sureness.GUESS)
    return None


def _is_anothers(source: Source, assignment: re.Pattern[str] = _PLAIN_ASSIGNMENT) -> bool:
    """Return True if a file sets several variables, and next to none that any DevStack reads.

    So is one that sets a single variable, unless that may be meant for one of DevStack's.
    Programs that install OpenStack by hand have an ADMIN_PASSWORD, too.
    """
    names = {match[1] for match in assignment.finditer(source.text)}
    count = len(names & known.every_variable())
    if len(names) < _SEVERAL:
        return bool(names) and not any(_is_nearly_ours(name) for name in names)
    return count <= len(names) * _CHANCE


def _is_nearly_ours(name: str) -> bool:
    """Return True for a name that DevStack reads, or that may be meant for one."""
    return name in known.every_variable() or bool(_nearest_name()(name))


@functools.cache
def _nearest_name() -> Near:
    return Near(known.every_variable(), cutoff=0.75)


def _is_local_conf_of_another(source: Source) -> bool:
    """Return True for a local.conf without a header that nothing in it makes DevStack's.

    Yocto, nginx, fontconfig and scripts of all kinds have a file of that name.
    """
    if _has_services(source):
        return False
    if _ANY_ASSIGNMENT.search(source.text):
        return _is_anothers(source, _ANY_ASSIGNMENT)
    if count_lines(source.lines) < _SEVERAL:
        return False
    return not known.every_variable() & set(_WORD.findall(source.text))


LINTING = Linting(
    kinds=KINDS,
    rules=(*local_conf.RULES, *linter.RULES, *across.RULES),
    claim=_claim_file,
    compare=lambda files: across.check(localrcs_in(files)),
    trees=("devstack", "stack", "opt"),
    no_answers=dict.fromkeys(("local.sh", "_local.sh"), _LOCAL_SH),
)
