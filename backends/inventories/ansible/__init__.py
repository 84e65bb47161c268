"""Ansible inventories, read by `ansible-inventory` where it is installed, and else by a reader of our own."""
