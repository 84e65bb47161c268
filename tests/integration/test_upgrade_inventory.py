"""An upgrade whose nodes stand in an Ansible inventory, and are reached as that says."""

import shutil
from pathlib import Path

import pytest

from console.demo.stack import Stack
from tests.support.rollouts import NEW, OLD, rolldeck, untouched, upgrade, versions, world

INI = """\
[first]
{first}
[second]
{others}
[shop:children]
first
second
[shop:vars]
ansible_host=127.0.0.1
ansible_user=demo
"""


def ini(stack: Stack) -> str:
    """The world as Ansible would have it; the ssh configuration knows these ports by alias only."""
    first, *others = (
        f"{name} ansible_port={stack.ssh_hosts[name].port} rolldeck_port={node.port}"
        for name, node in stack.nodes.items()
    )
    return INI.format(first=first, others="\n".join(others))


def use(stack: Stack, inventory: str, group: str = "shop") -> None:
    """Put it in the place of `[apps.shop.nodes]`."""
    (stack.directory / "hosts.ini").write_text(inventory)
    head, _, rest = stack.config_path.read_text().partition("[apps.shop.nodes]\n")
    tail = rest.partition("\n[")[2]
    table = f'[apps.shop.inventory]\nkind = "ansible"\npath = "hosts.ini"\ngroup = "{group}"\n'
    stack.config_path.write_text(f"{head}{table}\n[{tail}")


async def test_the_nodes_of_an_ansible_inventory_are_upgraded(tmp_path: Path) -> None:
    async with world(tmp_path / "s", nodes=3) as stack:
        use(stack, ini(stack).replace("web3 ", "# web3 "))
        status = await rolldeck(stack, "status")
        assert status.code == 0, status.text
        plan = await rolldeck(stack, "plan", "shop", NEW)
        assert plan.code == 0, plan.text
        check = await rolldeck(stack, "check", "shop")
        reader = "ansible-inventory" if shutil.which("ansible-inventory") else "Rolldeck's own reader"
        assert f"inventory: {stack.directory / 'hosts.ini'} was read by {reader}\n" in check.out
        run = await upgrade(stack)
        assert run.code == 0, run.text
        assert run.ended["upgraded"] == ["web1", "web2"]
        assert await versions(stack) == {"web1": NEW, "web2": NEW, "web3": OLD}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("ansible_user=demo", "ansible_user={{ who }}"), "hosts.ini: web1.ansible_user: found '{{ who }}'"),
        (("web1 ", "web1 oops "), "hosts.ini: line 2: found 'oops', expected NAME=VALUE behind the host"),
        pytest.param(
            ("[shop:", "[shp:"),
            "hosts.ini: no group 'shop'; did you mean 'shp'? there is: all, first",
            marks=pytest.mark.long,
        ),
    ],
)
async def test_an_inventory_that_is_wrong_is_refused_before_anything_is_touched(
    tmp_path: Path, change: tuple[str, str], problem: str
) -> None:
    async with world(tmp_path / "s", nodes=2) as stack:
        use(stack, ini(stack).replace(*change))
        before = await untouched(stack)
        run = await upgrade(stack)
        assert run.code == 2, run.text
        assert problem in run.err
        assert "Traceback" not in run.text
        assert await untouched(stack) == before
        for command in ("status", "history"):  # which need no nodes
            assert (await rolldeck(stack, command)).code == 0
