"""What an IDE needs to debug a service: a folder with a configuration for it.

Sources: code.visualstudio.com/docs/python/debugging, "Remote script debugging with SSH"; public run
configurations of PyCharm's "Python Debug Server"; pydev.org/manual_adv_remote_debugger.html.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from stacklab import files
from stacklab.paths import LabPaths
from stacklab.workflow.debug import places
from stacklab.workflow.debug.debuggers import PYCHARM, PYDEV, DebuggerKind
from stacklab.workflow.debug.service import DebugProcess, DebugService

# PyCharm says where a file is for both sides; it neither stops nor shows output of its own accord.
_RUN_CONFIGURATION = """\
<component name="ProjectRunConfigurationManager">
  <configuration default="false" name={name} type="PyRemoteDebugConfigurationType" \
factoryName="Python Remote Debug">
    <option name="PORT" value="{port}" />
    <option name="HOST" value="localhost" />
    <PathMappingSettings>
      <option name="pathMappings">
        <list>
          <mapping local-root={local} remote-root={remote} />
        </list>
      </option>
    </PathMappingSettings>
    <option name="REDIRECT_OUTPUT" value="false" />
    <option name="SUSPEND_AFTER_CONNECT" value="false" />
    <method v="2" />
  </configuration>
</component>
"""
_PROJECT = """\
<?xml version="1.0" encoding="UTF-8"?>
<projectDescription>
  <name>{name}</name>
  <buildSpec>
    <buildCommand>
      <name>org.python.pydev.PyDevBuilder</name>
    </buildCommand>
  </buildSpec>
  <natures>
    <nature>org.python.pydev.pythonNature</nature>
  </natures>
</projectDescription>
"""
_PYDEV_PROJECT = """\
<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<?eclipse-pydev version="1.0"?>
<pydev_project>
  <pydev_property name="org.python.pydev.PYTHON_PROJECT_INTERPRETER">Default</pydev_property>
  <pydev_property name="org.python.pydev.PYTHON_PROJECT_VERSION">python interpreter</pydev_property>
  <pydev_pathproperty name="org.python.pydev.PROJECT_SOURCE_PATH">
    <path>/${PROJECT_DIR_NAME}</path>
  </pydev_pathproperty>
</pydev_project>
"""


def write(
    paths: LabPaths, service: DebugService, debugger: DebuggerKind, package: str, port: int
) -> Path:
    """Write what the IDE of a debugger opens, and return the folder.

    `package` is the directory of the service's code on its node, and `port` that of the IDE's debug
    server on this host.
    """
    folder = places.ide_folder(paths, service.node, service.name)
    files.make_directory(folder, mode=0o700)
    name = f"{service.name} on {service.node}"
    if debugger == PYCHARM:
        text = _RUN_CONFIGURATION.format(
            name=quoteattr(name),
            port=port,
            local=quoteattr(f"$PROJECT_DIR$/{posixpath.basename(package)}"),
            remote=quoteattr(package),
        )
        configurations = folder / ".idea" / "runConfigurations"
        files.make_directory(configurations, mode=0o700)
        files.write(configurations / "debug_server.xml", text, mode=0o600)
    if debugger == PYDEV:
        project = _PROJECT.format(name=escape(name))
        files.write(folder / ".project", project, mode=0o600)
        files.write(folder / ".pydevproject", _PYDEV_PROJECT, mode=0o600)
    return folder


def variables(debugger: DebuggerKind, folder: Path, package: str) -> tuple[str, ...]:
    """Return the variables by which a service's debugger knows where the IDE has its code."""
    if debugger != PYDEV:
        return ()  # PyCharm asks for files by their paths on the node
    mapping = [[str(folder / posixpath.basename(package)), package]]
    # Without blanks: kolla's containers take no others.
    text = json.dumps(mapping, separators=(",", ":"))
    return (f"PATHS_FROM_ECLIPSE_TO_PYTHON={text}",)


def write_ports(
    folder: Path,
    service: DebugService,
    ports: Sequence[tuple[int, DebugProcess]],
    package: str,
) -> None:
    """Write into a folder by which ports of this host VS Code attaches to a service."""
    files.make_directory(folder / ".vscode", mode=0o700)
    text = json.dumps(_launch(service, ports, package), indent=2)
    files.write(folder / ".vscode" / "launch.json", text + "\n", mode=0o600)


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
