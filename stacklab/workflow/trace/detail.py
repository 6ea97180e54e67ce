"""`trace.detail`: have services log at level DEBUG, and name the messages they send, for a while.

By variables, which win over files, in a drop-in below /run: a boot of the node takes them away.
"""

from __future__ import annotations

from stacklab.stages.stage import MINUTE_S
from stacklab.workflow.context import Context, running_lab
from stacklab.workflow.debug import node_program
from stacklab.workflow.debug.service import DebugService, prefix_of_units, restart_limit_s
from stacklab.workflow.debug.services import list_services

# Whose steps are traced; as Debian's units are called, and as DevStack's.
_SERVICES = ("nova-", "neutron-", "cinder", "n-", "q-", "c-")
_NOT = ("nova-novncproxy", "n-novnc")
# oslo.log's own list, but for what names the messages that services send.
_LEVELS = (
    "amqp=WARN,amqplib=WARN,boto=WARN,qpid=WARN,sqlalchemy=WARN,suds=INFO,"
    "oslo.messaging=INFO,oslo_messaging=INFO,oslo_messaging._drivers.amqpdriver=DEBUG,"
    "iso8601=WARN,requests.packages.urllib3.connectionpool=WARN,urllib3.connectionpool=WARN,"
    "websocket=WARN,requests.packages.urllib3.util.retry=WARN,urllib3.util.retry=WARN,"
    "keystonemiddleware=WARN,routes.middleware=WARN,stevedore=WARN,taskflow=WARN,"
    "keystoneauth=WARN,oslo.cache=INFO,oslo_policy=INFO,dogpile.core.dogpile=INFO"
)
_VARIABLES = ("OS_DEFAULT__DEBUG=true", f"OS_DEFAULT__DEFAULT_LOG_LEVELS={_LEVELS}")


def switch(context: Context, name: str, *, is_on: bool) -> tuple[DebugService, ...]:
    """Restart the services that do not log as they should now; returns them.

    Raises LabError for a lab without such services, and for one that does not start again.
    """
    lab, paths = running_lab(context, name)
    prefix_of_units(lab, "trace.detail")
    changed = [
        each
        for each in list_services(context, lab, paths)
        if each.name.startswith(_SERVICES)
        and not each.name.startswith(_NOT)
        and each.is_detailed is not is_on
    ]
    for node in lab.nodes:
        units = [each.unit for each in changed if each.node == node.name]
        if not units:
            continue
        limit_s = restart_limit_s(lab, node.name)
        words = ["give" if is_on else "take", *units, "--for", "detail", "--limit", f"{limit_s:g}"]
        if is_on:
            words += [word for variable in _VARIABLES for word in ("--set", variable)]
        with context.progress.stage(node.name, "restart services, to log " + _words(is_on)):
            node_program.run(context, paths, node.name, tuple(words), limit_s=limit_s + MINUTE_S)
    return tuple(changed)


def _words(is_on: bool) -> str:
    return "all that they do" if is_on else "as usual"
