#!/bin/sh
# mmdebstrap's essential hook ($1: the root), after ../bootstrap/essential.sh and before the kernel is installed.
set -eu
# The CD-ROM that cloud-init reads hangs on SATA (kcli) or on IDE (virt-lightning). It has to be
# there before cloud-init looks for it, and udev looks at few devices here.
mkdir -p "$1/etc/modules-load.d"
printf 'ahci\nata_piix\nsr_mod\n' > "$1/etc/modules-load.d/stacklab.conf"
