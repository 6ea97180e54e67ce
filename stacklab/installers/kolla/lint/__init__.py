"""Rules for kolla-ansible's globals.yml, passwords.yml and inventory."""
