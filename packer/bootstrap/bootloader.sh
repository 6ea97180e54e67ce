#!/bin/sh
# Makes the file system at 1 MiB of the disk $1 bootable; $2 is an empty directory.
# Run under `unshare --mount`: killed half-way, it leaves neither mount nor loop device.
set -eu
mount -o loop,offset=1048576 "$1" "$2"
extlinux --install "$2/boot/extlinux" >/dev/null
for modules in /usr/lib/syslinux/modules/bios /usr/share/syslinux; do # Debian's, Fedora's
    [ ! -e "$modules/ldlinux.c32" ] || cp "$modules/ldlinux.c32" "$2/boot/extlinux/"
done
umount "$2"
