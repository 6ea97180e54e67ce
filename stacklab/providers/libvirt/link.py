"""The connection to libvirtd: made when it is needed, shared, and made again when it has died."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from stacklab.errors import ProviderError
from stacklab.providers.contract import HostServices, Unreachable
from stacklab.tools.libvirt import connection as libvirt_connection
from stacklab.tools.libvirt import daemon as libvirtd
from stacklab.tools.libvirt.connection import NoAnswer
from stacklab.tools.libvirt.domains import Libvirt

# How long a libvirtd that did not answer is not asked again: each wait would cost LOOK_S more.
_HUNG_FOR_S = 30.0


class LibvirtLink:
    """One connection to libvirtd for all that a command does on this host."""

    def __init__(
        self,
        site: HostServices,
        *,
        connect: Callable[[], Libvirt],
        ask: Callable[[], str | None],
    ) -> None:
        self._site = site
        self._connect = connect
        self._ask = ask
        self.connection: Libvirt | None = None
        # Nodes are looked at by several threads, and all should share one connection.
        self._lock = threading.Lock()
        self._hung_at: float | None = None

    @property
    def libvirt(self) -> Libvirt:
        """The connection to libvirtd, which is started if it is not running."""
        with self._lock:
            if self.connection is None or self.connection.is_dead:
                libvirtd.ensure(self._site.runner, self._ask_unless_hung, self._leave_note)
                self.connection = self._connect()
            return self.connection

    def libvirt_that_runs(self) -> Libvirt:
        """Return the connection; raises ProviderError where libvirtd would have to be started."""
        if self.connection is None or self.connection.is_dead:
            unreachable = self.why_unreachable()
            if unreachable is not None:
                raise unreachable.error()
        return self.libvirt

    def libvirt_if_up(self) -> tuple[Libvirt | None, str]:
        """Return the connection, or None and the reason; starts nothing."""
        unreachable = self.why_unreachable()
        if unreachable is not None:
            return None, str(unreachable)
        try:
            return self.libvirt, ""
        except ProviderError as error:
            return None, error.message

    def why_unreachable(self, *, start: bool = False) -> Unreachable | None:
        """See Provider.why_unreachable."""
        if start:
            self.libvirt  # noqa: B018  starts libvirtd if that is all that is missing
        try:
            why = self._ask_unless_hung()
        except NoAnswer as error:
            hint = error.hint or "./invoke doctor"
            return Unreachable(service="libvirtd", why=error.message, hint=hint)
        if why is None:
            return None
        # Who may not ask libvirtd would not be helped by a start of it.
        is_refused = "denied" in why or "auth" in why
        hint = "./invoke doctor" if is_refused else libvirtd.how_to_start()
        return Unreachable(service="libvirtd", why=why, hint=hint)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _ask_unless_hung(self) -> str | None:
        """Ask for a connection; raises NoAnswer at once if the last call went unanswered."""
        if self._hung_at is not None:
            hung_for_s = time.monotonic() - self._hung_at
            if hung_for_s < _HUNG_FOR_S:
                raise NoAnswer(libvirt_connection.LOOK_S)
        try:
            return self._ask()
        except NoAnswer:
            self._hung_at = time.monotonic()
            raise

    def _leave_note(self, text: str) -> None:
        self._site.progress.note("host", text)
