"""The client of a lab's cloud: its venv, its credentials, and what is typed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from stacklab import files, secrets
from stacklab.errors import LabError
from stacklab.installers import kit_of
from stacklab.installers import rendering as answers
from stacklab.model.cloud import CloudAccess
from stacklab.model.lab import Lab
from stacklab.paths import PROJECT, LabPaths
from stacklab.process.command import Command
from stacklab.tools.venvs import Venv
from stacklab.workflow.context import Context, running_lab

_TIMEOUT_S = 600  # of one request: an emulated service takes minutes at its start
VENV = Venv(
    name=".cloud/client",
    directory=PROJECT / ".cloud" / "client",
    requirements=PROJECT / "requirements" / "cloud.txt",
)


def prepare_venv(context: Context) -> None:
    """Make the client's venv if it is missing; that takes a minute."""
    VENV.prepare(context.runner, tell=lambda text: context.progress.note("host", text))


def access_of(lab: Lab) -> CloudAccess:
    """Return how a client logs in; raises LabError for a lab whose kit does not say."""
    kit = kit_of(lab.stack.installer)
    access = kit.access(lab) if kit else None
    if access is None:
        raise LabError(
            f"lab {lab.name} has no cloud that stacklab can log in to "
            f"(stack.installer: {lab.stack.installer})",
            hint="labs that have one: openstack-3node",
        )
    return access


def login(lab: Lab, paths: LabPaths) -> Mapping[str, Any]:
    """Return the arguments of openstack.connect, with the password."""
    access = access_of(lab)
    known = secrets.load_or_make(paths.secrets, answers.secret_names(lab), lab.stack.secrets)
    return {
        "auth": {
            "auth_url": access.auth_url,
            "username": access.username,
            "password": known[access.password_secret],
            "project_name": access.project,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        "region_name": access.region,
        "identity_api_version": "3",
    }


def write_clouds_yaml(context: Context, name: str) -> Mapping[str, str]:
    """Write the lab's clouds.yaml, mode 0600, and return the variables that name it.

    The file is JSON, which is YAML, too. Raises LabError for a lab that is not up or has no cloud.
    """
    lab, paths = running_lab(context, name)
    content = {"clouds": {lab.name: {**login(lab, paths), "api_timeout": _TIMEOUT_S}}}
    files.write(paths.clouds_yaml, json.dumps(content, indent=2) + "\n", mode=0o600)
    return {"OS_CLIENT_CONFIG_FILE": str(paths.clouds_yaml), "OS_CLOUD": lab.name}


def run(context: Context, name: str, words: Sequence[str]) -> int:
    """Run the client `openstack` with these words in our terminal; returns its exit code."""
    variables = write_clouds_yaml(context, name)
    prepare_venv(context)
    command = Command(
        argv=(str(VENV.program("openstack")), *words),
        env=variables,
        interactive=True,
        ok_codes=tuple(range(256)),
    )
    return context.runner.run(command).exit_code
