# In the machine that Packer has booted, before 90-seal.sh: here cloud-init makes a machine a node, not the seed.
# 30-lean.sh has switched it off, as it does in images that have cloud-init only to let Packer in.
rm -f /etc/cloud/cloud-init.disabled
for unit in cloud-init-local cloud-init cloud-config cloud-final; do
    rm -f "/etc/systemd/system/$unit.service"
done
# It would wait seconds for a second disk, which these nodes do not have.
systemctl -q disable stacklab-seed.service
