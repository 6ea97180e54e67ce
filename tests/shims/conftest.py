from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT
from tests.shims import wrapper_world as machine
from tests.shims.wrapper_world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A Debian machine, used by root, that has all the packages and no .venv yet."""
    made = World(tmp_path)
    for folder in (
        "bin",
        "to-install",
        "checkout/requirements",
        ".vagrant.d/gems/3/gems/vagrant-libvirt-0",
    ):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("cp", "chmod", "seq", *machine.PLAIN):
        real = shutil.which(name)
        assert real, name
        (made.bin / name).symlink_to(real)
    for name in machine.TOOLS:
        made.put(name)
    made.put("python3", machine.PYTHON)
    made.put("venv-python", machine.VENV_PYTHON, folder=".")
    made.put("apt-get", machine.APT_GET)
    made.put("apt-cache", machine.APT_CACHE)
    made.put("sudo", machine.SUDO)
    made.is_used_by(0)
    # The real wrapper, but for the directories that would bring this machine's own tools in.
    text = (PROJECT / "invoke").read_text()
    for real, fake in (
        (":/usr/local/sbin:/usr/sbin:/sbin", ""),
        ("/usr/*/syslinux ", f"{tmp_path}/bin "),
        ("/usr/include/libvirt/libvirt.h", f"{tmp_path}/bin"),
        ("/usr/share/", f"{tmp_path}/share/"),
    ):
        assert real in text, real
        text = text.replace(real, fake)
    made.put("invoke", text, folder="checkout")
    for name in ("build.txt", "all.txt"):
        (made.checkout / "requirements" / name).write_text("rich==15.0.0\n")
    return made
