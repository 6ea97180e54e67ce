"""A directory of bare git repositories, from which the nodes' installers clone."""

from __future__ import annotations

from pathlib import Path

from stacklab.errors import ToolError
from stacklab.process.command import Command, Runner

_LIMIT_S = 3600.0  # of one repository
_SHOWS_NO_REF = 2  # git ls-remote --exit-code


def repository(mirror: Path, project: str) -> Path:
    """Return where a project is in a mirror: openstack/nova in MIRROR/openstack/nova.git."""
    return mirror / f"{project}.git"


def has(mirror: Path, project: str, ref: str) -> bool:
    """Return True if the mirror has that branch, tag or change of a project; "" stands for any.

    It reads files alone: every lab.up asks.
    """
    place = repository(mirror, project)
    known = set(_refs(place))
    if not ref:
        return bool(known)
    return not known.isdisjoint(_full_names(ref))


def find_clone(directory: Path, project: str) -> Path | None:
    """Return the clone of a project below a directory; None if there is none.

    It may be bare, and may stand in a folder for its organisation.
    """
    for name in (project, project.rpartition("/")[2]):
        for path in (directory / f"{name}.git", directory / name):
            if (path / ".git").exists() or (path / "HEAD").is_file():
                return path
    return None


def fetch(runner: Runner, mirror: Path, project: str, *, source: str, ref: str, depth: int) -> None:
    """Make or update a project's repository with one ref of `source`, or with all for ref "".

    `depth` 0 takes the whole history. Raises ToolError if the source does not have it.
    """
    place = repository(mirror, project)
    name = _find_name(runner, source, ref) if ref else ""
    if not (place / "HEAD").is_file():
        _run(runner, ("git", "init", "--quiet", "--bare", str(place)), f"making {place}")
    refspecs = [f"+{name}:{name}"] if name else ["+refs/heads/*:refs/heads/*"]
    argv = ["git", "--git-dir", str(place), "fetch", "--quiet"]
    if depth:
        argv.append(f"--depth={depth}")
    if not name:
        argv.append("--tags")
    _run(runner, (*argv, source, *refspecs), f"fetching {project} from {source}")
    if name.startswith("refs/heads/"):
        # What a clone without a branch gets.
        head = ("git", "--git-dir", str(place), "symbolic-ref", "HEAD", name)
        _run(runner, head, f"setting the default branch of {project}")


def _find_name(runner: Runner, source: str, ref: str) -> str:
    """Return a ref's full name at its source; raises ToolError if it is not there."""
    names = _full_names(ref)
    argv = ("git", "ls-remote", "--quiet", "--exit-code", source, *names)
    command = Command(
        argv=argv,
        what=f"looking for {ref} in {source}",
        timeout_s=_LIMIT_S,
        ok_codes=(0, _SHOWS_NO_REF),
    )
    found = {line.split("\t")[-1] for line in runner.run(command).stdout.splitlines()}
    for name in names:
        if name in found:
            return name
    raise ToolError(f"{source} does not have {ref}")


def _full_names(ref: str) -> tuple[str, ...]:
    """Return what git may call a ref that was written as people write it."""
    if ref.startswith("refs/"):
        return (ref,)
    return (f"refs/heads/{ref}", f"refs/tags/{ref}")


def _refs(place: Path) -> tuple[str, ...]:
    """Return the full names of a bare repository's refs, those that git packed first."""
    try:
        packed = (place / "packed-refs").read_text().splitlines()
    except OSError:
        packed = []
    names = [line.partition(" ")[2] for line in packed if line and line[0] not in "#^"]
    for path in (place / "refs").rglob("*"):
        if path.is_file():
            names.append(str(path.relative_to(place)))
    return tuple(names)


def _run(runner: Runner, argv: tuple[str, ...], what: str) -> None:
    # A URL that asks for a name and a password must not wait for one.
    environment = {"GIT_TERMINAL_PROMPT": "0"}
    runner.run(Command(argv=argv, what=what, env=environment, timeout_s=_LIMIT_S))
