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

_HEADER = re.compile(
    r"^\s*\[\[?\s*(local|post-config|extra|post-extra|test-config)\s*\|", re.MULTILINE
)
_SUFFIXES = ("", ".sh", ".conf", ".env", ".auto")  # of files that may be a localrc


def _release(kind: FileKind, source: Source, requested: str) -> Release | None:
    """Return the release that the user names, else the one that the file's branches name.

    A localrc may be DevStack's half of a Contrail cloud. There the user may name Contrail's
    release, whose DevStack is then meant: `master`, for one, is Contrail's.
    """
    known = releases.of(kind.installer)
    rc = across.load(source, kind is LOCAL_CONF, Scope())
    is_half = "contrail" in rc.value("Q_PLUGIN")
    if requested in known and not (is_half and requested in releases.of(Installer.CONTRAIL)):
        return known[requested]
    by_branches = known.get(named_release(rc))
    by_contrail = known.get(_devstack_of(requested)) if is_half else None
    return by_branches or by_contrail or newest_release(kind.installer)


def _lab_release(kind: FileKind, lab: Lab) -> Release | None:
    """Return the lab's DevStack: its own release, or the one that its Contrail runs beside."""
    name = lab.stack.release
    if lab.stack.installer is Installer.CONTRAIL:
        name = plain_name(lab.stack.devstack_branch) or _devstack_of(name)
    return releases.of(kind.installer).get(name) or newest_release(kind.installer)


def _devstack_of(contrail: str) -> str:
    """Return the DevStack that goes with a release of Contrail; "" stands for the default."""
    known = releases.of(Installer.CONTRAIL)
    release = known.get(contrail) or newest_release(Installer.CONTRAIL)
    return release.pairs[0] if release and release.pairs else ""


def _counts(_source: Source, scope: Scope) -> bool:
    """Return False for a local.conf beside a localrc: stack.sh does not read its localrc."""
    return "localrc" not in scope.siblings


LOCALRC = FileKind(
    title="localrc of DevStack",
    installer=Installer.DEVSTACK,
    names=frozenset({"localrc"}),
    lint=linter.lint,
    release=_release,
    lab_release=_lab_release,
    is_compared=lambda _source, _scope: True,
)
LOCAL_CONF = FileKind(
    title="local.conf of DevStack",
    installer=Installer.DEVSTACK,
    names=frozenset({"local.conf"}),
    lint=local_conf.lint,
    release=_release,
    lab_release=_lab_release,
    is_compared=_counts,
)


def localrcs_in(files: Sequence[LintedFile]) -> list[across.NodeLocalrc]:
    """Return DevStack's localrc of each node, from whichever of its two files counts."""
    return across.of_kinds(files, LOCALRC, LOCAL_CONF)


def _claim(source: Source, path: PurePath) -> Claim | None:
    text, name = source.text, path.name
    if name.startswith("local.conf") or _HEADER.search(text):
        return Claim(kind=LOCAL_CONF, sureness=Sureness.HEADER)
    if not is_assignments(text, path):
        is_localrc = name.startswith("localrc")
        return Claim(kind=LOCALRC, sureness=Sureness.GUESS) if is_localrc else None
    if "devstack" in path.parts:
        return Claim(kind=LOCALRC, sureness=Sureness.PLACE)
    is_localrc = "localrc" in name or path.suffix in _SUFFIXES
    if is_localrc or localrc.names_services(text) or "ENABLED_SERVICES" in text:
        return Claim(kind=LOCALRC, sureness=Sureness.GUESS)
    return None


LINTING = Linting(
    kinds=(LOCALRC, LOCAL_CONF),
    rules=(*local_conf.RULES, *linter.RULES, *across.RULES),
    claim=_claim,
    compare=lambda files: across.check(localrcs_in(files)),
    trees=("devstack", "stack", "opt"),
)
