"""What PyCharm and PyDev listen with: a debug server that is called by programs under pydevd.

It speaks as much of pydevd's protocol as it takes to stop at a line, look and go on: a line of
command, number and arguments, with tabs between.
"""

from __future__ import annotations

import contextlib
import html
import re
import socket
from types import TracebackType
from typing import Self
from urllib.parse import unquote

_RUN, _STOPPED, _GO_ON, _SET, _VALUES, _VERSION = (101, 105, 106, 111, 114, 501)
_ALL = 0  # of PyCharm's groups of variables
_FRAME = re.compile(r'<frame id="(\d+)" name="([^"]+)" file="([^"]+)" line="(\d+)"')
_VALUE = re.compile(r'<var name="(\w+)" type="\w*"[^>]*? value="([^"]*)"')


class Called:
    """A program that has called."""

    def __init__(self, connection: socket.socket, *, is_pycharm: bool) -> None:
        connection.settimeout(60)
        self._connection = connection
        self._stream = connection.makefile("r", encoding="utf-8")
        self._is_pycharm = is_pycharm
        self._number = 1

    def send(self, command: int, *arguments: object) -> None:
        self._number += 2
        words = [str(word) for word in (command, self._number, *arguments)]
        self._connection.sendall(("\t".join(words) + "\n").encode())

    def run(self, file: str, line: int) -> str:
        """Set a breakpoint, and let the program run; returns the debugger's version."""
        # PyCharm names breakpoints by their lines, PyDev by numbers.
        self.send(_VERSION, "1.1", "UNIX", *([] if self._is_pycharm else ["ID"]))
        version = self.until(_VERSION)
        number = [] if self._is_pycharm else [1]
        more = ["NONE"] if self._is_pycharm else []
        self.send(_SET, *number, "python-line", file, line, "None", *more, "None", "None")
        self.send(_RUN, "")
        return version

    def until(self, command: int) -> str:
        """Return the arguments of the next command of that number."""
        for text in self._stream:
            words = text.rstrip("\n").split("\t", 2)
            if words[0] == str(command):
                return words[2] if len(words) > 2 else ""
        raise AssertionError(f"the program has gone before {command}")

    def stopped(self) -> tuple[str, str, int, dict[str, str]]:
        """Wait until it stops, and let it go on; returns function, file, line and variables."""
        said = self.until(_STOPPED)
        thread = re.search(r'thread id="([^"]+)"', said)
        frame = _FRAME.search(said)
        assert thread, said
        assert frame, said
        self.send(_VALUES, thread[1], frame[1], "FRAME", *([_ALL] if self._is_pycharm else []))
        values = {
            name: html.unescape(unquote(unquote(value)))
            for name, value in _VALUE.findall(self.until(_VALUES))
        }
        self.send(_GO_ON, thread[1])
        return frame[2], unquote(unquote(frame[3])), int(frame[4]), values

    def end(self) -> None:
        with contextlib.suppress(OSError):  # it may have gone itself
            self._connection.shutdown(socket.SHUT_RDWR)
        self._stream.close()
        self._connection.close()


class DebugServer:
    """A debug server at a free port of the loopback."""

    def __init__(self, *, is_pycharm: bool = False) -> None:
        self._is_pycharm = is_pycharm
        self._called: list[Called] = []
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self.port = int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()
        for called in self._called:
            called.end()

    def wait(self, limit_s: float = 60) -> Called:
        """Return the next program that calls."""
        self._socket.settimeout(limit_s)
        connection, _ = self._socket.accept()
        self._called.append(Called(connection, is_pycharm=self._is_pycharm))
        return self._called[-1]
