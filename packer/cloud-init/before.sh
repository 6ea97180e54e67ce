#!/bin/sh
# mmdebstrap's essential hook ($1: the root), after ../bootstrap/essential.sh and before the kernel is installed.
set -eu
# The CD-ROM that cloud-init reads hangs on SATA (kcli) or on IDE (virt-lightning). It has to be
# there before cloud-init looks for it, and the initrd has only the modules that are named.
printf 'ahci\nata_piix\nsr_mod\n' >> "$1/usr/share/initramfs-tools/modules.d/stacklab"
