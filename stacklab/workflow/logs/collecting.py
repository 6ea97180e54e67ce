"""Collect the files of a bundle of `lab.logs`: this host's, the nodes', and the rendered answers.

Secrets are masked. What is broken costs its own files: the bundle lists them with the reason.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from stacklab import files
from stacklab.errors import LabError, ProviderError
from stacklab.installers import is_secret_file
from stacklab.installers.kit.masking import mask
from stacklab.model.state import NodeState
from stacklab.paths import LabPaths
from stacklab.providers import registry
from stacklab.providers.contract import LogSource
from stacklab.record import LabRecord
from stacklab.workflow.context import Context
from stacklab.workflow.logs import node as logs_node
from stacklab.workflow.logs.bundle import Bundle, Item
from stacklab.workflow.logs.host import Host
from stacklab.workflow.masking import known_secrets, masked
from stacklab.workflow.trace.lines import line_text
from stacklab.workflow.trace.requests import known as known_request

# A node chooses the names of its files. A name that can't be written must cost only its file.
_OF_ITS_NAME = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
_MOST_BYTES = 64 * 1024 * 1024
_FULL = f"the bundle is full at {_MOST_BYTES // 1024 // 1024} MiB"
_AT_ONCE = 8
_LAST_MINUTES = 60.0  # how far back requests are looked for


class Collecting:
    """One run of lab.logs: each file is fetched, masked and written before the next one."""

    def __init__(self, context: Context, paths: LabPaths, root: Path) -> None:
        self._context = context
        self._paths = paths
        self._root = root
        self._items: list[Item] = []
        self._size = 0
        self._fetched: list[int] = []  # from nodes; several threads append
        self._secrets = known_secrets(paths)

    def run(self, requests: Sequence[str]) -> Bundle:
        """Collect this host's files, then the nodes', then the rendered answers."""
        self._root.mkdir(mode=0o700)
        lab_record = self._record()
        states, why_not = self._read_states(lab_record)
        with self._context.progress.stage("host", "logs"):
            provider = self._context.provider(lab_record)
            host = Host(self._context.runner, self._paths, lab_record, provider, why_not)
            self._add_host(host)
        names = [node.name for node in lab_record.nodes] if lab_record else []
        # A few at a time: each holds as much as a node may send in memory.
        with ThreadPoolExecutor(max_workers=max(1, min(len(names), _AT_ONCE))) as pool:
            collected = pool.map(lambda name: self._fetch_node(name, states), names)
            # Written here, one after the other: what is in the bundle counts against its limit.
            for name, node_logs in zip(names, collected, strict=True):
                self._add_node(name, node_logs)
        self._add_answers()
        for request_id in requests:
            self._add_request(request_id)
        return Bundle(
            lab=self._paths.name,
            taken_at=time.time(),
            states={name: str(state) for name, state in states.items()},
            items=tuple(self._items),
        )

    def _add_host(self, host: Host) -> None:
        sources = list(host.sources())
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            for source, (text, why_not) in zip(
                sources, pool.map(_read_source, sources), strict=True
            ):
                self._add_item(
                    section="host",
                    path=source.path,
                    title=source.title,
                    text=text,
                    why_not=why_not,
                    original=source.original,
                )

    def _add_node(self, name: str, node_logs: logs_node.NodeLogs) -> None:
        for path, text in logs_node.texts(node_logs):
            end = "\n(cut off here)\n" if path in node_logs.cut else ""
            title = path.removeprefix("files")
            self._add_item(
                section=name,
                path=f"nodes/{name}/{path}",
                title=title,
                text=text + end,
            )
        if node_logs.why_not:
            title = "the rest" if node_logs.files else "what the node itself tells"
            self._add_item(
                section=name,
                path=f"nodes/{name}",
                title=title,
                why_not=node_logs.why_not,
            )

    def _record(self) -> LabRecord | None:
        try:
            return registry.read(self._paths)
        except LabError as error:
            self._add_item(
                section="host",
                path="host/record",
                title="the lab's record",
                why_not=error.message,
            )
            return None

    def _read_states(self, lab_record: LabRecord | None) -> tuple[Mapping[str, NodeState], str]:
        """Return what is known of what the nodes do, and why their provider can't be asked."""
        unreachable = self._context.provider(lab_record).why_unreachable()
        why_not = str(unreachable) if unreachable else ""
        try:
            return (self._context.states(lab_record) if lab_record else {}), why_not
        except ProviderError as error:
            return {}, why_not or error.message

    def _fetch_node(self, name: str, states: Mapping[str, NodeState]) -> logs_node.NodeLogs:
        with self._context.progress.stage(name, "logs"):
            self._context.progress.say(
                name, f"fetching its logs, {logs_node.LIMIT_S:.0f} s at most"
            )
            state = states.get(name, NodeState.RUNNING)
            if state is not NodeState.RUNNING:
                return logs_node.NodeLogs(why_not=f"the node is {state}")
            if not self._paths.ssh_config.exists():
                return logs_node.NodeLogs(why_not="the lab was never far enough up to log in")
            if sum(self._fetched) > _MOST_BYTES:
                return logs_node.NodeLogs(why_not=_FULL)
            node_logs = logs_node.collect(self._paths, self._context.runner, name)
            self._fetched.append(sum(map(len, node_logs.files.values())))
            return node_logs

    def _add_request(self, request_id: str) -> None:
        """Add what the cloud's services have logged about a request."""
        text, why_not = "", ""
        try:
            name = self._paths.name
            trace = known_request(self._context, name, request_id, since_minutes=_LAST_MINUTES)
            text = "".join(f"{line_text(line)}\n" for line in trace.lines)
        except LabError as error:
            why_not = error.message
        self._add_item(
            section="requests",
            path=logs_node.safe_path(f"requests/{request_id}.log"),
            title=f"{request_id}: what services have logged about it",
            text=text,
            why_not=why_not,
        )

    def _add_answers(self) -> None:
        """Add the rendered answer files, as they were written for the nodes."""
        root = self._paths.answers
        for file in sorted(path for path in root.rglob("*") if path.is_file()):
            # Its first part is the node, the others are the path there.
            inner = PurePosixPath(file.relative_to(root))
            on_node = PurePosixPath("/", *inner.parts[1:])
            try:
                text, why = file.read_text(errors="replace"), ""
            except OSError as error:
                text, why = "", str(error.strerror)
            path = f"answers/{logs_node.safe_path(str(inner))}"
            self._add_item(
                section="answers",
                path=path,
                title=f"{inner.parts[0]}: {on_node}",
                text=text,
                why_not=why,
                original=on_node,
            )

    def _add_item(
        self,
        *,
        section: str,
        path: str,
        title: str,
        text: str = "",
        why_not: str = "",
        original: PurePosixPath | None = None,
    ) -> None:
        """Write a file into the bundle, masked; or list why it is not there.

        `original` is the file's path where it came from, which tells whether all of it is secret.
        """
        if not why_not and self._size > _MOST_BYTES:
            why_not = _FULL
        if why_not:
            shown = mask.in_any_form(why_not, self._secrets)
            self._items.append(Item(section=section, path=path, title=title, why_not=shown))
            return
        path = logs_node.plain_name(path)
        is_all_secret = original is not None and is_secret_file(original)
        data = masked(text, self._secrets, is_all_secret=is_all_secret).encode()
        target = self._root / path
        try:
            files.make_directory(target.parent, mode=0o700)
            write_file(target, data)
        except OSError as error:
            if error.errno not in _OF_ITS_NAME:
                raise
            self._items.append(
                Item(
                    section=section,
                    path=path[:200],
                    title=title[:200],
                    why_not=f"its name can't be written here: {error.strerror}",
                )
            )
            return
        self._size += len(data)
        item = Item(section=section, path=path, title=title, size=len(data))
        self._items.append(item)


def write_file(target: Path, data: bytes) -> None:
    """Write a file that only its owner can read, whatever the umask."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o600), "wb") as stream:
        stream.write(data)


def _read_source(source: LogSource) -> tuple[str, str]:
    try:
        return source.read(), ""
    except LabError as error:
        # A command's error has its output behind a margin; here it is to be one line.
        lines = error.message.splitlines()[:3]
        return "", " ".join(line.strip(" |") for line in lines)
    except FileNotFoundError:
        return "", "it does not exist"
    except OSError as error:
        return "", str(error.strerror or error)
