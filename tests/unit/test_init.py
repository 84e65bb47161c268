"""`rolldeck init`: what it writes loads, whatever HAProxy calls its parts."""

import asyncio
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings

from backends.model import Backend, Info, Level, Snapshot
from console.command_line import cli
from console.commands import init
from console.config.config_file import load, parse
from console.config.first_configuration import BalancerScan, _toml_key, merge_backends, render_configuration
from tests.support.console_values import HIDDEN, anything, harmless, server
from tests.support.servers.haproxy import haproxy_binaries, haproxy_paths, running_haproxy

SECTIONS = """
backend shop
    server web1 127.0.0.1:8080
    server web.2 127.0.0.1:8080 disabled
    server a:3 127.0.0.1:8081
backend _api.v1
    server s1 127.0.0.1:1
    server s2 127.0.0.1:2
    server s3 unix@/nowhere.sock
backend single
    server only 127.0.0.1:3
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["init", *map(str, arguments)], standalone_mode=False)


@pytest.mark.parametrize("binary", haproxy_binaries())
async def test_of_a_real_haproxy(binary: Path, tmp_path: Path) -> None:
    written = tmp_path / "config.toml"
    async with running_haproxy(tmp_path / "lb", binary, SECTIONS) as haproxy:
        socket = f"unix://{haproxy.socket}"
        done = await asyncio.to_thread(run, socket, "--output", written)
        assert (done.exit_code, done.stdout) == (0, ""), done.output
        assert f"wrote {written}" in done.stderr
        again = await asyncio.to_thread(run, socket, "--output", written)
        assert "exists already; --force replaces it" in str(again.exception)
        one = await asyncio.to_thread(run, socket, "--output", "-", "--backend", "single")
        none = await asyncio.to_thread(run, socket, "--output", "-", "--backend", "nosuch")
        low = await asyncio.to_thread(run, f"unix://{haproxy.user_socket}", "--output", "-")
    config = load(written)
    assert list(config.apps) == ["shop", "_api.v1"]
    shop = config.app("shop")
    assert (shop.backends, shop.port, list(shop.nodes)) == (["shop"], 8080, ["web1", "web.2", "a:3"])
    assert (shop.nodes["a:3"].address, shop.nodes["a:3"].port) == ("127.0.0.1", 8081)
    assert '"web.2" = { address = "127.0.0.1" }   # now maint, MAINT' in written.read_text()
    assert "s3 = {  }   # now ready, no check; address = ? of the machine" in written.read_text()
    assert list(parse(tomllib.loads(one.stdout), "f").apps) == ["single"]
    assert "no backend nosuch; there is: shop, _api.v1, single" in str(none.exception)
    assert "! the socket has level user" in low.stderr
    assert parse(tomllib.loads(low.stdout), "f").app("shop").nodes["web1"].address == "127.0.0.1"


async def test_several_haproxies_and_an_ssh_configuration_are_one_file(tmp_path: Path) -> None:
    first = """
backend shop
    server web1 127.0.0.1:8081
    server web2 127.0.0.1:8082
backend api
    server a1 127.0.0.1:9001
    server a2 127.0.0.1:9002
"""
    second = """
backend shop
    server web1 127.0.0.1:8081
    server second 127.0.0.1:8082
    server web3 127.0.0.1:8083
