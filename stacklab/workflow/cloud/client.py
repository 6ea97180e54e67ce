"""The client of a lab's cloud: its venv, its credentials, and what is typed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stacklab import files, secrets
from stacklab.errors import LabError, ToolError
from stacklab.installers import kit_of
from stacklab.model import certificate
from stacklab.model.cloud import CloudAccess
from stacklab.model.lab import Lab
from stacklab.paths import LabPaths
from stacklab.paths.project import IS_CHECKOUT, PACKAGE, PROJECT
from stacklab.process.command import Command
from stacklab.tools.venvs import Venv, venvs_directory
from stacklab.workflow.context import Context, running_lab

_QUIET_S = 1800.0
_TIMEOUT_S = 300  # of one request: an emulated service takes minutes at its start


VENV = Venv(
    name=".cloud/client",
    directory=venvs_directory() / ".cloud" / "client",
    requirements=PROJECT / "requirements" / "cloud.txt",
)


def import_path() -> Path:
    """Return a directory from which the venv's Python imports stacklab's drivers.

    That of an installed stacklab would bring all other packages of its venv along.
    """
    if IS_CHECKOUT:
        return PROJECT
    link = VENV.directory.with_name("import") / "stacklab"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink() or link.readlink() != PACKAGE:
        link.unlink(missing_ok=True)
        link.symlink_to(PACKAGE)
    return link.parent


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
    """Return the arguments of openstack.connect, with the password.

    With TLS, one of them is a file, which is written: the authority that a client has to trust.
    """
    access = access_of(lab)
    # Those that were made: one that was changed since is not the cloud's yet.
    known = secrets.kept(paths.secrets)
    needed = (access.password_secret, *((certificate.SECRET,) if access.has_tls else ()))
    for name in needed:
        if name not in known:
            raise LabError(
                f"lab {lab.name} does not have its {name} any more",
                hint=f"./invoke lab.rebuild {lab.name}",
            )
    arguments: dict[str, Any] = {
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
        "api_timeout": _TIMEOUT_S,
    }
    if access.has_tls:
        files.write(paths.authority, certificate.authority_pem(known[certificate.SECRET]))
        arguments["cacert"] = str(paths.authority)
    return arguments


def environment(lab: Lab) -> dict[str, str | None]:
    """Return what a client's environment needs: None takes a variable away.

    Variables of another cloud would win over clouds.yaml, and a proxy does not know the lab.
    """
    changes: dict[str, str | None] = {name: None for name in os.environ if name.startswith("OS_")}
    host = urlsplit(access_of(lab).auth_url).hostname or ""
    for name in ("no_proxy", "NO_PROXY"):
        before = os.environ.get(name, "")
        changes[name] = f"{before},{host}" if before else host
    return changes


def write_clouds_yaml(context: Context, name: str) -> Mapping[str, str | None]:
    """Write the lab's clouds.yaml, mode 0600, and return a client's environment; None: unset.

    The file is JSON, which is YAML, too. Raises LabError for a lab that is not up or has no cloud.
    """
    lab, paths = running_lab(context, name)
    content = {"clouds": {lab.name: login(lab, paths)}}
    files.write(paths.clouds_yaml, json.dumps(content, indent=2) + "\n", mode=0o600)
    # clouds.yaml names it for the client; this variable is for what people type beside that.
    trust = {"OS_CACERT": str(paths.authority)} if access_of(lab).has_tls else {}
    return {
        **environment(lab),
        "OS_CLIENT_CONFIG_FILE": str(paths.clouds_yaml),
        "OS_CLOUD": lab.name,
        **trust,
    }


def run(context: Context, name: str, words: Sequence[str]) -> int:
    """Run the client `openstack` with these words in our terminal; returns its exit code."""
    in_terminal = dataclasses.replace(command(context, name, words), interactive=True)
    return context.runner.run(in_terminal).exit_code


def quietly(context: Context, name: str, words: Sequence[str]) -> Callable[[], None]:
    """Return what runs the client `openstack` with these words, whose output nobody sees.

    What it needs is prepared at once. Raises LabError for a lab that is not up or has no cloud.
    """
    quiet = dataclasses.replace(command(context, name, words), timeout_s=_QUIET_S)

    def run_it() -> None:
        # Whoever waits for its request misses that, and says so.
        with contextlib.suppress(ToolError):
            context.runner.run(quiet)

    return run_it


def command(context: Context, name: str, words: Sequence[str]) -> Command:
    """Return the client with these words, once its credentials and its venv are there."""
    variables = write_clouds_yaml(context, name)
    prepare_venv(context)
    return Command(
        argv=(str(VENV.program("openstack")), *words), env=variables, ok_codes=tuple(range(256))
    )


def public_key(paths: LabPaths) -> str:
    """Return the public half of the lab's key, which tenants' VMs get."""
    return paths.private_key.with_suffix(".pub").read_text().strip()


def driver_command(
    lab: Lab, driver: str, orders: Mapping[str, Any], *, what: str, timeout_s: float
) -> Command:
    """Return a driver of ours in the client's venv, which reads its orders from stdin.

    Their `auth` is what `login` returns. It ends with 1 where something failed.
    """
    return Command(
        argv=(str(VENV.python), "-m", driver),
        what=what,
        env={**environment(lab), "PYTHONPATH": str(import_path())},
        stdin=json.dumps(orders).encode(),
        secrets=(orders["auth"]["auth"]["password"],),
        timeout_s=timeout_s,
        ok_codes=(0, 1),
    )
