"""What kolla-ansible makes of globals.yml, passwords.yml and an inventory."""
