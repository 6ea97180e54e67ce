"""`lab.logs`: write all that tells what happened to a lab as a bundle with an index page.

It changes nothing and takes no lock: people need it most while a command hangs.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stacklab import files
from stacklab.errors import LabError
from stacklab.workflow.context import Context, not_up
from stacklab.workflow.logs.bundle import Bundle
from stacklab.workflow.logs.collecting import Collecting, write_file

# Stands near the top of every bundle's index: only such a directory is replaced.
MARK = '<meta name="generator" content="stacklab lab.logs">'
_TOP_OF_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A bundle where it was written."""

    path: Path
    bundle: Bundle


def collect(
    context: Context,
    name: str,
    out: str,
    *,
    index: Callable[[Bundle], str],
    requests: Sequence[str] = (),
) -> Written:
    """Write the bundle: a directory, or an archive if `out` ends in .tar.gz or is "".

    `index` renders the page. Of `requests`, ids of the cloud's, what its services have logged in
    the last hour is a file each. Raises LabError if nothing of the lab exists, or if the
    bundle can't be written.
    """
    paths = context.host.lab(name)
    if not paths.root.is_dir():
        raise not_up(context, name)
    target = _absolute_target(out or f"{name}-logs.tar.gz")
    is_archive = target.name.endswith((".tar.gz", ".tgz"))
    _refuse_foreign(target, is_archive=is_archive)
    try:
        files.make_directory(target.parent)
        # Beside the target: it is renamed, which works within a file system only.
        work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise _unwritable_target(target, error) from error
    try:
        # In an archive the directory's name is what people see when they unpack it.
        name_inside = "bundle"
        if is_archive:
            name_inside = target.name.removesuffix(".tar.gz").removesuffix(".tgz")
        inside = work / name_inside
        bundle = Collecting(context, paths, inside).run(requests)
        write_file(inside / "index.html", index(bundle).encode())
        _move_to_target(inside, target, work, is_archive=is_archive)
    except OSError as error:
        raise _unwritable_target(target, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Written(path=target, bundle=bundle)


def _absolute_target(out: str) -> Path:
    try:
        return Path(out).expanduser().absolute()
    except RuntimeError as error:  # ~USER of an unknown user
        raise LabError(
            f"{out}: that user does not exist", hint="--out DIR, or --out FILE.tar.gz"
        ) from error


def _refuse_foreign(target: Path, *, is_archive: bool) -> None:
    if is_archive or not target.exists():
        return
    try:
        is_ours = target.is_dir() and (_is_empty(target) or _has_our_index(target))
    except OSError:
        is_ours = False
    if not is_ours:
        raise LabError(
            f"{target} exists and is not a bundle of lab.logs: left alone",
            hint="name a directory that does not exist yet, or a file that ends in .tar.gz",
        )


def _is_empty(directory: Path) -> bool:
    return not any(directory.iterdir())


def _has_our_index(directory: Path) -> bool:
    with (directory / "index.html").open("rb") as stream:
        return MARK.encode() in stream.read(_TOP_OF_PAGE)


def _unwritable_target(target: Path, error: OSError) -> LabError:
    return LabError(
        f"{target}: {error.strerror or error}",
        hint="--out DIR, or --out FILE.tar.gz, where you may write",
    )


def _move_to_target(inside: Path, target: Path, work: Path, *, is_archive: bool) -> None:
    """Move the finished bundle to its target at once, so that no half bundle is ever there."""
    if not is_archive:
        if target.exists():
            target.replace(work / "before")  # removed with `work`
        inside.replace(target)
        return
    # 0600 before it has its name: logs may tell more than their masks hide.
    made = work / "made.tar.gz"
    with tarfile.open(made, "w:gz") as archive:
        archive.add(inside, arcname=inside.name)
    made.chmod(0o600)
    made.replace(target)
