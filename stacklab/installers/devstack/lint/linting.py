"""DevStack's two kinds of files: how they are told from others, and which release they are for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from stacklab import releases
from stacklab.installers.devstack.lint import across, linter, local_conf, localrc
from stacklab.installers.devstack.lint.sources import named_release
from stacklab.lint.kinds import Claim, FileKind, LintedFile, Linting, Sureness, newest_release
from stacklab.lint.scope import Scope, Source
from stacklab.lint.shape import is_assignments
from stacklab.model.lab import Lab
from stacklab.model.release import Release, plain_name
from stacklab.model.stack import Installer

# A header of local.conf, even if DevStack would not take it for one: a rule says so then.
_HEADER = re.compile(rf"^\s*\[\[?\s*({'|'.join(local_conf.PHASES)})\s*\|", re.MULTILINE)
_SUFFIXES = ("", ".sh", ".conf", ".env", ".auto")  # of files that may be a localrc


def _find_release(kind: FileKind, source: Source, requested: str) -> Release | None:
    """Return the release that the user names, else the one that the file's branches name.

    A localrc may be DevStack's half of a Contrail cloud. There the user may name Contrail's
    release, whose DevStack is then meant: `master`, for one, is Contrail's.
    """
    known = releases.of(kind.installer)
    rc = across.load(source, kind is LOCAL_CONF, Scope())
    is_half = "contrail" in rc.value("Q_PLUGIN")
    is_contrails = is_half and requested in releases.of(Installer.CONTRAIL)
    if requested in known and not is_contrails:
        return known[requested]
    by_branches = known.get(named_release(rc))
    if by_branches is not None:
        return by_branches
    by_contrail = known.get(_find_devstack_of(requested)) if is_half else None
    return by_contrail or newest_release(kind.installer)


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
    release=_find_release,
    lab_release=_find_lab_release,
    is_compared=lambda _source, _scope: True,
)
LOCAL_CONF = FileKind(
    title="local.conf of DevStack",
    installer=Installer.DEVSTACK,
    names=frozenset({"local.conf"}),
    lint=local_conf.lint,
    release=_find_release,
    lab_release=_find_lab_release,
    is_compared=_is_read,
)


def localrcs_in(files: Sequence[LintedFile]) -> list[across.NodeLocalrc]:
    """Return DevStack's localrc of each node, from whichever of its two files counts."""
    return across.of_kinds(files, LOCALRC, LOCAL_CONF)


def _claim_file(source: Source, path: PurePath) -> Claim | None:
    """Claim a file by what it holds, by where it lies, or by its name."""
    is_named_localrc = path.name.startswith("localrc")
    if path.name.startswith("local.conf") or _HEADER.search(source.text):
        return Claim(kind=LOCAL_CONF, sureness=Sureness.HEADER)
    if is_assignments(source.text, path):
        return _claim_assignments(source, path)
    # A localrc may hold anything that bash runs; then its name alone tells.
    return Claim(kind=LOCALRC, sureness=Sureness.GUESS) if is_named_localrc else None


def _claim_assignments(source: Source, path: PurePath) -> Claim | None:
    """Claim a file of assignments, which may be another installer's as well."""
    # Installers have directories of their own, which say more than a name.
    if "devstack" in path.parts:
        return Claim(kind=LOCALRC, sureness=Sureness.PLACE)
    has_name = "localrc" in path.name or path.suffix in _SUFFIXES
    has_services = localrc.names_services(source.text) or "ENABLED_SERVICES" in source.text
    if has_name or has_services:
        return Claim(kind=LOCALRC, sureness=Sureness.GUESS)
    return None


LINTING = Linting(
    kinds=(LOCALRC, LOCAL_CONF),
    rules=(*local_conf.RULES, *linter.RULES, *across.RULES),
    claim=_claim_file,
    compare=lambda files: across.check(localrcs_in(files)),
    trees=("devstack", "stack", "opt"),
)
