"""Services of a real compose project: one gets another tag, and nothing else changes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.errors import Refused
from backends.hosts.local import LocalHost
from backends.installers.compose import ComposeInstall, replace_command
from backends.installers.compose_project import LineEdit
from backends.kinds import default_version, make_installer
from backends.node_state import Presence
from backends.protocols import Installer
from tests.support.servers import docker_engine
from tests.support.servers.docker_engine import IMAGE, POLITE, Docker

MISSING = docker_engine.missing(compose=True)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

HOST = LocalHost("web1")
FILE = """\
version: "3.7"
# The shop
services:
  web:
    image: "{image}"   # pinned
    {rest}
  other:
    image: {image}
    {rest}
"""
REST = (
    f'command: ["sh", "-c", "{POLITE}"]\n    network_mode: host\n    ulimits: {{nofile: 1024, nproc: 1000}}'
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Docker]:
    with docker_engine.docker() as running:
        yield running


@pytest.fixture
def project(engine: Docker, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "shop"
    folder.mkdir()
    file = folder / "compose.yaml"
    file.write_text(FILE.format(image=f"{IMAGE}:1", rest=REST))
    file.chmod(0o640)
    yield file
    engine.remove_all()


def installer(engine: Docker, file: Path, image: str = IMAGE, options: str = "") -> Installer:
    settings = ComposeInstall(
        file=str(file),
        service="web",
        name="shop_web_1",
        image=image,
        command=f"docker-compose --host {engine.address} {options}",
        engine_options=engine.options,
    )
    version = default_version(settings)
    assert version is not None
    return make_installer(settings, version, host=HOST, console=HOST, values={})


def text_of(file: Path) -> str:
    return file.read_text()


def only_file_of(folder: Path) -> tuple[str, int]:
    (file,) = folder.iterdir()
    return file.name, file.stat().st_mode & 0o777


def write(file: Path, text: str) -> None:
    file.write_text(text)


def images(engine: Docker) -> dict[str, str]:
    rows = engine.call("ps", "--all", "--format", "{{.Names}} {{.Image}} {{.State}}").splitlines()
    return dict(sorted(row.split(" ", 1) for row in rows))


async def test_one_service_gets_another_tag(engine: Docker, project: Path) -> None:
    before, web = text_of(project), installer(engine, project)
    assert await web.installed() is None
    await web.install("1")  # nothing to edit, and a container to create
    assert images(engine) == {"shop_web_1": f"{IMAGE}:1 created"}
    await web.install("2")
    assert await web.installed() == "2"
    assert images(engine) == {"shop_web_1": f"{IMAGE}:2 created"}
    assert text_of(project) == before.replace(f'"{IMAGE}:1"', f'"{IMAGE}:2"')
    assert only_file_of(project.parent) == ("compose.yaml", 0o640)
    await web.install("1")
    assert (await web.installed(), text_of(project)) == ("1", before)


async def test_a_tag_that_cannot_be_had_is_put_back(engine: Docker, project: Path) -> None:
    before, web = text_of(project), installer(engine, project)
    await web.install("1")
    assert (await web.check_availability("2")).presence is Presence.THERE
    assert (await web.check_availability("9")).presence is Presence.NOT_KNOWN
    assert (await installer(engine, project, "").check_availability("2")).presence is Presence.THERE
    with pytest.raises(Refused, match=r"install 9: exit status 1: .*connection refused"):
        await web.install("9")
    assert (await web.installed(), text_of(project)) == ("1", before)


async def test_the_tag_in_a_file_of_variables(engine: Docker, project: Path) -> None:
    before = text_of(project).replace(f'"{IMAGE}:1"', f"{IMAGE}:${{TAG}}")
    variables = project.with_name(".env")
    write(project, before)
    write(variables, "OTHER=1/2&3\nTAG=1")
    web = installer(engine, project)
    await web.install("2")
    assert await web.installed() == "2"
    assert (text_of(project), text_of(variables)) == (before, "OTHER=1/2&3\nTAG=2")
    write(variables, "OTHER=1\n")
    found = await web.check_availability("1")
    assert found.presence is Presence.NOT_THERE
    assert str(variables) in found.detail


async def test_other_containers_of_the_service_are_not_touched(engine: Docker, project: Path) -> None:
    """Compose takes all of them together: the other node's would be stopped while it serves."""
    call = ("--file", str(project), "up", "--no-start")
    docker_engine.compose(engine, *call, "--scale", "web=2", "web")
    found = await installer(engine, project).check_availability("2")
    assert found.presence is Presence.NOT_THERE
    assert "the service web has other containers than shop_web_1: shop_web_2;" in found.detail
    docker_engine.compose(engine, *call, "--scale", "web=1", "web")
    assert (await installer(engine, project).check_availability("2")).presence is Presence.THERE


async def test_what_an_override_file_says_is_not_lost(engine: Docker, project: Path) -> None:
    override = project.with_name("compose.override.yaml")
    write(override, 'version: "3.7"\nservices:\n  web:\n    environment: {DB: prod}\n')
    options = f"-f {project} -f {override}"
    docker_engine.compose(engine, *options.split(), "up", "--no-start", "web")
    found = await installer(engine, project).check_availability("2")
    assert found.presence is Presence.NOT_THERE
    assert found.detail.endswith(f"expected in install.command, in this order: {options}")
    web = installer(engine, project, options=options)
    assert (await web.check_availability("2")).presence is Presence.THERE
    await web.install("2")
    assert images(engine) == {"shop_web_1": f"{IMAGE}:2 created"}
    assert engine.call("inspect", "--format", "{{json .Config.Env}}", "shop_web_1") == '["DB=prod"]\n'


async def test_no_image_is_built_under_a_tag_that_cannot_be_had(engine: Docker, project: Path) -> None:
    await installer(engine, project).install("1")
    write(project, text_of(project).replace("# pinned", "# pinned\n    build: ."))
    write(project.with_name("Dockerfile"), f"FROM {IMAGE}:1\n")
    with pytest.raises(Refused, match=r"install 9: .*no-build"):
        await installer(engine, project).install("9")
    assert await installer(engine, project).installed() == "1"


async def test_a_line_that_changed_meanwhile_is_left_alone(engine: Docker, project: Path) -> None:
    before = text_of(project)
    result = await HOST.run(replace_command(LineEdit(str(project), 5, "something else", "x")))
    assert (result.exit_status, text_of(project)) == (1, before)
    assert f"line 5 of {project} is not what was read" in result.stderr
    link = project.with_name("link.yaml")
    os.symlink(project, link)
    text = '    image: "a/b&c\\d"   # 1'
    edit = LineEdit(str(link), 5, before.split("\n")[4], text)
    assert (await HOST.run(replace_command(edit))).ok
    assert os.readlink(link) == str(project)
    assert text_of(project).split("\n")[4] == text
