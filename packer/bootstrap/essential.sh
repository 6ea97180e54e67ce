#!/bin/sh
# mmdebstrap's essential hook ($1: the root): before the kernel is installed, so
# that its initrd is made once, small, and quick to unpack under emulation.
set -eu
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
printf 'MODULES=list\nCOMPRESS=lz4\n' > "$1/etc/initramfs-tools/conf.d/stacklab"
printf 'virtio_pci\nvirtio_blk\nvirtio_net\next4\ncrc32c_generic\n' > "$1/usr/share/initramfs-tools/modules.d/stacklab"
