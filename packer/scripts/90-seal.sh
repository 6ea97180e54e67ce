# Nothing of this one machine goes into the image: no key, no identity, no log.
rm -f /etc/ssh/ssh_host_* /var/lib/systemd/random-seed
rm -rf /home/stack/.ssh /root/.ssh /tmp/files
rm -f /var/log/*.log /var/log/wtmp /var/log/btmp /var/log/lastlog
rm -rf /var/log/journal/* /var/lib/cloud /var/cache/apt/*.bin
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id /etc/hostname
rm -f /etc/udev/rules.d/70-persistent-net.rules
[ -d /etc/sysconfig/network-scripts ] && rm -f /etc/sysconfig/network-scripts/ifcfg-e*
sync
fstrim / 2>/dev/null || true
