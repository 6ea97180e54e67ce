"""A script for the controller that tells why the cloud does not do its work."""

from __future__ import annotations

# As root. It tells: what the services complained of, ports that no compute node has plugged, and
# how far OVN would let a ping go from the first of the tenants' VMs to the second.
CLUES = r"""
complained=' (ERROR|CRITICAL) |returned 0 hosts|Refusing to bind|No valid host'
journalctl --since=-20min --output=cat --no-pager \
    -u stacklab-nova-scheduler -u stacklab-nova-conductor -u stacklab-neutron-server |
    grep -E "$complained" | cut -c1-300 | tail -n 8
ports=$(ovn-nbctl --format=csv --no-headings --data=bare --columns=type,name,addresses \
    list Logical_Switch_Port | sed -n 's/^,//p' | tr ',' ' ')
echo "$ports" | while read -r name _; do
    [ -n "$name" ] || continue
    state=$(ovn-sbctl --bare --columns=up find Port_Binding logical_port="$name")
    [ "$state" = true ] || echo "port $name is plugged on no compute node"
done
# Two lines of: name, MAC address, address.
set -- $(echo "$ports" | head -n 2)
[ $# = 6 ] || exit 0
switch=$(ovn-nbctl lsp-get-ls "$1" | sed 's/.*(\(.*\))/\1/')
echo "ovn-trace of a ping from $3 to $6:"
ovn-trace --summary "$switch" "inport == \"$1\" && eth.src == $2 && ip4.src == $3 &&
    eth.dst == $5 && ip4.dst == $6 && ip.ttl == 64 && icmp4.type == 8" | tail -n 8
"""
