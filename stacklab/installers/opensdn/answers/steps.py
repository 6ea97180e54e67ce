"""The order of tf-ansible-deployer's playbooks: the instances, OpenStack, then OpenSDN."""

from __future__ import annotations

from stacklab.installers.kit.git import clone
from stacklab.installers.kit.python import make_venv
from stacklab.installers.kit.release import release_of
from stacklab.installers.opensdn.answers import kolla
from stacklab.installers.opensdn.answers.files import DEPLOYER, HOME, INSTANCES
from stacklab.model.lab import Lab, Node
from stacklab.stages.stage import HOUR_S, Stage, Step

LOG = HOME / "ansible.log"  # of every playbook


def stages(lab: Lab) -> tuple[Stage, ...]:
    """Return the stages; in vanilla mode the last one gives OpenStack OpenSDN's plugins."""
    release = release_of(lab)
    flavour = kolla.flavour(lab, release)
    install = release.text("install_playbook").removesuffix(".yml")
    prepare = "prepare the instances: docker, chrony, kolla-ansible"
    return (
        Stage(
            name="deployer",
            steps=(
                _packages(lab.controller),
                _ansible(lab.controller, flavour),
                clone(lab.controller, release.repository, release.ref, DEPLOYER),
                *kolla.mends(lab.controller, flavour, release, DEPLOYER),
                _own_etc_kolla(lab.controller),
            ),
            limit_s=HOUR_S,
            hint="pip did not reach an index, the node's Python is too old for this Ansible, or "
            "the deployer's repository moved",
        ),
        Stage(
            name="instances",
            steps=(_playbook(lab, "configure_instances", prepare),),
            limit_s=2 * HOUR_S,
            after=("deployer",),
            hint="the controller does not reach a node by ssh or sudo; or kolla-ansible was not "
            f"cloned, which the playbook notes and passes over until its git checkout: see {LOG}",
        ),
        Stage(
            name="openstack",
            steps=(_playbook(lab, flavour.playbook, f"install OpenStack {flavour.openstack}"),),
            limit_s=4 * HOUR_S,
            after=("instances",),
            hint="an image can't be pulled, or a container restarts again and again: docker ps -a "
            "on the node that failed, then its log below /var/log/kolla",
        ),
        Stage(
            name="opensdn",
            steps=(_playbook(lab, install, f"install OpenSDN {release.name}"),),
            limit_s=3 * HOUR_S,
            after=("openstack",),
            hint="contrail-status on the controller names the service that is not active",
        ),
        Stage(
            name="plugins",
            steps=tuple(
                _playbook(lab, name, "give OpenStack OpenSDN's plugins") for name in flavour.finish
            ),
            limit_s=HOUR_S,
            after=("opensdn",),
            hint=f"a service of OpenStack may be missing: see {LOG}",
        ),
    )


def _packages(node: Node) -> Step:
    return Step(
        node=node.name,
        title="install git and Python's venv",
        command="if command -v apt-get; then apt-get update && apt-get install -y git "
        "python3-venv; "
        "else dnf install -y git python3; fi",
        user="root",
        done="command -v git && python3 -c 'import ensurepip'",
    )


def _ansible(node: Node, flavour: kolla.Flavour) -> Step:
    # requests and pyOpenSSL are imported by the deployer; kolla-ansible's setup.py wants setuptools
    # and pbr, which a venv of Python 3.12 has not.
    others = ("jinja2==3.0.3", "requests", "pyopenssl", "setuptools<80", "pbr")
    return make_venv(
        node.name,
        HOME / "venv",
        (flavour.ansible, *others),
        title=f"make a venv with {flavour.ansible}",
        python="python3",
    )


def _own_etc_kolla(node: Node) -> Step:
    return Step(
        node=node.name,
        title="make /etc/kolla",
        command="install -d -o stack -g stack /etc/kolla",
        user="root",
        done='test "$(stat -c %U /etc/kolla)" = stack',
    )


def _playbook(lab: Lab, name: str, title: str) -> Step:
    # Without -i: its inventory/hosts would have localhost's tasks run by the system's Python, not
    # the venv's.
    # Host keys are known on every node; the deployer's ansible.cfg would not look.
    environment = f"ANSIBLE_HOST_KEY_CHECKING=True ANSIBLE_LOG_PATH={LOG}"
    done = f"{HOME}/{name}.done"
    return Step(
        node=lab.controller.name,
        title=f"{title} ({name}.yml)",
        command=f"cd {DEPLOYER} && . {HOME}/venv/bin/activate && {environment} ansible-playbook "
        f"-e orchestrator=openstack -e config_file={INSTANCES} playbooks/{name}.yml && sha256sum "
        f"{INSTANCES} >{done}",
        done=f"sha256sum --status -c {done}",  # run to its end with these very answers
    )
