"""OpenSDN by tf-ansible-deployer."""
