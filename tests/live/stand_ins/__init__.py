"""What stands for installers that can't be fetched here: trees for git, wheels for pip, programs.

They obey what was read in the real ones. `archive` packs them for a node, whose `install.sh` puts
them where the installers look: git rewrites URLs, pip finds wheels in a directory, programs are
in /usr/local/bin. No command of ours knows of them.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
PLACE = "/srv/stand-ins"

# NAME-VERSION of a wheel -> its programs, and its other files by their place below the prefix.
_SHARE = "share/kolla-ansible"
WHEELS: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
    "kolla_ansible-21.0.0": (
        ("kolla-ansible", "kolla-mergepwd", "kolla-genpwd"),
        {
            f"{_SHARE}/ansible/inventory/multinode": "multinode",
            f"{_SHARE}/etc_examples/kolla/passwords.yml": "passwords.yml",
            f"{_SHARE}/init-runonce": "init-runonce",
        },
    ),
    "python_openstackclient-7.0.0": (("openstack",), {}),
    "ansible-9.13.0": (("ansible-playbook",), {}),
    "ansible_core-2.18.1": ((), {}),
    "jinja2-3.0.3": ((), {}),
    "requests-2.32.0": ((), {}),
    "pyopenssl-24.0.0": ((), {}),
    "pbr-6.0.0": ((), {}),
    "setuptools-79.0.1": ((), {}),
}
# Repositories whose files are few words: PATH -> text. The others are directories here.
_NOVA_SCRIPT = "for nova_conf in /etc/kolla/nova-*/nova.conf\ndo\n  echo\ndone\n"
_NEUTRON_SCRIPT = 'if ! grep -q "password = contrail123" x; then\n  sed x\nfi\n'
_PLAYBOOKS = ("configure_instances", "install_vanilla_openstack", "install_opensdn")
TREES: Mapping[str, Mapping[str, str]] = {
    "OpenSDN-io/tf-ansible-deployer": {
        **{f"playbooks/{name}.yml": "[]\n" for name in (*_PLAYBOOKS, "config_openstack")},
        "playbooks/roles/neutron/templates/ContrailPlugin.ini.j2": "admin_password = contrail123\n",
        "playbooks/roles/neutron/files/config_opensdn.sh": _NEUTRON_SCRIPT,
        "playbooks/roles/nova/files/config_opensdn.sh": _NOVA_SCRIPT,
    },
    "openstack/nova": {
        "requirements.txt": "oslo.config>=1.2.0\n",
        "nova/virt/docker/driver.py": "",
        "nova/db/sqlalchemy/migrate_repo/versions/216_havana.py": "",
        "etc/nova/rootwrap.d/docker.filters": "[Filters]\n",
    },
}
_DIRECTORIES = {
    "Juniper/contrail-installer": "contrail-installer",
    "openstack/devstack": "devstack",
}
# As a mirror on the node would be set up.
_INSTALL = f"""\
set -eu
cd {PLACE}
mkdir -p /srv/broken /srv/cloud/port /srv/kolla /srv/opensdn
chmod -R a+rwX /srv
for tree in git/*/*; do
  git -C "$tree" init -q -b master
  git -C "$tree" add -A
  git -C "$tree" -c user.name=x -c user.email=x@localhost commit -q -m x
  for ref in R26.1 mitaka-eol havana-eol; do git -C "$tree" tag $ref; done
done
for host in github.com opendev.org; do
  git config --system --add url.file://{PLACE}/git/.insteadOf https://$host/
done
git config --system safe.directory '*'
echo 'export PIP_NO_INDEX=1 PIP_FIND_LINKS={PLACE}/wheels' >/etc/profile.d/stand-ins.sh
cp programs/* /usr/local/bin/
"""


def archive() -> bytes:
    """Return a tar of everything, to be unpacked in PLACE; then `sh install.sh` there, as root."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        _add(tar, "install.sh", _INSTALL.encode())
        for name, (programs, others) in WHEELS.items():
            _add(tar, f"wheels/{name}-py3-none-any.whl", _wheel(name, programs, others))
        for path in sorted((HERE / "programs").iterdir()):
            _add(tar, f"programs/{path.name}", path.read_bytes(), mode=0o755)
        for tree, files in TREES.items():
            for inner, text in files.items():
                _add(tar, f"git/{tree}/{inner}", text.encode())
        for tree, directory in _DIRECTORIES.items():
            root = HERE / directory
            for path in sorted(root.rglob("*")):
                if path.is_file():
                    inner = path.relative_to(root)
                    _add(tar, f"git/{tree}/{inner}", path.read_bytes(), mode=0o755)
    return packed.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = mode
    tar.addfile(entry, io.BytesIO(data))


def _wheel(name: str, programs: tuple[str, ...], others: Mapping[str, str]) -> bytes:
    """Return a wheel as pip takes it: metadata, programs, and files below the prefix."""
    project, _, version = name.partition("-")
    info = f"{name}.dist-info"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as wheel:
        metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
        wheel.writestr(f"{info}/METADATA", metadata)
        tag = "Wheel-Version: 1.0\nGenerator: stacklab\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tag)
        for program in programs:
            text = (HERE / "wheels" / program).read_bytes()
            entry = zipfile.ZipInfo(f"{name}.data/scripts/{program}")
            entry.external_attr = 0o100755 << 16  # pip takes the mode from here
            wheel.writestr(entry, text)
        for place, file in others.items():
            wheel.writestr(f"{name}.data/data/{place}", (HERE / "wheels" / file).read_bytes())
        wheel.writestr(f"{info}/RECORD", "")
    return packed.getvalue()
