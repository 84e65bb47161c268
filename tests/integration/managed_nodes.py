"""The nodes of a stack under a real systemd or supervisord, with releases that a link points to."""

import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from console.demo.stack import Stack
from tests.support.rollouts import NEW, tune, upgrade
from tests.support.servers.supervisor import Supervisor, running_supervisor
from tests.support.servers.systemd import Systemd, running_systemd
from tests.support.stacks import kill_application

UNIT = """\
[Service]
WorkingDirectory={directory}/%i
EnvironmentFile={directory}/%i/port
ExecStart=/bin/sh -c 'exec {python} -S -E "$$(readlink -f current)/app.py" %i ${{PORT}}'
Restart=always
RestartSec=200ms

[Install]
WantedBy=multi-user.target
"""
PROGRAM = """\
[program:shop-{name}]
directory={directory}/{name}
command=sh -c 'exec {python} -S -E "$(readlink -f current)/app.py" {name} {port}'
"""
SECTIONS = """\
[apps.shop.service]
kind = "{kind}"
name = "{name}"
{more}
[apps.shop.install]
kind = "symlink"
releases = "{directory}/{{node}}/releases"
link = "{directory}/{{node}}/current"

"""
# Not the link in a virtual environment, which may be below the `/tmp` that a systemd of its own does not see.
PYTHON = shlex.quote(str(Path(sys.executable).resolve()))


@contextlib.contextmanager
def units(stack: Stack, folder: Path) -> Iterator[Systemd]:
    """Every node's application is an instance of one template unit; `folder` has no other systemd."""
    with running_systemd(folder, stack.directory) as systemd:
        systemd.write_unit("shop@.service", UNIT.format(directory=stack.directory, python=PYTHON))
        for node in stack.nodes.values():
            (node.directory / "port").write_text(f"PORT={node.port}\n")
            kill_application(node)
        names = [f"shop@{name}.service" for name in stack.nodes]
        systemd.systemctl("enable", "--quiet", *names)
        systemd.systemctl("start", *names)
        configure(stack, "systemd", "shop@{node}.service")
        tune(stack, "apps.shop.access", prefix=systemd.prefix)
        yield systemd


@contextlib.contextmanager
def programs(stack: Stack) -> Iterator[Supervisor]:
    """Every node's application is a program of one supervisord."""
    sections = []
    for name, node in stack.nodes.items():
        kill_application(node)
        sections.append(PROGRAM.format(name=name, port=node.port, python=PYTHON, directory=stack.directory))
    folder = stack.directory / "sv"
    folder.mkdir()
    with running_supervisor(folder, "\n".join(sections)) as supervisor:
        configure(stack, "supervisor", "shop-{node}", f"command = '''{supervisor.command}'''\n")
        yield supervisor


def configure(stack: Stack, kind: str, name: str, more: str = "") -> None:
    """Put this manager and releases with a link in the place of the stack's own sections."""
    head, _, rest = stack.config_path.read_text().partition("[apps.shop.service]\n")
    rest = rest[rest.index("[apps.shop.health]\n") :]
    own = SECTIONS.format(kind=kind, name=name, more=more, directory=stack.directory)
    stack.config_path.write_text(head + own + rest)


async def log_of_a_version_that_dies(stack: Stack) -> list[str]:
    """Upgrade to one that ends at once with a word, and return the lines that its manager has kept."""
    dying = "import sys\nsys.exit('cannot read the configuration')\n"
    (stack.nodes["web1"].directory / "releases" / NEW / "app.py").write_text(dying)
    run = await upgrade(stack)
    assert run.code == 1, run.text
    [log] = [event for event in run.events if event["event"] == "service_log"]
    lines: list[str] = log["lines"]
    return lines
