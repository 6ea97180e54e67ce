#!/bin/sh
# mmdebstrap's essential hook ($1: the root): before the kernel is installed, so
# that its initrd is made once, small, and quick under emulation: the modules are
# named and the root is /dev/vda1, so there is nothing that a udev in there could find.
set -eu
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
printf 'MODULES=list\nCOMPRESS=lz4\n' > "$1/etc/initramfs-tools/conf.d/stacklab"
printf 'virtio_pci\nvirtio_blk\nvirtio_net\next4\ncrc32c_generic\n' > "$1/usr/share/initramfs-tools/modules.d/stacklab"
for file in hooks/udev scripts/init-top/udev scripts/init-bottom/udev; do
    chroot "$1" dpkg-divert --local --quiet --no-rename --add "/usr/share/initramfs-tools/$file"
    mkdir -p "$1/usr/share/initramfs-tools/$(dirname "$file")"
done
