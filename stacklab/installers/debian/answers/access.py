"""How clients of the cloud log in, and which network has its floating addresses."""

from __future__ import annotations

from stacklab.installers.debian.answers import ports, tls
from stacklab.installers.debian.answers.backends import backend_of
from stacklab.installers.debian.answers.options.connections import REGION
from stacklab.installers.debian.answers.options.openstack import allocation_ratios
from stacklab.installers.debian.answers.place import PHYSICAL_NETWORK, floating_pool, volume_types
from stacklab.installers.kit.addresses import address
from stacklab.installers.kit.roles import compute_nodes
from stacklab.model.cloud import CloudAccess, ExternalNetwork
from stacklab.model.lab import Lab


def access(lab: Lab) -> CloudAccess:
    """Return the administrator's access."""
    controller = f"{tls.scheme(lab.stack.has_tls)}://{address(lab, lab.controller)}"
    return CloudAccess(
        auth_url=f"{controller}:{ports.KEYSTONE}/v3",
        username="admin",
        password_secret="admin_password",
        project="admin",
        region=REGION,
        ratios=allocation_ratios(lab.stack.overcommit),
        external=_external(lab),
        has_volumes=bool(volume_types(lab)),
        clues=backend_of(lab).clues,
        can_migrate=len(compute_nodes(lab)) > 1,
        dashboard_url=f"{controller}/" if lab.stack.has_dashboard else "",
        has_tls=lab.stack.has_tls,
    )


def _external(lab: Lab) -> ExternalNetwork | None:
    pool = floating_pool(lab)
    if pool is None:
        return None
    network = lab.network(lab.stack.external_network)
    return ExternalNetwork(
        physical_network=PHYSICAL_NETWORK,
        cidr=network.cidr,
        gateway=network.host_address,
        pool=pool,
    )
