"""A project's source on this host: a clone of the user's, or one that is fetched from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stacklab import files
from stacklab.errors import LabError, ToolError
from stacklab.foreign import printable
from stacklab.paths import LabPaths
from stacklab.process.command import Command, Runner
from stacklab.workflow.source.projects import SourceProject

_CLONE_S = 1800.0
_GIT_S = 60.0
_WORLD = "https://opendev.org/openstack"
_MOST_BYTES = 200 * 1024 * 1024  # of a whole tree; nova's has 40 MB
_FILE_MAX = 16 * 1024 * 1024
_BRANCH = re.compile(r"^\s*defaultbranch\s*=\s*(\S+)", re.MULTILINE)
_CHANGE = re.compile(r"\d{3,9}", re.ASCII)
_PATCH_SET = re.compile(r"refs/changes/\d\d/\d+/(\d+)$", re.ASCII)

# A file's path in the tree -> its size and the time of its last change, in ns.
Listing = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTree:
    """A directory with a project's source, and the commit that is checked out there."""

    directory: Path
    commit: str
    branch: str  # that its changes are for, by its .gitreview; "" for none


def open_tree(
    runner: Runner, paths: LabPaths, project: SourceProject, source: str, ref: str
) -> SourceTree:
    """Return a project's source: the directory `source` as it is, or `ref` of what it leads to.

    `ref` is a branch, a tag, refs/changes/.., or the number of a change; it is fetched into a clone
    of ours, so that the user's stays as it is. Raises LabError for what is not such a source.
    """
    directory = Path(source).expanduser()
    if source and not ref and directory.is_dir():
        tree = directory.resolve()
    else:
        place = str(directory.resolve()) if source and directory.is_dir() else source
        tree = _fetch(runner, paths, project, place or f"{_WORLD}/{project.name}", ref)
    if not (tree / project.name / "__init__.py").is_file():
        raise LabError(
            f"{tree} is not a source tree of {project.name}: it has no {project.name}/__init__.py",
            hint=f"--from DIR, a clone of {_WORLD}/{project.name}",
        )
    commit = _git(runner, tree, "rev-parse", "--short=12", "HEAD").strip()
    return SourceTree(directory=tree, commit=commit, branch=_branch_of(tree))


def list_files(runner: Runner, tree: Path) -> Listing:
    """Return the files that git tracks or does not ignore, links left out.

    Raises LabError for a tree that is too large to be copied.
    """
    names = _git(runner, tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listing: dict[str, tuple[int, int]] = {}
    for name in filter(None, names.split("\0")):
        path = tree / name
        if path.is_symlink() or not path.is_file():
            continue  # removed, or a submodule
        stat = path.stat()
        if stat.st_size <= _FILE_MAX:
            listing[name] = (stat.st_size, stat.st_mtime_ns)
    total = sum(size for size, _ in listing.values())
    if total > _MOST_BYTES:
        raise LabError(
            f"{tree} has {total / 2**20:.0f} MiB of files: is all of that source?",
            hint="what .gitignore names is left out",
        )
    return listing


def _fetch(runner: Runner, paths: LabPaths, project: SourceProject, source: str, ref: str) -> Path:
    """Fetch one commit into a clone of ours, below the lab's directory."""
    clone = paths.root / "source" / project.name
    files.make_directory(clone, mode=0o700)
    if not (clone / ".git").is_dir():
        _git(runner, clone, "init", "-q")
    try:
        wanted = _ref_of_change(runner, clone, source, ref) if _CHANGE.fullmatch(ref) else ref
        fetch = ("fetch", "-q", "--depth", "1", "--", source, wanted or "HEAD")
        _git(runner, clone, *fetch, limit_s=_CLONE_S)
    except ToolError as error:
        raise LabError(
            f"{ref or 'HEAD'} of {source} can't be fetched: {printable(_last_line(error))}",
            hint="fetch it into a clone of yours, then --from DIR; with --ref REF if it is not "
            "checked out there",
        ) from error
    _git(runner, clone, "checkout", "-q", "--force", "FETCH_HEAD")
    _git(runner, clone, "clean", "-q", "-d", "--force")
    return clone


def _ref_of_change(runner: Runner, clone: Path, source: str, change: str) -> str:
    """Return the ref of a change's newest patch set, as Gerrit keeps it."""
    pattern = f"refs/changes/{change[-2:]}/{change}/*"
    listed = _git(runner, clone, "ls-remote", "--", source, pattern, limit_s=_CLONE_S)
    refs = [line.split("\t")[-1] for line in listed.splitlines()]
    sets = {int(found[1]): ref for ref in refs if (found := _PATCH_SET.search(ref))}
    if not sets:
        raise LabError(
            f"{source} has no change {change}",
            hint=f"its number is the last part of its address at review.opendev.org; {_WORLD}",
        )
    return sets[max(sets)]


def _branch_of(tree: Path) -> str:
    try:
        text = (tree / ".gitreview").read_text(errors="replace")
    except OSError:
        return ""
    found = _BRANCH.search(text)
    # Without one it is the branch that is developed.
    return printable(found[1]) if found else "master"


def _git(runner: Runner, tree: Path, *words: str, limit_s: float = _GIT_S) -> str:
    # Its owner may be another user; and nobody is there to be asked for a password.
    argv = ("git", "-c", f"safe.directory={tree}", "-C", str(tree), *words)
    env = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = Command(argv=argv, what=f"git {words[0]}", env=env, timeout_s=limit_s)
    return runner.run(command).stdout


def _last_line(error: ToolError) -> str:
    lines = error.message.strip().splitlines()
    return lines[-1].strip() if lines else "git says nothing"
