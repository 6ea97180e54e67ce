#!/bin/sh
# mmdebstrap's essential hook ($1: the root), after ../bootstrap/essential.sh and before most packages.
set -eu
divert() {
    chroot "$1" dpkg-divert --local --quiet --no-rename --add "$2"
}

# 263 packages would start a Python each to compile their modules, one after the other: in-root.sh
# does it at once.
divert "$1" /usr/bin/py3compile
ln -s /bin/true "$1/usr/bin/py3compile"
# An initrd that looks for no volumes is half as large, and this root is on none.
echo 'BUSYBOX=n' > "$1/etc/initramfs-tools/conf.d/stacklab-openstack"
for file in hooks/iscsi hooks/lvm2 hooks/thin-provisioning-tools scripts/local-top/iscsi scripts/local-bottom/iscsi; do
    divert "$1" "/usr/share/initramfs-tools/$file"
done
