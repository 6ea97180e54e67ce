"""Have Vagrant make or start nodes, one command on this host at a time."""

from __future__ import annotations

from collections.abc import Sequence

from stacklab import locks
from stacklab.paths import LabPaths
from stacklab.providers.contract import HostServices
from stacklab.tools import vagrant

_WAIT_FOR_OTHER_VAGRANT_S = 600.0


def vagrant_up(site: HostServices, paths: LabPaths, nodes: Sequence[str]) -> None:
    """Run `vagrant up` for these nodes, as soon as no other one of this host runs."""

    def show(text: str) -> None:
        site.progress.say("host", text)

    # vagrant-libvirt's own locks hold within one process only.
    lock = locks.held(
        site.host.locks / "vagrant.lock",
        "vagrant on this host",
        wait_s=_WAIT_FOR_OTHER_VAGRANT_S,
        waiting=show,
    )
    with lock:
        limit_s = vagrant.limit_s(nodes)
        show(f"vagrant makes or starts {', '.join(nodes)}, {limit_s:.0f} s at most")
        vagrant.up(paths.root, nodes, log=paths.vagrant_log)
