#!/bin/sh
# The end of the bake, in the root: nothing starts by itself, and nothing of this one root is kept.
set -eu

# A kit says what runs on which node. What debian-12 has too, stays.
for link in /etc/systemd/system/*.wants/* /etc/systemd/system/*.requires/*; do
    case ${link##*/} in
        ssh.service | getty@tty1.service | remote-fs.target | systemd-*) ;;
        *) rm -f "$link" ;;
    esac
done
# systemd makes units of these, where a package has none
for link in /etc/rc[2-5].d/S*; do
    case ${link##*/S??} in
        dbus | ssh | sudo) ;;
        *) rm -f "$link" ;;
    esac
done

# Each node has to have its own: RabbitMQ makes its cookie when it starts; a kit writes the
# initiator's name for iSCSI. Packer still needs the keys of sshd, and its last script removes them.
rm -f /var/lib/rabbitmq/.erlang.cookie /etc/iscsi/initiatorname.iscsi

# A log that root wrote stops the service that is to go on with it, without a word.
find /var/log -type f -delete
find /var/lib/mysql -name '*.err' -delete
rm -rf /run/mysqld

# their locks are files of all their processes, on one node
for user in nova neutron cinder glance; do
    install -d -o "$user" -g "$user" "/var/lib/$user/lock"
done
