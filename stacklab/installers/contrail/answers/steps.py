"""The order in which the localrc files are used: the controller whole, then the computes."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.contrail.answers.files import DEVSTACK_TREE, INSTALLER_TREE, LOG
from stacklab.installers.contrail.pairs import paired_devstack
from stacklab.installers.devstack.answers import images, projects
from stacklab.installers.kit.git import clone, install_git
from stacklab.installers.kit.release import release_of, workarounds
from stacklab.installers.kit.roles import has_compute
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release, When
from stacklab.stages.stage import HOUR_S, Stage, Step, name_at

_PLUGIN = "lib/neutron_plugins/opencontrail"


def stages(lab: Lab) -> tuple[Stage, ...]:
    """Return the stages of every node: sources, Contrail, then DevStack."""
    release = release_of(lab)
    others = [node for node in lab.computes if node.name != lab.controller.name]
    all_stages: list[Stage] = []
    for node in (lab.controller, *others):
        all_stages += _stages_on(lab, node, release)
    return tuple(all_stages)


def _stages_on(lab: Lab, node: Node, release: Release) -> Iterator[Stage]:
    # A compute's services want the controller's APIs, which must be up by then.
    is_controller = node.name == lab.controller.name
    controller_is_up = () if is_controller else (name_at("devstack", lab.controller.name),)
    yield Stage(
        name=name_at("sources", node.name),
        steps=tuple(_source_steps(lab, node, release)),
        limit_s=HOUR_S,
        hint="a repository may have moved: try a mirror in stack.git_base",
    )
    yield Stage(
        name=name_at("contrail", node.name),
        steps=tuple(_contrail_steps(lab, node, release)),
        limit_s=4 * HOUR_S,
        after=(name_at("sources", node.name), *controller_is_up),
        hint=f"contrail.sh exits 0 whatever happens: read {INSTALLER_TREE}/log",
    )
    yield Stage(
        name=name_at("devstack", node.name),
        steps=tuple(_devstack_steps(lab, node, release)),
        limit_s=3 * HOUR_S,
        after=(name_at("contrail", node.name),),
        hint=f"the last lines of {LOG} name the service that did not start",
    )


def _source_steps(lab: Lab, node: Node, release: Release) -> Iterator[Step]:
    devstack = paired_devstack(release)
    yield install_git(node)
    yield clone(node, release.repository, release.ref, INSTALLER_TREE)
    yield from workarounds(lab, release, node, When.AFTER_CLONE, tree=INSTALLER_TREE)
    url = projects.devstack_url(lab, devstack)
    ref = projects.devstack_ref(lab, devstack)
    yield clone(node, url, ref, DEVSTACK_TREE)
    yield from workarounds(lab, devstack, node, When.AFTER_CLONE, tree=DEVSTACK_TREE)


def _contrail_steps(lab: Lab, node: Node, release: Release) -> Iterator[Step]:
    yield _run_contrail(node, "build")
    # contrail.sh exits 0 whatever happens: .stage.txt holds how far it came.
    yield _run_contrail(node, "install", done=f"grep -qx install {INSTALLER_TREE}/.stage.txt")
    yield _run_contrail(node, "configure")
    if not has_compute(lab, node):
        yield Step(
            node=node.name,
            title="take the vrouter agent out: it runs on the computes",
            command=f"cd {INSTALLER_TREE} && {release.text('without_agent')}",
        )
    yield _run_contrail(
        node,
        "start",
        done=f"compgen -G '{INSTALLER_TREE}/status/contrail/*.pid'",
    )


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
    yield Step(
        node=node.name,
        title="run DevStack",
        command=f"cd {DEVSTACK_TREE} && ./stack.sh",
        done=f"grep -qs 'stack.sh completed' {LOG}.summary",
    )
    # DevStack's own bugs first: it is what was just run.
    for running in (paired_devstack(release), release):
        yield from workarounds(lab, running, node, When.AFTER)
    yield from images.share(lab, node)


def _run_contrail(node: Node, verb: str, *, done: str = "") -> Step:
    return Step(
        node=node.name,
        title=f"contrail.sh {verb}",
        # Run by bash: the script's #! is on its second line.
        command=f"cd {INSTALLER_TREE} && bash contrail.sh {verb}",
        done=done,
    )
