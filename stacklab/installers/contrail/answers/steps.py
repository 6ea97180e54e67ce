"""The order in which the localrc files are used: the controller whole, then the computes."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.contrail.answers.files import DEVSTACK_TREE, INSTALLER_TREE, LOG
from stacklab.installers.contrail.pairs import paired_devstack
from stacklab.installers.devstack.answers import images, projects
from stacklab.installers.kit.addresses import nic_on
from stacklab.installers.kit.git import CLONES, clone, install_git
from stacklab.installers.kit.release import release_of, workarounds
from stacklab.installers.kit.roles import has_compute
from stacklab.installers.kit.scopes import in_own_scope
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release, When
from stacklab.stages.stage import HOUR_S, Stage, Step, name_at

_PLUGIN = "lib/neutron_plugins/opencontrail"
_STAGE_FILE = INSTALLER_TREE / ".stage.txt"
_STARTED = ".started.txt"  # ours, beside it: contrail.sh start came to its end
_LOG = INSTALLER_TREE / "log" / "contrail.log"
_AGENT = "contrail-vrouter-agent"
_API_PORT = 8082


def stages(lab: Lab) -> tuple[Stage, ...]:
    """Return the stages of every node: sources, Contrail by its four verbs, then DevStack."""
    release = release_of(lab)
    others = [node for node in lab.computes if node.name != lab.controller.name]
    all_stages: list[Stage] = []
    for node in (lab.controller, *others):
        all_stages += _stages_on(lab, node, release)
    return tuple(all_stages)


def _stages_on(lab: Lab, node: Node, release: Release) -> Iterator[Stage]:
    name = node.name
    yield Stage(
        name=name_at("sources", name),
        steps=tuple(_source_steps(lab, node, release)),
        limit_s=HOUR_S,
        hint="a repository may have moved: try a mirror in stack.git_base",
    )
    yield Stage(
        name=name_at("build", name),
        steps=(_build(lab, node, release),),
        limit_s=5 * HOUR_S,
        after=(name_at("sources", name),),
        hint=f"a host of packages or sources of its time is gone; {_STAGE_FILE} has the last "
        f"part of the build that went well, {_LOG} all output",
    )
    yield Stage(
        name=name_at("install", name),
        steps=(_run_contrail(node, "install", done=_reached("install")),),
        limit_s=2 * HOUR_S,
        after=(name_at("build", name),),
        hint=f"a package of its time is gone; {_LOG} has all output",
    )
    yield Stage(
        name=name_at("configure", name),
        steps=tuple(_configure_steps(lab, node, release)),
        limit_s=HOUR_S,
        after=(name_at("install", name),),
        hint="the NIC in PHYSICAL_INTERFACE has to be there, with an IPv4 address, and ifconfig "
        "(net-tools) has to show it",
    )
    yield Stage(
        name=name_at("start", name),
        steps=(_start(lab, node),),
        limit_s=HOUR_S,
        after=(name_at("configure", name), *_controller_is_up(lab, node)),
        hint=f"a service of Contrail ended: see screen -x contrail on {name}, or "
        f"{INSTALLER_TREE}/log/screens",
    )
    yield Stage(
        name=name_at("stack", name),
        steps=tuple(_devstack_steps(lab, node, release)),
        limit_s=3 * HOUR_S,
        after=(name_at("start", name),),
        done=f"grep -qs 'stack.sh completed' {LOG}.summary",
        hint=f"the last lines of {LOG} name the service that did not start",
    )


def _controller_is_up(lab: Lab, node: Node) -> tuple[str, ...]:
    """Return what a compute's services wait for: they want the APIs of the controller."""
    controller = lab.controller.name
    return () if node.name == controller else (name_at("stack", controller),)


def _source_steps(lab: Lab, node: Node, release: Release) -> Iterator[Step]:
    devstack = paired_devstack(release)
    yield install_git(node)
    yield clone(node, release.repository, release.ref, INSTALLER_TREE)
    yield from workarounds(lab, release, node, When.AFTER_CLONE, tree=INSTALLER_TREE)
    url = projects.devstack_url(lab, devstack)
    ref = projects.devstack_ref(lab, devstack)
    yield clone(node, url, ref, DEVSTACK_TREE)
    yield from workarounds(lab, devstack, node, When.AFTER_CLONE, tree=DEVSTACK_TREE)