"""
    written, ssh = tmp_path / "config.toml", tmp_path / "ssh_config"
    ssh.write_text("")
    binary = haproxy_paths()[-1]
    async with (
        running_haproxy(tmp_path / "a", binary, first) as one,
        running_haproxy(tmp_path / "b", binary, second) as two,
    ):
        sockets = [f"unix://{one.socket}", f"unix://{two.socket}"]
        options = ("--ssh-config", ssh, "--output", written)
        done = await asyncio.to_thread(run, *sockets, *options)
        twice = await asyncio.to_thread(run, sockets[0], sockets[0], "--output", "-")
    assert done.exit_code == 0, done.output
    config = load(written)
    assert config.ssh.config == str(ssh)
    assert [settings.socket for settings in config.haproxy.values()] == sockets
    assert config.app("api").haproxy == ["lb1"]
    shop = config.app("shop")
    assert (shop.haproxy, list(shop.nodes)) == ([], ["web1", "web2", "web3"])
    assert shop.nodes["web2"].servers == ["web2", "second"], "one machine with two names"
    assert "! shop: web3 (127.0.0.1:8083) is on lb2 and not on lb1" in done.stderr
    assert "! api is on lb1 alone: written as its `haproxy`" in done.stderr
    assert "twice, expected each once" in getattr(twice.exception, "message", "")


def test_an_ssh_configuration_that_is_not_there(tmp_path: Path) -> None:
    done = run("unix:///x", "--ssh-config", tmp_path / "none", "--output", tmp_path / "config.toml")
    assert "none: cannot be read: No such file or directory" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("socket", "words"),
    [
        ("x", "Invalid value for SOCKET: 'x': expected \"unix:///"),
        ("unix:///nowhere/at/all.sock", "lb1: /nowhere/at/all.sock: No such file or directory"),
        ("tcp://127.0.0.1:1", "lb1: "),
    ],
)
def test_a_socket_that_cannot_be_read(socket: str, words: str, tmp_path: Path) -> None:
    done = run(socket, "--output", tmp_path / "config.toml")
    assert done.exception is not None
    assert words in getattr(done.exception, "format_message", lambda: str(done.exception))()
    assert list(tmp_path.iterdir()) == []


def snapshot(*names: tuple[str, str, str, str]) -> Snapshot:
    """Of (backend, server, address, status)."""
    servers = [server(n, backend=b, address=a, status=s) for b, n, a, s in names]
    backends = tuple(Backend(b, "http", "", "") for b in dict.fromkeys(b for b, *_ in names))
    return Snapshot(Info("lb1", "2.6", 1, 1, False), Level.ADMIN, backends, tuple(servers))


def text_of(snapshot: Snapshot) -> str:
    apps = merge_backends({"lb1": BalancerScan(snapshot)}, [backend.name for backend in snapshot.backends])
    return render_configuration({"lb1": "unix:///x"}, "", apps)


@pytest.mark.parametrize("binary", haproxy_binaries())
def test_a_port_that_haproxy_computes_is_left_out_and_asked_for(binary: Path, tmp_path: Path) -> None:
    sections = (
        "backend shop\n"
        "    server below 127.0.0.1:-1280 check port 23001\n"
        "    server above 127.0.0.1:+1000 check port 23001\n"
        "    server same 127.0.0.1\n"
        "    server own 127.0.0.1:1000\n"
    )

    async def look() -> Result:
        async with running_haproxy(tmp_path / "h", binary, sections) as haproxy:
            arguments = (f"unix://{haproxy.socket}", "--output", tmp_path / "config.toml")
            return await asyncio.to_thread(run, *arguments)

    done = asyncio.run(look())
    assert done.exit_code == 0, done.output
    assert "HAProxy computes the port of below, above, same for each connection" in done.output
    text = (tmp_path / "config.toml").read_text()
    assert text.count("port = ? of the application (HAProxy computes it)") == 3
    [shop] = load(tmp_path / "config.toml").apps.values()
    assert {name: node.port for name, node in shop.nodes.items()} == {
        "below": 0,
        "above": 0,
        "same": 0,
        "own": 1000,
    }
    assert shop.port == 0, "whoever has no port must not get that of the others"


@settings(deadline=None)
@given(anything, anything, anything, anything)
def test_nothing_that_haproxy_says_breaks_out(backend: str, name: str, address: str, status: str) -> None:
    # Replies are decoded from UTF-8, so that no lone surrogate can be in them.
    backend, name, address, status = (
        text.encode(errors="replace").decode() for text in (backend, name, address, status)
    )
    text = text_of(snapshot((backend, name, address, status)))
    assert all(harmless(line) for line in text.split("\n"))
    document = tomllib.loads(text)
    assert list(document) == ["haproxy", "apps"]
    assert list(document["haproxy"]) == ["lb1"]
    [(app, table)] = document["apps"].items()
    assert app == backend
    assert set(table) <= {"backends", "port", "access", "nodes", "service", "install", "health", "rollout"}
    assert table["nodes"] == {name: ({"address": address} if address else {}) | {"port": 8080}}


def test_names_that_nobody_sees_are_escaped_and_say_the_same() -> None:
    text = text_of(
        snapshot((f"sh{HIDDEN}op", f"web\u202e1{HIDDEN}", f"10.0.0.1{HIDDEN}", f"UP{HIDDEN}\x9b2J"))
    )
    assert all(harmless(line) for line in text.split("\n"))
    [(app, table)] = tomllib.loads(text)["apps"].items()
    assert app == f"sh{HIDDEN}op"
    [(name, node)] = table["nodes"].items()
    assert (name, node["address"]) == (f"web\u202e1{HIDDEN}", f"10.0.0.1{HIDDEN}")


def test_what_is_there_is_not_written_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def write(*_: object, **__: object) -> str:
        return "text"

    monkeypatch.setattr(init, "_compose", write)
    precious, written = tmp_path / "precious", tmp_path / "config.toml"
    precious.write_text("precious")
    for there in (precious, tmp_path / "nothing"):  # a link to nothing, too, was written through
        written.symlink_to(there)
        done = run("unix:///x", "--output", written)
        assert "exists already; --force replaces it" in str(done.exception)
        done = run("unix:///x", "--output", written, "--force")
        assert "config.toml is a symbolic link, expected the file itself" in str(done.exception)
        written.unlink()
    assert [file.name for file in tmp_path.iterdir()] == ["precious"]
    assert precious.read_text() == "precious"
    assert run("unix:///x", "--output", written).exit_code == 0
    assert (written.read_text(), written.stat().st_mode & 0o777) == ("text", 0o600)


def test_a_status_with_a_line_break_stays_a_comment() -> None:
    text = text_of(snapshot(("shop", "web1", "10.0.0.1", "UP\n[haproxy.evil]\nsocket = 'tcp://6.6.6.6:1'")))
    assert list(parse(tomllib.loads(text), "f").haproxy) == ["lb1"]


def test_what_cannot_be_a_table_key_is_quoted() -> None:
    assert [_toml_key(key) for key in ("web-1_a", "web.1", "a:1", "", 'a"b\\', "日本")] == [
        "web-1_a",
        '"web.1"',
        '"a:1"',
        '""',
        '"a\\"b\\\\"',
        '"日本"',
    ]
