"""Where a service's Python code lies on its node, and a copy of it for an IDE on this host."""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import posixpath
import re
import shlex
import tarfile
import zlib
from pathlib import Path

from stacklab import files
from stacklab.errors import LabError
from stacklab.foreign import printable
from stacklab.nodes import session
from stacklab.nodes.protocol import Part
from stacklab.paths import LabPaths
from stacklab.workflow.context import Context, running_lab
from stacklab.workflow.debug import node_program, places
from stacklab.workflow.debug.service import DebugService
from stacklab.workflow.debug.services import list_services, pick

_TAG = "debug.code"
_FIND_S = 120.0
_FETCH_S = 600.0
_LINE = 3000  # of base64: less than a session takes of a line
_MOST_BYTES = 200 * 1024 * 1024  # of a project's code, unpacked
_MOST_FILES = 20_000
# What unpacking raises for what is not an archive, or a hostile one.
NO_ARCHIVE = (tarfile.TarError, OSError, EOFError, zlib.error, binascii.Error, ValueError)
# An absolute path of plain characters: it ends in launch.json, and in commands.
_PLACE = re.compile(r"/[\w@.+/-]{1,500}", re.ASCII)
# DevStack's words for projects.
_PROJECTS = {"n": "nova", "q": "neutron", "c": "cinder", "g": "glance", "key": "keystone"}


def package_of(service: str) -> str:
    """Return the Python package of a service: nova of nova-api, nova_api and n-api."""
    first = re.split("[-_]", service, maxsplit=1)[0]
    return _PROJECTS.get(first, first)


def find(context: Context, paths: LabPaths, service: DebugService, file: str) -> str:
    """Return a file's path on the node, as the service's Python finds it.

    `file` is `nova/api/manager.py`, a package, or a path on the node. Raises LabError.
    """
    words = ("find", service.unit, file)
    lines = node_program.run(context, paths, service.node, words, limit_s=_FIND_S)
    place = str(lines[-1].get("path", "")) if lines else ""
    if not _PLACE.fullmatch(place):
        raise LabError(
            f"{service.node}: where {file} lies is not known: {printable(place)!r}",
            hint=f"give it as {package_of(service.name)}/...",
        )
    return place


def find_package(context: Context, paths: LabPaths, service: DebugService) -> str:
    """Return the directory of the service's package on its node."""
    return find(context, paths, service, package_of(service.name))


def fetch(context: Context, name: str, service_name: str, *, node: str = "") -> Path:
    """Copy the code that a service runs into the folder that an IDE opens; returns that.

    Without tests and translations. Raises LabError, also for what is not a plain archive.
    """
    lab, paths = running_lab(context, name)
    service = pick(lab, list_services(context, lab, paths), service_name, node)
    place = find_package(context, paths, service)
    with context.progress.stage(service.node, f"fetch {place}"):
        data = _pack(context, paths, service, place)
    folder = places.ide_folder(paths, service.node, service.name)
    files.make_directory(folder, mode=0o700)
    try:
        _unpack(data, folder, posixpath.basename(place))
    except NO_ARCHIVE as error:
        raise LabError(
            f"{service.node}: what it sent of {place} is not an archive: {error}"
        ) from error
    return folder


def _pack(context: Context, paths: LabPaths, service: DebugService, place: str) -> bytes:
    """Return a tar of a directory of the node, packed by gzip and base64."""
    parent, name = posixpath.split(place)
    left_out = " ".join(
        f"--exclude={shlex.quote(pattern)}" for pattern in ("__pycache__", "*/locale", "*/tests")
    )
    # In a container, as root; on a node, as its user.
    inside = (
        f"sudo -n {service.engine} exec -u root {service.container} " if service.container else ""
    )
    shell = (
        f"{inside}tar -C {shlex.quote(parent)} -c {left_out} -- {shlex.quote(name)} "
        f"| gzip -1 | base64 -w {_LINE}"
    )
    part = Part(tag=_TAG, shell=shell, limit_s=_FETCH_S)
    reply = session.ask(context.runner, paths, service.node, [part], limit_s=_FETCH_S)
    said = reply.answer.of(_TAG)
    if said.code != 0 or not reply.answer.is_complete:
        why = reply.missing(_TAG) or reply.why or said.text
        raise LabError(f"{service.node}: fetching {place} failed: {printable(why)}")
    return "".join(said.lines).encode()


def _unpack(data: bytes, folder: Path, package: str) -> None:
    """Write the plain files of an archive below a folder; nothing else of it."""
    with gzip.GzipFile(fileobj=io.BytesIO(base64.b64decode(data, validate=True))) as unpacked:
        content = unpacked.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES // 1024 // 1024} MiB")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = archive.getmembers()
        if len(members) > _MOST_FILES:
            raise ValueError(f"more than {_MOST_FILES} files")
        for member in members:
            is_wanted = member.name == package or member.name.startswith(f"{package}/")
            if is_wanted and (member.isfile() or member.isdir()):
                archive.extract(member, folder, filter="data")
