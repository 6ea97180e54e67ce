#!/bin/sh
# labs/openstack-aio.yaml: puts this folder's files in their places, as root; localrc/debian/install.sh.j2
# It may be run again at any time. What a service reads only at its start is read at the next one.
set -eu
cd /opt/stack/cloud

place() { # OWNER GROUP MODE PATH
    install -D -o "$1" -g "$2" -m "$3" ".$4" "$4"
}

place root nova 640 /etc/nova/nova.conf
place root neutron 640 /etc/neutron/neutron.conf
place root keystone 640 /etc/keystone/keystone.conf
place root glance 640 /etc/glance/glance-api.conf
place root placement 640 /etc/placement/placement.conf
place root neutron 640 /etc/neutron/plugins/ml2/ml2_conf.ini
place root neutron 640 /etc/neutron/neutron_ovn_metadata_agent.ini
place root root 755 /usr/local/sbin/stacklab-wait
place root root 755 /usr/local/sbin/stacklab-bridges
place root root 644 /etc/openvswitch/system-id.conf
place root root 644 /etc/default/ovn-central
place root root 440 /etc/sudoers.d/stacklab-imports
place root root 644 /etc/systemd/network/05-eth1.network
place root root 755 /usr/local/sbin/stacklab-gateway
place root root 600 /etc/iscsi/initiatorname.iscsi
place root root 644 /etc/default/libvirtd
place root root 644 /etc/mysql/mariadb.conf.d/70-stacklab.cnf
place root mysql 640 /etc/mysql/stacklab-init.sql
place root rabbitmq 640 /etc/rabbitmq/rabbitmq.conf
place root root 644 /etc/rabbitmq/rabbitmq-env.conf
place root root 644 /etc/rabbitmq/enabled_plugins
place root root 644 /etc/stacklab/stacklab_uwsgi_locks.py
place root root 644 /etc/stacklab/keystone.wsgi
place root root 644 /etc/stacklab/keystone-uwsgi.ini
place root root 644 /etc/stacklab/placement-uwsgi.ini
place root root 644 /etc/stacklab/glance-uwsgi.ini
place root root 755 /etc/stacklab/nova-api
place keystone keystone 600 /etc/keystone/fernet-keys/0
place keystone keystone 600 /etc/keystone/fernet-keys/1
place keystone keystone 600 /etc/keystone/credential-keys/0
place keystone keystone 600 /etc/keystone/credential-keys/1
place root root 644 /etc/systemd/system/stacklab-bridges.service
place root root 644 /etc/systemd/system/stacklab-mariadb.service
place root root 644 /etc/systemd/system/stacklab-rabbitmq.service
place root root 644 /etc/systemd/system/stacklab-memcached.service
place root root 644 /etc/systemd/system/stacklab-keystone.service
place root root 644 /etc/systemd/system/stacklab-placement.service
place root root 644 /etc/systemd/system/stacklab-glance.service
place root root 644 /etc/systemd/system/stacklab-nova-api.service
place root root 644 /etc/systemd/system/stacklab-nova-conductor.service
place root root 644 /etc/systemd/system/stacklab-nova-scheduler.service
place root root 644 /etc/systemd/system/stacklab-nova-novncproxy.service
place root root 644 /etc/systemd/system/stacklab-neutron-server.service
place root root 644 /etc/systemd/system/stacklab-nova-compute.service
place root root 644 /etc/systemd/system/stacklab-neutron-ovn-metadata-agent.service
place root root 644 /etc/systemd/system/stacklab-gateway.service
place root root 644 /etc/systemd/system/stacklab-controller.target
place root root 644 /etc/systemd/system/stacklab-compute.target
chown keystone:keystone /etc/keystone/fernet-keys /etc/keystone/credential-keys
chmod 0700 /etc/keystone/fernet-keys /etc/keystone/credential-keys

# RabbitMQ and what it is made of, without its plugins; see rabbitmq-env.conf.
install -d /usr/lib/stacklab/rabbitmq/plugins
for application in amqp10_common aten credentials_obfuscation cuttlefish enough gen_batch_server \
    getopt jsx observer_cli osiris ra rabbit rabbit_common rabbitmq_prelaunch ranch recon seshat \
    stdout_formatter syslog sysmon_handler systemd; do
    ln -sfn -t /usr/lib/stacklab/rabbitmq/plugins /usr/lib/rabbitmq/lib/*/plugins/"$application"-[0-9]*
done
# rabbitmqctl itself.
ln -sfn -t /usr/lib/stacklab/rabbitmq /usr/lib/rabbitmq/lib/*/escript

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
ln -sf /etc/systemd/system/stacklab-controller.target /etc/systemd/system/multi-user.target.wants/
ln -sf /etc/systemd/system/stacklab-compute.target /etc/systemd/system/multi-user.target.wants/
# New units are found without it, and to read all of them again takes an emulated node 25 s.
if systemctl show --property=NeedDaemonReload 'stacklab-*' | grep -q '=yes$'; then
    systemctl daemon-reload
fi
# networkd must not give the NIC its address again: br-ex has it.
if systemctl -q is-active systemd-networkd; then
    networkctl reload
fi
