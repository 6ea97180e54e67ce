"""Compare the inventory with the globals.yml of the same cloud."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from stacklab.installers.kolla.lint import inventory, linter
from stacklab.installers.kolla.lint.read import GlobalsFile
from stacklab.lint.finding import Finding
from stacklab.lint.kinds import LintedFile
from stacklab.lint.readers import yaml_tree
from stacklab.lint.readers.yaml_tree import YamlEntry


def check(files: Sequence[LintedFile]) -> Iterator[Finding]:
    """Yield what one of kolla-ansible's files says against another; `files` are its own alone."""
    inventories = [file for file in files if _is_inventory(file)]
    globals_files = [
        given
        for file in files
        if not _is_inventory(file) and (given := _read_globals(file)) is not None
    ]
    for file in inventories:
        given = _find_globals(file, globals_files)
        if given is not None:
            yield from inventory.check_idle_groups(file.source, given)


def _is_inventory(file: LintedFile) -> bool:
    return linter.is_inventory(file.source, PurePosixPath(file.source.name).name)


def _read_globals(file: LintedFile) -> GlobalsFile | None:
    """Return a file as a globals.yml; None for passwords, and for what is not a mapping."""
    name = PurePosixPath(file.source.name).name
    root = yaml_tree.parse(file.source.text, file.source.name)
    if name.startswith("passwords") or not isinstance(root, YamlEntry) or root.kind != "map":
        return None
    return linter.read_globals(file.source, file.scope, root)


def _find_globals(file: LintedFile, globals_files: Sequence[GlobalsFile]) -> GlobalsFile | None:
    """Return the globals.yml beside an inventory, or the only one that there is."""
    directory = PurePosixPath(file.source.name).parent
    beside = [given for given in globals_files if PurePosixPath(given.file).parent == directory]
    candidates = beside or globals_files
    return candidates[0] if len(candidates) == 1 else None
