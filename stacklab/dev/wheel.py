"""How a wheel is built: what the checkout has beside the package goes into it, as its `data`.

setuptools loads this module by its path, before the package can be imported.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

# What lies below stacklab.paths.project.PROJECT.
_DATA = ("labs", "localrc", "packer", "vagrant", "requirements/cloud.txt")


def data_files() -> Iterator[Path]:
    """Yield the files by their paths in the checkout, which is the working directory."""
    for name in _DATA:
        place = Path(name)
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


class BuildWithData(build_py):
    """setuptools' build_py, which also copies the data."""

    def run(self) -> None:
        """See setuptools."""
        super().run()
        if self.editable_mode:
            return  # the checkout is there
        for path in data_files():
            target = Path(self.build_lib, "stacklab", "data", path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)


class SourceWithData(sdist):
    """setuptools' sdist, which also takes the data, so that a wheel can be built from it."""

    def add_defaults(self) -> None:
        """See setuptools."""
        super().add_defaults()
        self.filelist.extend(str(path) for path in data_files())
        self.filelist.append("tasks.py")
