#!/bin/sh
# mmdebstrap's customize hook ($1: the root) of an image with OpenStack, after ../bootstrap/customize.sh:
# what would cost a node minutes under emulation is done here, once, at this machine's own speed.
set -eu
root=$1
limit_s=900
mkdir -m 0755 "$root/bake"
cp "$(dirname "$0")"/* "$root/bake/"
# In a network of its own, MariaDB's address meets no other MariaDB. In a PID namespace of its
# own, nothing of a bake that fails or is killed runs on.
code=0
# shellcheck disable=SC2016 # $1 is the inner shell's
timeout -k 5 "$limit_s" unshare --net --mount --pid --fork --kill-child \
    sh -euc 'mount -t proc proc "$1/proc"; ip link set lo up; exec chroot "$1" sh /bake/in-root.sh' sh "$root" ||
    code=$?
case $code in
    0) rm -rf "$root/bake" ;;
    124 | 137) echo "bake: step all-together failed with exit code $code; it had no end after $limit_s s" ;;
esac
exit "$code"
