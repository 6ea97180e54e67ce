"""Plain Vagrant with a box and default settings, as anybody would use it: for benches."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stacklab import files
from stacklab.paths.project import PROJECT
from stacklab.process.command import Command, Runner

_VAGRANTFILE = "plain.Vagrantfile"
_GIB = 48  # the virtual size of every base image


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainVagrant:
    """A directory with a Vagrantfile, and a home of Vagrant that nobody else uses."""

    runner: Runner
    work: Path
    log: Path
    limit_s: float  # for each command

    def write(self, settings: Mapping[str, object]) -> None:
        """Write the Vagrantfile, and beside it what it reads: see vagrant/plain.Vagrantfile."""
        self._directory.mkdir()
        shutil.copyfile(PROJECT / "vagrant" / _VAGRANTFILE, self._directory / _VAGRANTFILE)
        files.write(self._directory / "plain.json", json.dumps(settings))

    def add_box(self, name: str, image: Path) -> None:
        """Make Vagrant's box of an image on the same file system."""
        box = self._pack_box(image)
        self.runner.run(self.command("box", "add", "--name", name, str(box)))
        box.unlink()  # Vagrant keeps a copy; two would fill a small disk

    def command(self, *words: str) -> Command:
        """Return a call of Vagrant in that directory."""
        return Command(
            argv=("vagrant", *words),
            cwd=self._directory,
            env={
                "VAGRANT_HOME": str(self.work / "home"),
                "VAGRANT_VAGRANTFILE": _VAGRANTFILE,
                "VAGRANT_CHECKPOINT_DISABLE": "1",  # it would ask the network for a newer Vagrant
                "VAGRANT_CWD": str(self._directory),
                "LC_ALL": "C.UTF-8",
            },
            log=self.log,
            timeout_s=self.limit_s,
            what=f"bench: vagrant {words[0]}",
        )

    @property
    def _directory(self) -> Path:
        return self.work / "plain"

    def _pack_box(self, image: Path) -> Path:
        """Pack the image as a Vagrant box: an uncompressed tar, which Vagrant takes as well."""
        stage = self.work / "box"
        stage.mkdir()
        os.link(image, stage / "box.img")  # on one file system, so nothing is copied
        metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": _GIB}
        files.write(stage / "metadata.json", json.dumps(metadata))
        files.write(stage / "Vagrantfile", "")
        box = self.work / "bench.box"
        argv = ("tar", "-cf", str(box), "-C", str(stage), "metadata.json", "Vagrantfile", "box.img")
        self.runner.run(
            Command(argv=argv, what="packing the box", log=self.log, timeout_s=self.limit_s)
        )
        return box
