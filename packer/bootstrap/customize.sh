#!/bin/sh
# mmdebstrap's customize hook ($1: the root): just enough that it boots and lets
# Packer in. All that makes it a node is in ../scripts, the same for every source.
set -eu
root=$1
chroot "$root" useradd -m -s /bin/bash stack
echo 'stack ALL=(ALL) NOPASSWD: ALL' > "$root/etc/sudoers.d/50-stack"
mkdir -p "$root/home/stack/.ssh"
cp "$STACKLAB_BUILD_KEY" "$root/home/stack/.ssh/authorized_keys"
chroot "$root" chown -R stack:stack /home/stack/.ssh
chmod 0700 "$root/home/stack/.ssh"

printf '[Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' \
    > "$root/etc/systemd/network/10-eth0.network"
chroot "$root" systemctl -q enable systemd-networkd.service
# no fsck: the journal does, and a node that it can't help is thrown away
echo '/dev/vda1 / ext4 rw,noatime,discard 0 0' > "$root/etc/fstab"
echo stacklab > "$root/etc/hostname"
printf '127.0.0.1 localhost stacklab\n' > "$root/etc/hosts"
# the builder's name servers are QEMU's own during the build, the lab network's later
echo 'nameserver 10.0.2.3' > "$root/etc/resolv.conf"

# no_timer_check: an emulated CPU that gets no time on a busy host fails the kernel's test of
# the timer, and it panics: "IO-APIC + timer doesn't work!"
mkdir -p "$root/boot/extlinux"
printf 'DEFAULT linux\nPROMPT 0\nTIMEOUT 0\nLABEL linux\n  LINUX /vmlinuz\n  INITRD /initrd.img\n  APPEND %s\n' \
    'root=/dev/vda1 rootfstype=ext4 rw fsck.mode=skip no_timer_check console=ttyS0 net.ifnames=0 biosdevname=0' > "$root/boot/extlinux/extlinux.conf"
