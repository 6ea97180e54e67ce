#!/bin/sh
# labs/openstack-2node-linuxbridge.yaml: puts this folder's files in their places, as root; localrc/debian/install.sh.j2
# It may be run again at any time. What a service reads only at its start is read at the next one.
set -eu
cd /opt/stack/cloud

place() { # OWNER GROUP MODE PATH
    install -D -o "$1" -g "$2" -m "$3" ".$4" "$4"
}

place root nova 640 /etc/nova/nova.conf
place root neutron 640 /etc/neutron/neutron.conf
place root neutron 640 /etc/neutron/plugins/ml2/linuxbridge_agent.ini
place root root 755 /usr/local/sbin/stacklab-wait
place root root 755 /usr/local/sbin/stacklab-bridges
place root root 440 /etc/sudoers.d/stacklab-imports
place root root 644 /etc/stacklab/authority.pem
place root root 600 /etc/iscsi/initiatorname.iscsi
place root root 644 /etc/default/libvirtd
place root root 644 /etc/systemd/system/stacklab-bridges.service
place root root 644 /etc/systemd/system/stacklab-nova-compute.service
place root root 644 /etc/systemd/system/stacklab-neutron-linuxbridge-agent.service
place root root 644 /etc/systemd/system/stacklab-compute.target
# A host whose KVM does not nest gives its nodes none.
[ -c /dev/kvm ] || sed -i 's/^virt_type = kvm$/virt_type = qemu/' /etc/nova/nova.conf
# Computes log in to each other as nova to move VMs, with the key that all nodes have from the lab.
install -d -o nova -g nova -m 0700 /var/lib/nova/.ssh
install -o nova -g nova -m 0600 /home/stack/.ssh/id_ed25519 /var/lib/nova/.ssh/id_ed25519
install -o nova -g nova -m 0600 /home/stack/.ssh/id_ed25519.pub /var/lib/nova/.ssh/authorized_keys
install -m 0644 /home/stack/.ssh/known_hosts /etc/ssh/ssh_known_hosts
usermod --shell /bin/sh --append --groups libvirt nova
# Its only content would be Debian's choice of a driver.
: > /etc/nova/nova-compute.conf
install -d /etc/systemd/system/multi-user.target.wants
ln -sf /etc/systemd/system/stacklab-compute.target /etc/systemd/system/multi-user.target.wants/
# New units are found without it, and to read all of them again takes an emulated node 25 s.
if systemctl show --property=NeedDaemonReload 'stacklab-*' | grep -q '=yes$'; then
    systemctl daemon-reload
fi
