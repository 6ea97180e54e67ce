"""What is changed in virt-lightning, on a stand-in for it, which our venv lacks."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from stacklab.drivers import virt_lightning_here

XML = "<domain type='kvm'>\n  <cpu mode='host-model'>\n    <model/>\n  </cpu>\n</domain>"


class Hypervisor:
    @property
    def domain_type(self) -> str:
        return "kvm"


def make_program(**names: object) -> ModuleType:
    program = ModuleType("virt_lightning")
    own = {
        "DEFAULT_STORAGE_DIR": "/var/lib/virt-lightning/pool",
        "DOMAIN_XML": XML,
        "LibvirtHypervisor": type("Hypervisor", (Hypervisor,), {}),
    }
    vars(program).update(own | names)
    return program


def test_guests_are_emulated_and_the_pool_is_elsewhere() -> None:
    program = make_program()
    virt_lightning_here.adapt(program, Path("/bench/pool"), "qemu", "qemu64")
    assert program.DEFAULT_STORAGE_DIR == "/bench/pool"
    assert program.LibvirtHypervisor().domain_type == "qemu"
    assert "host-model" not in program.DOMAIN_XML
    assert "<model fallback='allow'>qemu64</model></cpu>\n</domain>" in program.DOMAIN_XML


def test_with_kvm_the_cpu_is_left_as_it_is() -> None:
    program = make_program()
    virt_lightning_here.adapt(program, Path("/bench/pool"), "kvm", "")
    assert program.LibvirtHypervisor().domain_type == "kvm"
    assert program.DOMAIN_XML == XML


def test_another_virt_lightning_is_refused() -> None:
    program = make_program(LibvirtHypervisor=object)
    del program.DEFAULT_STORAGE_DIR
    with pytest.raises(SystemExit, match=r"DEFAULT_STORAGE_DIR, LibvirtHypervisor\.domain_type"):
        virt_lightning_here.adapt(program, Path("/p"), "qemu", "qemu64")
    with pytest.raises(SystemExit, match="have 0 CPUs"):
        virt_lightning_here.adapt(make_program(DOMAIN_XML="<d/>"), Path("/p"), "qemu", "qemu64")
