"""Runs on a node: counts in memory, on disk and at a peer, over one connection that never ends.

Arguments: own address, peer's address. Asked on port 7701 it answers with a line: the number in
memory, the one on disk, the last that the peer has confirmed, and why counting ended, if it did.
A node's python3-minimal has no json.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

COUNTING, ASKING = 7700, 7701
FILE = Path("/var/tmp/counter")
NEW = FILE.with_name("counter.new")


class Counter:
    """The number in memory, and what the peer says of it."""

    def __init__(self) -> None:
        self.memory = 0
        self.confirmed = 0
        self.ended = ""

    def count(self, peer: str) -> None:
        """Count until the connection to the peer ends, which it should not."""
        stream = connected(peer).makefile("rw")
        try:
            while True:
                number = self.memory + 1
                with NEW.open("w") as file:
                    file.write(str(number))
                    file.flush()
                    os.fsync(file.fileno())
                NEW.replace(FILE)
                self.memory = number
                stream.write(f"{number}\n")
                stream.flush()
                self.confirmed = int(stream.readline())
                time.sleep(0.02)
        except (OSError, ValueError) as error:
            self.ended = repr(error)

    def confirm(self, connection: socket.socket) -> None:
        """Send each number back that another node sends."""
        stream = connection.makefile("rw")
        for line in stream:
            stream.write(line)
            stream.flush()
        self.ended = "the connection from a peer ended"

    def tell(self, connection: socket.socket) -> None:
        """Answer with all numbers."""
        disk = FILE.read_text()
        line = f"{self.memory} {disk} {self.confirmed} {self.ended}\n"
        connection.sendall(line.encode())
        connection.close()


def connected(peer: str) -> socket.socket:
    """Return a connection to the peer, as soon as that listens."""
    while True:
        try:
            return socket.create_connection((peer, COUNTING))
        except OSError:
            time.sleep(0.2)


def listen(address: str, port: int, answer: Callable[[socket.socket], None]) -> None:
    """Answer each connection in a thread of its own."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen()
    while True:
        connection, _ = server.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def main(own: str, peer: str) -> None:
    """Listen, and count."""
    FILE.write_text("0")
    counter = Counter()
    for port, answer in ((COUNTING, counter.confirm), (ASKING, counter.tell)):
        threading.Thread(target=listen, args=(own, port, answer), daemon=True).start()
    counter.count(peer)
    while True:  # what it has to tell is still asked for
        time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
