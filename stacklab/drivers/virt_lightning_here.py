"""virt-lightning's command `vl`, on a host and in a directory that it has no settings for.

Runs in the venv of requirements/peers-virt-lightning.txt:

    python virt_lightning_here.py POOL_DIRECTORY DOMAIN_TYPE CPU_MODEL VL_ARGUMENT...

virt-lightning makes KVM guests wherever libvirt offers KVM, with libvirt's pick of a CPU, and its
pool is always in the same directory. CPU_MODEL "" leaves the CPU as it is.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

_CPU = re.compile(r"<cpu\b.*?</cpu>", re.DOTALL)


def adapt(program: ModuleType, pool: Path, domain_type: str, cpu_model: str) -> None:
    """Change the module virt_lightning.virt_lightning; raises SystemExit if it is another one.

    A version that no longer has what is changed here must not run: it would make guests that
    hang, in a directory that is not ours.
    """
    missing = [name for name in ("DEFAULT_STORAGE_DIR", "DOMAIN_XML") if not hasattr(program, name)]
    if not hasattr(program.LibvirtHypervisor, "domain_type"):
        missing.append("LibvirtHypervisor.domain_type")
    if missing:
        raise SystemExit(f"this virt-lightning has no {', '.join(missing)} any more")
    names = vars(program)
    names["DEFAULT_STORAGE_DIR"] = str(pool)
    program.LibvirtHypervisor.domain_type = property(lambda _self: domain_type)
    if cpu_model:
        cpu = f"<cpu mode='custom' match='exact'><model fallback='allow'>{cpu_model}</model></cpu>"
        names["DOMAIN_XML"], count = _CPU.subn(cpu, names["DOMAIN_XML"])
        if count != 1:
            raise SystemExit(f"this virt-lightning's domains have {count} CPUs, not one")


def main() -> None:
    """Change virt-lightning, then run its own command."""
    pool, domain_type, cpu_model, *arguments = sys.argv[1:]
    from virt_lightning import shell
    from virt_lightning import virt_lightning as program

    adapt(program, Path(pool), domain_type, cpu_model)
    sys.argv = ["vl", *arguments]
    shell.main()


if __name__ == "__main__":
    main()
