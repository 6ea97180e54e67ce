"""kolla-ansible."""
