"""Rules for instances.yaml of tf-ansible-deployer."""
