"""Captures the replies in tests/unit/captured/ from every installed HAProxy.

Run `python -m tests.capture_haproxy` when a new version is to be added. Ports and the host's name are
replaced, so that captures say nothing about the machine they come from.
"""

import asyncio
import contextlib
import re
import tempfile
from pathlib import Path

from backends.haproxy import commands
from backends.haproxy.address import HaproxySettings
from backends.haproxy.stats_page import StatsPage
from backends.model import ServerRef
from tests.support.free_ports import free_port
from tests.support.servers.haproxy import RunningHaproxy, haproxy_paths, running_haproxy, series
from tests.support.servers.http_server import Answering, answering

FOLDER = Path(__file__).parent / "unit" / "captured"
APP_PORT, AGENT_PORT = 8080, 8090  # in the captures

SECTIONS = """
resolvers nobody
    nameserver n1 127.0.0.1:1
frontend page
    bind 127.0.0.1:{page}
    stats enable
    stats uri /stats
backend shop
    balance roundrobin
    option httpchk
    cookie SRV insert
    default-server inter 20s fastinter 200ms rise 3 fall 2
    server up 127.0.0.1:{app} check cookie up weight 50
    server half 127.0.0.1:{app} check rise 2 fall 3
    server drained 127.0.0.1:{app} check cookie dr
    server maint 127.0.0.1:{app} check
    server disabled 127.0.0.1:{app} check disabled
    server readied 127.0.0.1:{app} check disabled
    server zero 127.0.0.1:{app} check weight 20
    server unchecked 127.0.0.1:{app}
    server follower 127.0.0.1:{app} track shop/maint
    server agent 127.0.0.1:{app} check agent-check agent-port {agent} agent-inter 200ms
    server silenced 127.0.0.1:{app} check agent-check agent-port {agent} agent-inter 200ms
    server agent-only 127.0.0.1:{app} agent-check agent-port {agent} agent-inter 200ms
    server dead 127.0.0.1:1 check inter 100ms
    server dead.drained 127.0.0.1:1 check inter 100ms
    server ramp 127.0.0.1:{app} check slowstart 600s weight 100
    server BACKEND 127.0.0.1:{app} check backup
    server six [::1]:{app} disabled
    server file unix@/nowhere
    server unresolved nosuch.invalid:80 check resolvers nobody init-addr none
    server unhealthy 127.0.0.1:{app} check
backend tcp
    mode tcp
    balance static-rr
    server t1 127.0.0.1:{app} check
backend empty
"""
HELD = """
frontend web
    bind 127.0.0.1:{web}
    bind unix@{folder}/web.sock
    use_backend other if {{ path_beg /slow/other }}
    default_backend shop
frontend raw
    mode tcp
    bind 127.0.0.1:{raw}
    bind ::1:{raw}
    default_backend tcp
backend shop
    server web1 127.0.0.1:{app}
backend other
    server web1 127.0.0.1:{app}
backend tcp
    mode tcp
    server t1 127.0.0.1:{app}
"""
WRITES = (
    "set server shop/drained state drain",
    "set server shop/maint state maint",
    "set server shop/readied state ready",
    "set server shop/dead.drained state drain",
    "set server shop/zero weight 0",
    "disable agent shop/silenced",
    "disable health shop/unhealthy",
    "set server shop/half state maint",
    "set server shop/ramp state maint",
)
LAST = "set server shop/half state ready; set server shop/ramp state ready"


async def _settle(haproxy: RunningHaproxy) -> None:
    for line in WRITES:
        await haproxy.ask(line)
    async with asyncio.timeout(20):
        while True:
            stat = await haproxy.ask("show stat shop 4 -1")
            settled = "L7OK,200" in stat and stat.count("L4CON") == 2 and "via agent : up" in stat
            if settled and stat.count(",UP,") >= 5 and stat.count(",DOWN,") == 2:
                break
            await asyncio.sleep(0.1)
    await haproxy.ask(LAST)


async def _capture(binary: Path, answers: Answering) -> None:
    page = free_port()
    sections = SECTIONS.format(page=page, app=answers.app_port, agent=answers.agent_port)
    with tempfile.TemporaryDirectory() as folder:
        async with running_haproxy(Path(folder), binary, sections) as haproxy:
            await _settle(haproxy)
            line = commands.SEPARATOR.join(commands.snapshot())
            replies = {"admin": await haproxy.ask(line)}
            haproxy.folder.joinpath("admin.sock").unlink()
            haproxy.folder.joinpath("user.sock").rename(haproxy.folder / "admin.sock")
            replies["user"] = await haproxy.ask(line)
            settings = HaproxySettings(stats_url=f"http://127.0.0.1:{page}/stats")
            replies["page"] = await StatsPage("lb1", settings).fetch()
    for kind, text in replies.items():
        text = text.replace(str(answers.app_port), str(APP_PORT))
        text = text.replace(str(answers.agent_port), str(AGENT_PORT))
        text = re.sub(r"(?mi)^(node|description): .*$", r"\1: lb1", text)
        (FOLDER / f"{series(binary)}-{kind}.txt").write_text(text)


async def _capture_sessions(binary: Path, answers: Answering) -> None:
    web, raw = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        sections = HELD.format(web=web, raw=raw, app=answers.app_port, folder=folder)
        async with running_haproxy(Path(folder), binary, sections) as haproxy:
            with contextlib.ExitStack() as ends:
                for host, port, path in (
                    ("127.0.0.1", web, "/slow"),
                    ("127.0.0.1", web, "/slow/other"),
                    ("127.0.0.1", raw, "/slow"),
                    ("::1", raw, "/slow"),
                    (f"{folder}/web.sock", 0, "/slow"),
                ):
                    opening = (
                        asyncio.open_connection(host, port) if port else asyncio.open_unix_connection(host)
                    )
                    _, writer = await opening
                    ends.callback(writer.close)
                    writer.write(f"GET {path} HTTP/1.1\r\nHost: lb1\r\n\r\n".encode())
                    await asyncio.sleep(1.1)  # so that each has an age of its own
                text = await haproxy.ask(commands.sessions(ServerRef("lb1", "shop", "web1")))
    (FOLDER / f"{series(binary)}-sessions.txt").write_text(text)


async def main() -> None:
    async with answering() as answers:
        for binary in haproxy_paths():
            await _capture(binary, answers)
            await _capture_sessions(binary, answers)


if __name__ == "__main__":
    asyncio.run(main())
