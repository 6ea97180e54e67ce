"""Find the lab that somebody typed: by its name, by its file, or by a lab that is up."""

from __future__ import annotations

from pathlib import Path

from stacklab.paths import HostPaths


def lab_file(word: str) -> Path:
    """Return the file of the lab that was typed: by its path, or by its name."""
    from stacklab.workflow import spec_files

    return spec_files.find(HostPaths.default(), word)


def running_file(name: str) -> Path:
    """Return the file of a lab that is up; if it is not, what its name stands for."""
    from stacklab.workflow import spec_files

    return spec_files.find_running(HostPaths.default(), name)


def lab_name(word: str) -> str:
    """Return the name of the lab that was typed; raises where one of that name is another one."""
    from stacklab.workflow import spec_files

    return spec_files.name_of(HostPaths.default(), word)
