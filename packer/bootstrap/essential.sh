#!/bin/sh
# mmdebstrap's essential hook ($1: the root): before the kernel is installed, so that its initrd
# is made once, and as what this disk needs: tiny-initramfs loads named modules, mounts /dev/vda1
# and starts systemd, in one program. Under emulation initramfs-tools' shell takes 7 s for that.
set -eu
mkdir -p "$1/etc/tiny-initramfs"
printf '%s=%s\n' MICROCODE no AUTO_MODULES no \
    INCLUDE_MODULES virtio_pci,virtio_blk,virtio_net,ext4,crc32c_generic \
    > "$1/etc/tiny-initramfs/tiny-initramfs.conf"
