"""Do something on several nodes at once, and let Ctrl-C end it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from stacklab.model.lab import Node


def on_each(nodes: Sequence[Node], work: Callable[[Node], object], *, name: str) -> None:
    """Do the work for each node in a thread of its own, and return when all have ended."""
    threads = [
        # Daemons: Ctrl-C must not wait for a node that hangs.
        threading.Thread(target=work, args=(node,), name=f"{name} {node.name}", daemon=True)
        for node in nodes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)  # in pieces: a plain join would keep Ctrl-C waiting
