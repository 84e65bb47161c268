"""One row for each machine over two real backends, by keys: switch, keep the cursor, act on all of a node."""

from pathlib import Path

from tests.console.real_console import Driver, console_stack, drive
from tests.support.rollouts import DRAIN, say, states
from widgets.table.widget import ServerTable


async def admins(at: Driver, node: str) -> set[tuple[str, str, int]]:
    """What HAProxy itself says was decided about a node, by load balancer and backend."""
    return {
        (instance, backend, servers[node].admin)
        for backend in at.console_stack.stack.backends
        for instance, servers in (await states(at.console_stack.stack, backend)).items()
    }


def rows(at: Driver) -> list[str]:
    """The lines of the table that are a server or a node."""
    table = at.main.query_one(ServerTable)
    lines = [table.render_line(y).text for y in range(1, table.size.height)]
    return [line for line in lines if "web" in line]


async def test_v_shows_machines_and_d_drains_one_in_all_of_its_backends(tmp_path: Path) -> None:
    async with console_stack(tmp_path, further_backends=("api",)) as here, drive(here) as at:
        table = at.main.query_one(ServerTable)
        assert [line.split()[1] for line in rows(at)] == ["api", "shop", "api", "shop"]
        await at.press("end", "x")
        assert table.cursor_key == ("shop", "web2")
        await at.press("v")
        await at.sees("nodes up 2")
        assert table.cursor_key == ("", "web2")
        assert table.marked == {("", "web2")}
        assert len(rows(at)) == 2
        assert "BACKEND" not in at.text, "all machines are in the same backends"
        await at.press("d")
        await at.sees("Drain web2?", *(f"{be} on {lb}" for be in ("api", "shop") for lb in ("lb1", "lb2")))
        await at.sees("floor 1")
        await at.press("right", "enter")
        await at.until(lambda: "read back: web2 on lb1: drain" in at.said)
        assert await admins(at, "web2") == {
            (lb, be, DRAIN) for lb in ("lb1", "lb2") for be in ("shop", "api")
        }
        assert {admin for *_, admin in await admins(at, "web1")} == {0}
        await at.sees("nodes up 1", "drain 1")
        await at.until(lambda: table.cursor_key == ("", "web2"))
        await at.press("v")
        await at.sees("servers up 2", "drain 2")
        assert table.cursor_row is not None
        assert table.cursor_row.node == "web2", "the cursor is on the same machine"


async def test_a_node_that_is_out_of_one_backend_says_which(tmp_path: Path) -> None:
    async with console_stack(tmp_path, further_backends=("api",)) as here, drive(here) as at:
        await at.press("v")
        await say(here.stack, "set server api/web1 state maint")
        await at.sees("✗✗ maint in api", "mixed")
        await say(here.stack, "set server api/web1 state ready", "lb1")
        await at.sees("✓✗ maint in api on lb2")
        await at.press("b", "b")  # shop, then api: it stands in both
        assert len(rows(at)) == 2
        await at.press("exclamation_mark")
        await at.until(lambda: len(rows(at)) == 1)


async def test_o_and_a_click_on_a_title_order_the_rows(tmp_path: Path) -> None:
    async with console_stack(tmp_path) as here, drive(here) as at:
        await at.press("o")
        await at.sees("NODE▾")
        assert [line.split()[0].lstrip("▸") for line in rows(at)] == ["web1", "web2"]
        await at.press("O")
        await at.sees("NODE▴")
        assert [line.split()[0].lstrip("▸") for line in rows(at)] == ["web2", "web1"]
        await at.pilot.click(ServerTable, offset=(2, 0))
        await at.sees("NODE▾")
        titles = at.main.query_one(ServerTable).render_line(0).text
        await at.pilot.click(ServerTable, offset=(titles.index("SESS"), 0))
        await at.sees("SESS▾")
