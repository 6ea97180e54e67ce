"""What an IDE needs to attach to a service: a folder with a configuration for VS Code.

Source: code.visualstudio.com/docs/python/debugging, "Remote script debugging with SSH".
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Sequence
from pathlib import Path

from stacklab import files
from stacklab.paths import LabPaths
from stacklab.workflow.debug import places
from stacklab.workflow.debug.services import DebugProcess, DebugService


def write(
    paths: LabPaths,
    service: DebugService,
    ports: Sequence[tuple[int, DebugProcess]],
    package: str,
) -> Path:
    """Write the folder of a service, and return it; `package` is its code's directory there."""
    folder = places.ide_folder(paths, service.node, service.name)
    files.make_directory(folder / ".vscode", mode=0o700)
    text = json.dumps(_launch(service, ports, package), indent=2)
    files.write(folder / ".vscode" / "launch.json", text + "\n", mode=0o600)
    return folder


def _launch(
    service: DebugService, ports: Sequence[tuple[int, DebugProcess]], package: str
) -> dict[str, object]:
    name = posixpath.basename(package)
    entries = [
        {
            "name": f"{service.name} on {service.node}, process {process.pid}",
            "type": "debugpy",
            "request": "attach",
            "connect": {"host": "127.0.0.1", "port": port},
            # ./invoke debug.sources puts the code there.
            "pathMappings": [{"localRoot": f"${{workspaceFolder}}/{name}", "remoteRoot": package}],
            # Otherwise no breakpoint in a package that was installed is ever hit.
            "justMyCode": False,
        }
        for port, process in ports
    ]
    launch: dict[str, object] = {"version": "0.2.0", "configurations": entries}
    if len(entries) > 1:
        all_of_them = [entry["name"] for entry in entries]
        launch["compounds"] = [{"name": f"all of {service.name}", "configurations": all_of_them}]
    return launch
