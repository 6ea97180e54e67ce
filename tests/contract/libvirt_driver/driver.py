"""The real libvirt-python on libvirt's own test driver: no daemon, no VM.

`test:///default` is one state for all connections of a process, kept alive by whatever error holds
one of them; `test:///FILE` is a state per connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest
from libvirt import virConnect

from stacklab.tools.libvirt.domains import Libvirt

URI = "test:///default"
NOBODY = "00000000-0000-4000-8000-000000000000"
START = """<node><domain type='test'><name>test</name><memory>8192</memory><os><type>hvm</type>\
</os></domain>
<network><name>default</name><bridge name='virbr0'/>\
<ip address='192.168.122.1' netmask='255.255.255.0'/></network>
<pool type='dir'><name>default-pool</name><target><path>/default-pool</path></target></pool>\
</node>"""


class TestDriver(Libvirt):
    """It takes every flag of ours but that of firmware's variables."""

    __test__ = False
    undefine_flags = Libvirt.undefine_flags & ~libvirt.VIR_DOMAIN_UNDEFINE_NVRAM


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[TestDriver]:
    start = tmp_path / "start.xml"
    start.write_text(START)
    connection = TestDriver(f"test://{start}")
    yield connection
    connection.close()


@pytest.fixture
def raw(ours: TestDriver) -> virConnect:
    """For what somebody else does with libvirt."""
    return ours._connection
