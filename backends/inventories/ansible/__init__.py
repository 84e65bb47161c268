"""Inventories of Ansible: read by `ansible-inventory` where it is installed, else by a reader of our own."""
