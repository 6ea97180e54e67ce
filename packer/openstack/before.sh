#!/bin/sh
# mmdebstrap's essential hook ($1: the root), after ../bootstrap/essential.sh and before most packages.
set -eu
root=$1
divert() {
    chroot "$root" dpkg-divert --local --quiet --no-rename --divert "$2" --add "$1"
}

# A root that is cut off half-way is thrown away: nothing waits until it is on the disk.
echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/stacklab"
# 263 packages would start a Python each to compile their modules, one after the other: in-root.sh
# does it at once.
divert /usr/bin/py3compile /usr/bin/py3compile.distrib
ln -s /bin/true "$root/usr/bin/py3compile"
# An initrd that looks for no volumes is half as large, and this root is on none. Names with a ~
# are none of a hook; one with .distrib would be run all the same.
echo 'BUSYBOX=n' > "$root/etc/initramfs-tools/conf.d/stacklab-openstack"
for file in hooks/iscsi hooks/lvm2 hooks/thin-provisioning-tools scripts/local-top/iscsi scripts/local-bottom/iscsi; do
    divert "/usr/share/initramfs-tools/$file" "/usr/share/initramfs-tools/$file~"
done
