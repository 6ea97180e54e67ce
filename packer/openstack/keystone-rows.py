"""Make keystone's first rows; $1 is keystone's configuration file.

Projects, users with their roles, and the catalogue of services. By keystone's own managers, in one
process: neither an API that must be started, nor a client. Addresses have the word CONTROLLER where
a node has to write its own; nobody knows the passwords that the users have here.
"""

from __future__ import annotations

import secrets
import sys
import uuid

import keystone.conf
from keystone.cmd.bootstrap import Bootstrapper
from keystone.common import provider_api, sql

REGION = "RegionOne"
SERVICE_USERS = ("glance", "placement", "nova", "neutron", "cinder")
# Name, type, and what follows the controller's address.
SERVICES = (
    ("glance", "image", ":9292"),
    ("placement", "placement", ":8778"),
    ("nova", "compute", ":8774/v2.1"),
    ("neutron", "network", ":9696"),
    ("cinderv3", "volumev3", ":8776/v3/%(project_id)s"),
)
IDENTITY_URL = "http://CONTROLLER:5000/v3/"
PROVIDERS = provider_api.ProviderAPIs


def main(configuration: str) -> None:
    """Make all rows, in a database that has keystone's tables and no rows yet."""
    keystone.conf.configure()
    sql.initialize()
    keystone.conf.CONF(args=["--config-file", configuration], project="keystone")
    admin_role = make_admin()
    make_service_users(admin_role)
    for name, kind, path in SERVICES:
        make_service(name, kind, f"http://CONTROLLER{path}")


def make_admin() -> str:
    """Make what `keystone-manage bootstrap` makes; return the id of the role admin."""
    bootstrapper = Bootstrapper()
    bootstrapper.admin_username = "admin"
    bootstrapper.admin_password = secrets.token_urlsafe(32)
    bootstrapper.admin_role_name = "admin"
    bootstrapper.project_name = "admin"
    bootstrapper.immutable_roles = True
    bootstrapper.region_id = REGION
    bootstrapper.service_name = "keystone"
    bootstrapper.public_url = IDENTITY_URL
    bootstrapper.internal_url = IDENTITY_URL
    bootstrapper.admin_url = IDENTITY_URL
    bootstrapper.bootstrap()
    return bootstrapper.admin_role_id


def make_service_users(admin_role: str) -> None:
    """Make the project `service`, and in it a user per service with the roles that it needs."""
    project = {
        "id": uuid.uuid4().hex,
        "name": "service",
        "domain_id": "default",
        "description": "Users of the services",
        "enabled": True,
    }
    PROVIDERS.resource_api.create_project(project["id"], project)
    service_role = uuid.uuid4().hex
    PROVIDERS.role_api.create_role(
        service_role, {"id": service_role, "name": "service", "options": {"immutable": True}}
    )
    for name in SERVICE_USERS:
        user = PROVIDERS.identity_api.create_user(
            {
                "name": name,
                "password": secrets.token_urlsafe(32),
                "domain_id": "default",
                "default_project_id": project["id"],
                "enabled": True,
            }
        )
        for role in (admin_role, service_role):
            PROVIDERS.assignment_api.add_role_to_user_and_project(
                user_id=user["id"], project_id=project["id"], role_id=role
            )


def make_service(name: str, kind: str, url: str) -> None:
    """Make a service of the catalogue with its three endpoints."""
    service_id = uuid.uuid4().hex
    service = {"id": service_id, "name": name, "type": kind, "enabled": True}
    PROVIDERS.catalog_api.create_service(service_id, service)
    for interface in ("public", "internal", "admin"):
        endpoint_id = uuid.uuid4().hex
        endpoint = {
            "id": endpoint_id,
            "service_id": service_id,
            "region_id": REGION,
            "interface": interface,
            "url": url,
            "enabled": True,
        }
        PROVIDERS.catalog_api.create_endpoint(endpoint_id, endpoint)


if __name__ == "__main__":
    main(sys.argv[1])
