"""Consul's token is sent in one header only, and is neither in a URL nor in anything written or printed."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from backends.consul.client import Consul
from backends.consul.settings import ConsulSettings
from console.demo.stack import Stack
from tests.support.consul_world import consul_world
from tests.support.rollouts import NEW, OLD, ROLLDECK, Run, rolldeck, started, tune
from tests.support.servers.consul import MASTER, Agent, needs_consul
from tests.support.servers.tcp_listener import listening
from tests.support.terminals import Terminal

WRONG = "99999999-8888-7777-6666-555555555555"
TOKENS = (MASTER, WRONG)


def holding(folder: Path, token: str) -> set[str]:
    """Files in a folder and below that have a token in them, in whatever they are made of."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)) for path in files if token.encode() in path.read_bytes()}


async def values(agent: Agent) -> dict[str, bytes]:
    """All keys that Consul has."""
    found = await agent.ask("GET", "/v1/kv/?recurse=true")
    return {pair["Key"]: base64.b64decode(pair["Value"] or "") for pair in found}


async def debugged(stack: Stack, *arguments: str) -> Run:
    """Run with the wire in the log; what it prints is clean."""
    run = await rolldeck(stack, "--debug", *arguments)
    assert not [token for token in TOKENS if token in run.text], run.text
    return run


def show_console(stack: Stack) -> None:
    """The console as an operator sees it, until it shows a node. Raises TimeoutError."""
    with Terminal([ROLLDECK, "--config", str(stack.config_path), "--debug"], 120, 40) as terminal:
        terminal.until(b"web1", 30)
        for token in TOKENS:
            with pytest.raises(TimeoutError):
                terminal.until(token.encode(), 0.1)


@needs_consul
async def test_a_whole_upgrade_shows_and_keeps_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONSUL_HTTP_TOKEN", raising=False)
    monkeypatch.setenv("OURS", MASTER)
    monkeypatch.setenv("THEIRS", WRONG)
    async with consul_world(tmp_path / "s", acl=True, nodes=2) as (stack, agent):
        tune(stack, "consul", token_env="OURS")
        upgraded = await debugged(stack, "upgrade", "shop", NEW, "--yes", "--json")
        assert upgraded.code == 0, upgraded.text
        page = stack.directory / "rollout.html"
        exported = await debugged(stack, "history", "export", "1", "--output", str(page))
        assert exported.code == 0, exported.text
        await asyncio.to_thread(show_console, stack)

        tune(stack, "consul", token_env="THEIRS")
        refused = await debugged(stack, "upgrade", "shop", OLD, "--yes")
        assert refused.code == 1, refused.text
        assert "permission denied" in refused.text
        assert "ACL not found" in refused.text  # the words of its status 403

        # Killed in the middle: what the journal had not yet tidied up is there to be looked at.
        tune(stack, "consul", token_env="OURS")
        async with started(stack, "--debug", "upgrade", "shop", OLD, "--yes", "--json") as running:
            await running.event("step_started", node="web1", step="start")
            running.process.kill()
            killed = await running.end()
        assert MASTER not in killed.text

        kept = stack.directory / "token"
        kept.touch(mode=0o600)
        kept.write_text(f"{MASTER}\n")
        text = stack.config_path.read_text()
        stack.config_path.write_text(text.replace('token_env = "OURS"', f'token_file = "{kept}"'))
        status = await debugged(stack, "status")
        assert "web1" in status.out

        written = {str(path.relative_to(stack.directory)) for path in stack.directory.rglob("*")}
        assert {"journal.db", "journal.db-wal", "rolldeck.log", "rollout.html", "token"} <= written
        log = (stack.directory / "rolldeck.log").read_text()
        assert '"target":"consul"' in log  # the wire is in it
        assert "renew" in log or "create a session" in log
        assert holding(stack.directory, MASTER) == {"token"}  # so it would be found
        assert holding(stack.directory, WRONG) == set()
        resumed = await debugged(stack, "resume", "shop", "--yes")
        assert resumed.code == 0, resumed.text
        assert holding(stack.directory, MASTER) == {"token"}

        keys = await values(agent)
        assert "rolldeck/shop/lock" in keys
        for token in TOKENS:
            assert not [key for key, value in keys.items() if token.encode() in value]
        assert "agent.json" in holding(agent.folder, MASTER)  # Consul's own configuration
        assert "agent.log" not in holding(agent.folder, MASTER) | holding(agent.folder, WRONG)


# -- the wire ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Recording:
    """Stands in for Consul: writes down every request, and answers what will do.

    Attributes:
        lines: the first of each request.
        headers: of each, as name (in small letters) and value.
    """

    port: int = 0
    lines: list[str] = field(default_factory=list)
    headers: list[list[tuple[str, str]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in rest)]
        length = int(dict(headers).get("content-length", 0))
        self.lines.append(line)
        self.headers.append(headers)
        self.bodies.append(await reader.readexactly(length))
        status, body = self._answer(line)
        head = f"HTTP/1.1 {status}\r\nX-Consul-Index: 7\r\nContent-Length: {len(body)}\r\nConnection: close"
        writer.write(f"{head}\r\n\r\n{body}".encode())
        await writer.drain()

    def _answer(self, line: str) -> tuple[str, str]:
        method, path, _ = line.split(" ")
        if path.startswith("/v1/session/create"):
            return "200 OK", '{"ID": "one"}'
        if path.startswith("/v1/kv/") and method == "GET":
            return "404 Not Found", ""
        return "200 OK", "[]" if method == "GET" else "true"


@asynccontextmanager
async def recording() -> AsyncIterator[Recording]:
    made = Recording()
    async with listening(made.serve) as port:
        made.port = port
        yield made


@pytest.mark.parametrize("place", ["token_env", "token_file"])
async def test_the_token_goes_in_its_header_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", WRONG)  # py-consul would prefer it
    monkeypatch.setenv("OURS", MASTER)
    kept = tmp_path / "token"
    kept.write_text(MASTER)
    os.chmod(kept, 0o600)
    value = {"token_env": "OURS", "token_file": str(kept)}[place]
    async with recording() as there:
        settings = ConsulSettings(address=f"http://127.0.0.1:{there.port}")
        consul = Consul(msgspec.structs.replace(settings, **{place: value}))
        await consul.services("shop", ["live"], "dc1", index=7, wait=1)
        await consul.get("key", index=7, wait=1)
        await consul.list("keys/")
        await consul.put("key", b"1", cas=0)
        session = await consul.begin_session("test", 10, 0)
        await consul.put("key", b"1", acquire=session)
        await consul.renew_session(session)
        await consul.put("key", b"", release=session)
        await consul.end_session(session)
        await consul.delete("keys/", recurse=True)
        await consul.close()
    assert len(there.lines) == 10
    for line, headers, body in zip(there.lines, there.headers, there.bodies, strict=True):
        assert MASTER not in line
        assert "token" not in line.lower()
        assert [name for name, value in headers if MASTER in value] == ["x-consul-token"]
        assert MASTER.encode() not in body
        assert WRONG not in f"{line}{headers}{body!r}"
