"""How clients of the cloud log in, and which network has its floating addresses."""

from __future__ import annotations

from stacklab.installers.devstack.answers.seat import given_away, ranges
from stacklab.installers.kit.addresses import api_address
from stacklab.installers.kit.complaints import complaints
from stacklab.installers.kit.release import release_of
from stacklab.model.cloud import CloudAccess, ExternalNetwork
from stacklab.model.lab import Lab

# The controller's units that say why a VM was not made, of all releases.
_COMPLAINING = tuple(
    f"devstack@{name}"
    for name in (
        "n-sch",
        "n-super-cond",
        "n-cond-cell1",
        "n-cond",
        "placement-api",
        "q-svc",
        "neutron-api",
        "neutron-rpc-server",
    )
)
# What DevStack calls its own external network, and the bridge's network below it.
_PUBLIC = "public"


def access(lab: Lab) -> CloudAccess | None:
    """Return the administrator's access; None for releases whose keystone is not below Apache."""
    path = release_of(lab).text("identity")
    if not path:
        return None
    return CloudAccess(
        auth_url=f"http://{api_address(lab)}{path}",
        username="admin",
        password_secret="admin_password",
        project="admin",
        region="RegionOne",
        external=_external(lab),
        clues=complaints(_COMPLAINING),
    )


def _external(lab: Lab) -> ExternalNetwork | None:
    if not lab.stack.external_network:
        return None
    network = lab.network(lab.stack.external_network)
    return ExternalNetwork(
        name=_PUBLIC,
        physical_network=_PUBLIC,
        cidr=network.cidr,
        gateway=ranges(lab, release_of(lab)).gateway or network.host_address,
        pool=given_away(lab),
    )
