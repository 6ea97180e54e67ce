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
