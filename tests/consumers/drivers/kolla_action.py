"""An Ansible action in place of what only a real node can answer: facts, containers, ports.

The test lays it out under the name of each module that it takes the place of; all
other tasks of kolla-ansible's playbooks run as they are.
"""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase  # type: ignore[import-not-found,unused-ignore]


class ActionModule(ActionBase):  # type: ignore[misc,unused-ignore]
    """Answer for a node that nothing runs on yet."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Give the facts that the test knows of the host: no container runs, all ports are free."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._task.action.rpartition(".")[2] in ("setup", "gather_facts"):
            variables = task_vars or {}
            return {
                **result,
                "ansible_facts": variables["lab_facts"][variables["inventory_hostname"]],
            }
        return {**result, "containers": {}, "volumes": {}, "resources": []}
