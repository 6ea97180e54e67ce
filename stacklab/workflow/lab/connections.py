"""Connections to a lab's nodes that outlive the command which made them."""

from __future__ import annotations

import contextlib

from stacklab.errors import ToolError
from stacklab.paths import LabPaths
from stacklab.record import LabRecord
from stacklab.tools import ssh, ssh_tunnel
from stacklab.workflow.context import Context
from stacklab.workflow.debug import places


def close_connections(context: Context, paths: LabPaths, lab_record: LabRecord) -> None:
    """End ssh's connections and tunnels: their processes would outlive the nodes by minutes."""
    for log in places.tunnel_logs(paths):
        ssh_tunnel.end(log)
    if not paths.ssh_config.exists():
        return
    for node in lab_record.nodes:
        if (paths.sockets / node.name).exists():
            with contextlib.suppress(ToolError):  # one that hangs must not keep the nodes alive
                context.runner.run(ssh.close_command(paths, node.name))
