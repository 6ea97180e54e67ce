"""The localrc of contrail-installer: how it is told from DevStack's, and its release."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from stacklab.installers.contrail.lint import across, linter
from stacklab.installers.contrail.lint.names import NAMES
from stacklab.installers.devstack.lint import linting as devstack_linting
from stacklab.installers.devstack.lint import localrc
from stacklab.installers.devstack.lint.across import of_kinds
from stacklab.lint.finding import Finding
from stacklab.lint.kind_era import assumed_era, era_as_said
from stacklab.lint.kinds import Claim, FileKind, LintedFile, Linting, Sureness
from stacklab.lint.scope import Era, Ground, Scope, Source
from stacklab.lint.shape import is_assignments
from stacklab.lint.syntaxes import SHELL
from stacklab.model.stack import Installer

# Names that only contrail.sh reads; DevStack's half of a Contrail lab shares the others.
_OWN_NAMES = re.compile(
    r"^[ \t]*(?:export[ \t]+)?"
    r"(INSTALL_PROFILE|CONTRAIL_\w+|CASS_\w+|LAUNCHPAD_BRANCH|COMPUTE_HOST_IP)\s*=",
    re.MULTILINE,
)
# Either of them is enough: no other installer has a use for it.
_DECISIVE = frozenset({"INSTALL_PROFILE", "CONTRAIL_DEFAULT_INSTALL"})


def _find_era(kind: FileKind, source: Source) -> Era:
    rc = localrc.load(source, Scope())
    branch = rc.value("CONTRAIL_BRANCH")
    if branch in kind.releases(kind):
        why = f"line {rc.line('CONTRAIL_BRANCH')} names it"
        return era_as_said(kind, branch, Ground.NAME, why)
    return assumed_era(kind)


def _is_always_compared(_source: Source, _scope: Scope) -> bool:
    return True


LOCALRC = FileKind(
    title="localrc of contrail-installer",
    installer=Installer.CONTRAIL,
    names=frozenset({"localrc"}),
    lint=linter.lint,
    consumer="contrail-installer",
    word="contrail",
    syntax=SHELL,
    era=_find_era,
    is_compared=_is_always_compared,
)


def _claim_localrc(source: Source, path: PurePath) -> Claim | None:
    if not is_assignments(source.text, path):
        return None
    if "contrail-installer" in path.parts:
        return Claim(kind=LOCALRC, sureness=Sureness.PLACE)
    own_names = {match[1] for match in _OWN_NAMES.finditer(source.text)}
    # DevStack's half may set one of them for its plugin, and always names services.
    has_several = len(own_names & NAMES) > 1
    is_devstack = localrc.names_services(source.text)
    if own_names & _DECISIVE or (has_several and not is_devstack):
        return Claim(kind=LOCALRC, sureness=Sureness.GUESS)
    return None


def _compare_nodes(files: Sequence[LintedFile]) -> Iterator[Finding]:
    contrail_files = of_kinds(files, LOCALRC)
    devstack_files = devstack_linting.localrcs_in(files)
    return across.check(contrail_files, devstack_files)


LINTING = Linting(
    kinds=(LOCALRC,),
    rules=(*linter.RULES, *across.RULES),
    claim=_claim_localrc,
    compare=_compare_nodes,
    compared_beside=devstack_linting.KINDS,
    trees=("contrail-installer", "stack", "opt"),
)
