# labs/openstack-3node.yaml: imported by uWSGI before each service; localrc/debian/uwsgi_locks.py.j2
"""Have oslo.log lock with real threads, which is what uWSGI serves requests with.

Once somebody has imported eventlet, oslo.log takes eventlet's locks for Python's logging, patched or
not. Two threads that ask for a logger at once then wait for each other for ever, and with them
whoever asked for a token: bugs.launchpad.net/oslo.log/+bug/1983863, eventlet's issue 662.
"""

import oslo_log.log

oslo_log.log._fix_eventlet_logging = lambda: None