def _build(lab: Lab, node: Node, release: Release) -> Step:
    """Return the step that builds Contrail, or makes its packages known.

    contrail.sh can end with 0 after a failure: .stage.txt says how far it came.
    """
    done = _reached("Build|install")
    if release.text("default_install") == "True" or node.name == lab.controller.name:
        return _run_contrail(node, "build", done=done)
    # On a compute it looks whether the vrouter was built, and never at the agent; and what it has
    # in its file as built, it does not build again.
    agent = f"compgen -G '{_sources_of(lab)}/build/*/vnsw/agent/contrail/{_AGENT}'"
    back = f"sed -i 's/^Build$/fetch-packages/' {_STAGE_FILE}"
    anew = f"{{ test ! -e {_STAGE_FILE} || {agent} || {back}; }}"
    return _run_contrail(node, "build", before=f"{anew} && ", done=f"{done} && {agent}")


def _configure_steps(lab: Lab, node: Node, release: Release) -> Iterator[Step]:
    yield _run_contrail(node, "configure")
    if not has_compute(lab, node):
        yield Step(
            node=node.name,
            title="take the vrouter agent out: it runs on the computes",
            command=f"cd {INSTALLER_TREE} && {release.text('without_agent')}",
            done=f"cd {INSTALLER_TREE} && ! {release.text('has_agent')}",
        )


def _start(lab: Lab, node: Node) -> Step:
    """Return the step that starts Contrail, and what is left of an earlier start anew.

    contrail.sh starts nothing where it finds files of processes, be they of a start that broke
    off or of before a reboot, and ends with 0. Its `start` empties Contrail's database.
    """
    pids = "status/contrail/*.pid"
    stop = f"{{ ! compgen -G '{pids}' || {{ bash contrail.sh stop; rm -f {pids}; }}; }}"
    start = in_own_scope(f"cd {INSTALLER_TREE} && bash contrail.sh start")
    runs = []
    if node.name == lab.controller.name:
        api = f"/dev/tcp/{nic_on(lab, node, lab.stack.network).address.ip}/{_API_PORT}"
        runs.append(f"timeout 10 bash -c '<{api}'")
    if has_compute(lab, node):
        runs.append('ps -p "$(cat status/contrail/agent.pid)"')
    return Step(
        node=node.name,
        title="contrail.sh start",
        command=f"cd {INSTALLER_TREE} && rm -f {_STARTED} && {stop} && {start} && touch {_STARTED}",
        done=" && ".join((f"cd {INSTALLER_TREE} && test -e {_STARTED}", *runs)),
    )


def _reached(stages_of_build: str) -> str:
    return f"grep -qxE '{stages_of_build}' {_STAGE_FILE}"


def _sources_of(lab: Lab) -> str:
    """Return where Contrail's sources are: its own default, or the spec's wish."""
    return dict(lab.stack.answers).get("CONTRAIL_SRC", f"{CLONES}/contrail")


def _devstack_steps(lab: Lab, node: Node, release: Release) -> Iterator[Step]:
    source = f"{INSTALLER_TREE}/devstack/{_PLUGIN}"
    target = f"{DEVSTACK_TREE}/{_PLUGIN}"
    yield Step(
        node=node.name,
        title="give DevStack the opencontrail plugin",
        command=f"cp {source} {target}",
        done=f"cmp -s {source} {target}",
    )
    yield from images.see(lab, node)
    yield _run_stack_sh(node)
    # DevStack's own bugs first: it is what was just run.
    for running in (paired_devstack(release), release):
        yield from workarounds(lab, running, node, When.AFTER)
    yield from images.share(lab, node)


def _run_stack_sh(node: Node) -> Step:
    """Return the step that runs DevStack, whose services are in screen's session `stack`.

    stack.sh refuses to run where there is such a session, of a run that broke off, say.
    """
    run = in_own_scope(f"cd {DEVSTACK_TREE} && ./stack.sh")
    unstack = "{ ! screen -ls 2>&1 | grep -q '[0-9]\\.stack\\b' || ./unstack.sh; }"
    return Step(
        node=node.name,
        title="run DevStack",
        command=f"cd {DEVSTACK_TREE} && {unstack}; {run}",
    )


def _run_contrail(node: Node, verb: str, *, before: str = "", done: str = "") -> Step:
    return Step(
        node=node.name,
        title=f"contrail.sh {verb}",
        # Run by bash: the script's #! is on its second line.
        command=f"cd {INSTALLER_TREE} && {before}bash contrail.sh {verb}",
        done=done,
    )
