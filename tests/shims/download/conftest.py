from __future__ import annotations

from tests.shims.download.image_server import no_pauses_no_proxy, server

__all__ = ["no_pauses_no_proxy", "server"]
