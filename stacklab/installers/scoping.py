"""Find out what a file is about beside its text: its release, its node, and what stands beside it."""

from __future__ import annotations

from pathlib import Path, PurePath, PurePosixPath

from stacklab import releases
from stacklab.installers.detect import Kind
from stacklab.installers.devstack.lint import local_conf, localrc
from stacklab.installers.devstack.lint.sources import named_release
from stacklab.lint.scope import Scope, Source
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import Installer
from stacklab.releases import Release

SHELL = (Kind.DEVSTACK, Kind.LOCAL_CONF, Kind.CONTRAIL)
_TREES = (
    "devstack",
    "contrail-installer",
    "stack",
    "opt",
)  # where a node's localrc lies, below the node's directory


def load(source: Source, kind: Kind, scope: Scope) -> localrc.Localrc:
    """The localrc that a shell file is, or holds."""
    if kind is Kind.LOCAL_CONF:
        source = Source(name=source.name, text=local_conf.localrc_text(source))
    return localrc.load(source, scope)


def of_file(source: Source, kind: Kind, path: Path, release: str) -> Scope:
    """The scope of a file that lies somewhere; `release` is what the user says it is for, or ""."""
    siblings = tuple(sorted(each.name for each in path.parent.iterdir() if each.name != path.name))
    return Scope(release=_release(source, kind, release), siblings=siblings)


def of_lab(
    lab: Lab, node: Node, kind: Kind, path: PurePosixPath, paths: tuple[PurePosixPath, ...]
) -> Scope:
    """The scope of a file that was rendered for a lab's node, together with `paths`."""
    known, name = releases.of(kind.installer), lab.stack.release
    if lab.stack.installer is Installer.CONTRAIL and kind is not Kind.CONTRAIL:
        name = releases.plain_name(lab.stack.devstack_branch) or _pair(name)
    siblings = tuple(each.name for each in paths if each.parent == path.parent and each != path)
    return Scope(release=known.get(name) or _newest(kind), lab=lab, node=node, siblings=siblings)


def node_of(path: PurePath, *, is_alone: bool) -> str:
    """What stands for a node: the directory above its trees; the file itself where several of a kind lie together."""
    if not is_alone:
        return str(path)
    parent = path.parent
    while parent.name in _TREES:
        parent = parent.parent
    return str(parent)


def _release(source: Source, kind: Kind, said: str) -> Release | None:
    """What the user says, else what a shell file's branches say, else the newest; None: the linter looks for itself."""
    known = releases.of(kind.installer)
    if kind not in SHELL:
        return known.get(said)
    rc = load(source, kind, Scope())
    if kind is Kind.CONTRAIL:
        return known.get(said) or known.get(rc.value("CONTRAIL_BRANCH")) or _newest(kind)
    is_half = "contrail" in rc.value(
        "Q_PLUGIN"
    )  # DevStack's half of a Contrail cloud: `master` is Contrail's
    if said in known and not (is_half and said in releases.of(Installer.CONTRAIL)):
        return known[said]
    return (
        known.get(named_release(rc))
        or (known.get(_pair(said)) if is_half else None)
        or _newest(kind)
    )


def _pair(contrail: str) -> str:
    """The release of DevStack that goes with one of Contrail's; "" names the default."""
    own = releases.of(Installer.CONTRAIL)
    half = own.get(contrail) or next(iter(own.values()), None)
    return half.pairs[0] if half and half.pairs else ""


def _newest(kind: Kind) -> Release | None:
    return next(iter(releases.of(kind.installer).values()), None)
