"""The backends of neutron that the kit offers: one module each, and this list of them."""

from __future__ import annotations

from stacklab.installers.debian.answers.backends.contract import Backend
from stacklab.installers.debian.answers.backends.linuxbridge import LINUX_BRIDGE
from stacklab.installers.debian.answers.backends.ovn import OVN
from stacklab.model.lab import Lab

_BACKENDS = {backend.word: backend for backend in (OVN, LINUX_BRIDGE)}


def backend_of(lab: Lab) -> Backend:
    """Return the backend of a lab's cloud; releases.yaml says which words a spec may have."""
    assert lab.stack.network_mode is not None
    return _BACKENDS[lab.stack.network_mode]
