#!/bin/sh
# mmdebstrap's customize hook ($1: the root) of the image that cloud-init configures, after ../bootstrap/customize.sh.
set -eu
root=$1
# Not while Packer builds: it would wait for data that nobody gives it. after.sh lets it run again.
touch "$root/etc/cloud/cloud-init.disabled"
# Its generator looks for a CD-ROM before there can be one, and would switch it off.
echo 'policy: enabled' > "$root/etc/cloud/ds-identify.cfg"
{
    # No look for the metadata servers of clouds, which takes minutes where there is none.
    echo 'datasource_list: [NoCloud, ConfigDrive, None]'
    # The one host key that this sshd uses: others cost seconds under emulation.
    echo 'ssh_genkeytypes: [ed25519]'
} > "$root/etc/cloud/cloud.cfg.d/99-stacklab.cfg"
