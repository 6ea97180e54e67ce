"""Watch what nodes do while they are checked, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from stacklab.model.state import NodeState

_LOOK_EVERY_S = 1.5
_PATIENCE_S = 2.0  # for one look; a provider that hangs is one that does not tell

States = Mapping[str, NodeState]


class Lookout:
    """Looks again and again while it is open; a provider that hangs or goes away delays nobody.

    `look` returns each node's state, {} where nobody can tell; what it raises, `renew` raises.
    """

    def __init__(self, look: Callable[[], States]) -> None:
        self._look = look
        self._states: States = {}
        self._since: float | None = None  # when the look that is under way began
        self._asked = threading.Event()
        self._looked = threading.Event()
        self._is_over = False
        self._error: BaseException | None = None
        # A daemon: a look that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._look_repeatedly, name="lookout", daemon=True)

    def __enter__(self) -> Lookout:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._asked.set()
        self._thread.join(_PATIENCE_S)

    def _look_repeatedly(self) -> None:
        """Look until it is closed, at once whenever `renew` asks; the thread of its own."""
        while not self._is_over:
            # Before the look: who asks while it is under way gets another one.
            self._asked.clear()
            self._since = time.monotonic()
            try:
                self._states = dict(self._look())
            except BaseException as error:  # raised again by renew, where somebody can see it
                self._error = error
            self._since = None
            self._looked.set()
            if self._error is not None:
                return
            self._asked.wait(_LOOK_EVERY_S)

    def renew(self) -> None:
        """Look now; returns when that is done, or takes too long."""
        self._looked.clear()
        self._asked.set()
        # After an error its thread is gone, and nobody would set `_looked`.
        if self._error is None:
            self._looked.wait(_PATIENCE_S)
        if self._error is not None:
            raise self._error

    def state(self, node: str) -> NodeState | None:
        """Return what a node did a moment ago; None where nobody can tell."""
        since = self._since
        if since is not None and time.monotonic() - since > _PATIENCE_S:
            return None
        return self._states.get(node)

    def why_not(self, node: str) -> str:
        """Return why a node can't be talked to, by its state; "" while it can."""
        state = self.state(node)
        # Where nobody can tell, an attempt will.
        if state in (None, NodeState.RUNNING):
            return ""
        return f"the node is {state}"
