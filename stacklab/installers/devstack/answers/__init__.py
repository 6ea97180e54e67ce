"""Answers for DevStack: localrc or local.conf on every node of the cloud, and what is done with them.

Facts here were read, and the files fed to the real scripts, in openstack/devstack:
every release's tag or branch from havana-eol to master of 2026-07.
"""

from stacklab.installers.devstack.answers.files import render, secret_names
from stacklab.installers.devstack.answers.steps import steps

__all__ = ["render", "secret_names", "steps"]
