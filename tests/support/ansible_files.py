"""Static inventories of Ansible, in which whatever decides what wins is used."""

from pathlib import Path

# What decides is in group_vars and host_vars too, and at every depth.
INI = """\
lone ansible_host=10.9.9.9   # before the first group
second:2022

[zebra]
z[08:11:2].example.com:2222
z08.example.com rolldeck_servers='s1, api/s1'

[web]
w[1:3] ansible_user="quoted"  # a comment
w2 ansible_user=web2 ansible_port='22'

[db]
d1 ansible_user=own

[app:children]
web
mid
alpha

[alpha]
aa
[app]
own1
w3
[mid:children]
db
[app:vars]
ansible_user = app
ansible_port=0x898
domain=example.com
ansible_host={{ inventory_hostname }}.{{ domain }}
[db:vars]
ansible_user=db
rolldeck_port=5432
[alpha:vars]
ansible_user=alpha
ansible_group_priority=10
[all:vars]
ansible_user=everybody
domain=nowhere
[empty]
"""
YAML = """\
all:
  hosts: {b: , a: {ansible_host: 10.0.0.1}, c: }
  vars: {ansible_user: everybody, zone: &zone {ansible_port: 2200}}
  children:
    late:
      hosts: {c: , "n[01:03]": {<<: *zone, rolldeck_address: 10.1.1.1}}
      vars: {ansible_user: late}
    early:
      children:
        inner: {hosts: {n02: {ansible_user: "007"}, i1: {text: !unsafe "{{ x }}"}}}
      hosts: {e1: {rolldeck_servers: [one, two]}}
      vars: {ansible_connection: local}
"""
BESIDE = {
    "group_vars/all/first.yml": "rolldeck_port: 8080\nansible_user: file\n",
    "group_vars/all/second.yml": "rolldeck_port: 8081\n",
    "group_vars/all/.hidden.yml": "rolldeck_port: 1\n",
    "group_vars/mid.yml": "ansible_port: 2301\n",
    "group_vars/late.json": '{"ansible_port": 2302}',
    "group_vars/inner": "ansible_port: 2303\n",
    "host_vars/w1.yml": "ansible_user: hostfile\ninline: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n",
    "host_vars/n02/x.yml": "ansible_port: 2304\n",
}
STATIC = (
    ("hosts.ini", INI, "all app web mid db alpha zebra ungrouped"),
    ("hosts.yml", YAML, "all late early inner ungrouped"),
)
"""Name, text, and groups that have hosts."""


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files below a folder, by their paths in it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
