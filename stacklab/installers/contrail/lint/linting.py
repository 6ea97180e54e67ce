"""The localrc of contrail-installer: how it is told from DevStack's, and its release."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from stacklab import releases
from stacklab.installers.contrail.lint import across, linter
from stacklab.installers.contrail.lint.names import NAMES
from stacklab.installers.devstack.lint import localrc
from stacklab.installers.devstack.lint.across import of_kinds
from stacklab.installers.devstack.lint.linting import localrcs_in
from stacklab.lint.finding import Finding
from stacklab.lint.kinds import Claim, FileKind, LintedFile, Linting, Sureness, newest_release
from stacklab.lint.scope import Scope, Source
from stacklab.lint.shape import is_assignments
from stacklab.model.release import Release
from stacklab.model.stack import Installer

# Names that only contrail.sh reads; DevStack's half of a Contrail lab shares the others.
_OWN_NAMES = re.compile(
    r"^\s*(?:export\s+)?"
    r"(INSTALL_PROFILE|CONTRAIL_\w+|CASS_\w+|LAUNCHPAD_BRANCH|COMPUTE_HOST_IP)\s*=",
    re.MULTILINE,
)
_DECISIVE = frozenset({"INSTALL_PROFILE", "CONTRAIL_DEFAULT_INSTALL"})


def _release(kind: FileKind, source: Source, requested: str) -> Release | None:
    known = releases.of(kind.installer)
    branch = localrc.load(source, Scope()).value("CONTRAIL_BRANCH")
    return known.get(requested) or known.get(branch) or newest_release(kind.installer)


LOCALRC = FileKind(
    title="localrc of contrail-installer",
    installer=Installer.CONTRAIL,
    names=frozenset({"localrc"}),
    lint=linter.lint,
    release=_release,
    is_compared=lambda _source, _scope: True,
)


def _claim(source: Source, path: PurePath) -> Claim | None:
    if not is_assignments(source.text, path):
        return None
    if "contrail-installer" in path.parts:
        return Claim(kind=LOCALRC, sureness=Sureness.PLACE)
    names = {match[1] for match in _OWN_NAMES.finditer(source.text)}
    has_several = len(names & NAMES) > 1 and not localrc.names_services(source.text)
    if names & _DECISIVE or has_several:
        return Claim(kind=LOCALRC, sureness=Sureness.GUESS)
    return None


def _compare(files: Sequence[LintedFile]) -> Iterator[Finding]:
    return across.check(of_kinds(files, LOCALRC), localrcs_in(files))


LINTING = Linting(
    kinds=(LOCALRC,),
    rules=(*linter.RULES, *across.RULES),
    claim=_claim,
    compare=_compare,
    trees=("contrail-installer", "stack", "opt"),
)
