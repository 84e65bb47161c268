"""Units of a real systemd: what the manager says, and what stands in the way of a rollout."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from backends.command import Command
from backends.errors import PermissionDenied, Refused, UnreadableReply
from backends.hosts.local import LocalHost
from backends.node_state import Activity
from backends.services.systemd import SystemdService, SystemdSettings
from backends.services.systemd_unit import NOT_ALLOWED
from tests.support.free_ports import free_port
from tests.support.servers.systemd import ENDED_BY_OOMD, Systemd, needs_systemd, running_systemd
from tests.support.systemd_units import reached, service, wrote
from tests.support.wait import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_systemd

INSTALL = "[Install]\nWantedBy=multi-user.target\n"
SLEEPS = "ExecStart=/usr/bin/sleep 1000\n"
FAILS = (
    "ExecStart=/bin/sh -c '[ ! -e /run/good ] || exec sleep 9; echo cannot read the configuration; exit 3'\n"
)
ABOUT = "UNIT=real.service\n"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def systemd(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Systemd]:
    folder: Path = tmp_path_factory.mktemp("systemd")
    units = {
        "good.service": f"[Service]\n{SLEEPS}Restart=always\nRestartSec=100ms\n{INSTALL}",
        "app@.service": f"[Service]\n{SLEEPS}{INSTALL}",
        r"app\x2done.service": f"[Service]\n{SLEEPS}",
        "hangs.service": "[Service]\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'\n"
        "TimeoutStopSec=1\n",
        "fails.service": f"[Service]\n{FAILS}Restart=on-failure\nRestartSec=10ms\n",
        "flaps.service": "[Service]\nExecStart=/bin/sh -c 'sleep 0.1; exit 3'\n"
        "Restart=always\nRestartSec=60\n",
        "absent.service": "[Service]\nExecStart=/opt/absent/java -jar shop.jar\n",
        "slow.service": "[Service]\nType=notify\nNotifyAccess=all\n"
        "ExecStart=/bin/sh -c 'sleep 1; systemd-notify --ready; exec sleep 1000'\n",
        "stays.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
        "leaves.service": "[Service]\nExecStart=/bin/sh -c 'sleep 99 & echo $$! >/run/left; exec sleep 99'\n"
        "KillMode=process\n",
        "again.service": "[Service]\nExecStart=/bin/sh /run/again\nRestart=always\nRestartSec=10ms\n",
        "hungry.service": "[Service]\nExecStart=/usr/bin/python3 -S -E /run/hungry.py\n",
        "once.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
        "listens.socket": f"[Socket]\nListenStream=127.0.0.1:{port}\n",
        "listens.service": f"[Service]\n{SLEEPS}{INSTALL}",
        "parent.service": f"[Unit]\nWants=worker.service\n[Service]\n{SLEEPS}Restart=always\n{INSTALL}",
        "upheld.service": f"[Service]\n{SLEEPS}",
        "upholds.service": f"[Unit]\nUpholds=upheld.service\n[Service]\n{SLEEPS}",
        "changes.service": f"[Service]\n{SLEEPS}[Install]\nWantedBy=basic.target\n",
        "real.service": "[Service]\nExecStart=/bin/sh -c 'echo cannot open the database; exit 3'\n"
        "[Install]\nAlias=nick.service\n",
        "worker.service": f"[Unit]\nPartOf=parent.service\n[Service]\n{SLEEPS}",
        "child.service": f"[Unit]\nBindsTo=parent.service\nAfter=parent.service\n[Service]\n{SLEEPS}",
    }
    with running_systemd(folder) as booted:
        for name, text in units.items():
            booted.write_unit(name, text)
        booted.systemctl("daemon-reload")
        yield booted


@pytest.mark.parametrize("name", ["good.service", "good", "app@1.service", r"app\x2done"])
async def test_it_is_started_and_stopped(systemd: Systemd, name: str) -> None:
    unit = service(systemd, name)
    assert await unit.obstacles() == ()
    await unit.start()
    assert (await reached(unit, Activity.RUNNING)).pid
    await unit.stop()
    assert (await reached(unit, Activity.STOPPED)).pid is None


async def test_a_stop_that_hangs_is_waited_for(systemd: Systemd) -> None:
    unit = service(systemd, "hangs")
    await unit.start()
    pid = (await reached(unit, Activity.RUNNING)).pid
    await unit.stop()
    state = await reached(unit, Activity.CHANGING, "deactivating (stop-sigterm)")
    assert (state.pid, state.stopping) == (pid, True)
    assert (await reached(unit, Activity.FAILED, "result timeout")).pid is None


async def test_a_good_version_starts_at_once_after_one_that_used_up_its_starts(systemd: Systemd) -> None:
    """Otherwise the way back would fail by StartLimitBurst, as the version that died has used it up."""
    unit = service(systemd, "fails")
    await unit.start()
    await reached(unit, Activity.FAILED)
    assert await wrote(unit, "cannot read the configuration")
    systemd.run("touch", "/run/good")
    await unit.start()
    await reached(unit, Activity.RUNNING)


async def test_a_unit_file_that_the_install_changed_is_read_before_the_start(systemd: Systemd) -> None:
    """Otherwise systemd starts what the old one says, which may be the old version."""
    systemd.systemctl("enable", "changes")
    systemd.systemctl("daemon-reload")  # from now on basic.target keeps the unit loaded
    unit = service(systemd, "changes")
    await unit.start()
    await reached(unit, Activity.RUNNING)
    await unit.stop()
    await reached(unit, Activity.STOPPED)
    systemd.write_unit("changes.service", "[Service]\nExecStart=/usr/bin/sleep 2000\n")
    await unit.start()
    pid = (await reached(unit, Activity.RUNNING)).pid
    assert systemd.run("ps", "-o", "args=", "-p", str(pid)) == "/usr/bin/sleep 2000\n"


async def test_a_program_that_is_not_there(systemd: Systemd) -> None:
    """The application has written nothing: why it was not started is in systemd's own words."""
    unit = service(systemd, "absent")
    await unit.start()
    await reached(unit, Activity.FAILED)
    assert await wrote(unit, "/opt/absent/java: No such file")


async def test_one_that_is_killed_for_lack_of_memory(systemd: Systemd) -> None:
    """It wrote nothing: why it ended is in systemd's own words, and not in those of the version before."""
    unit = service(systemd, "hungry")
    systemd.run("sh", "-c", "cat >/run/hungry.py", text="print('the version before')")
    await unit.start()
    assert await wrote(unit, "the version before")
    await reached(unit, Activity.STOPPED)
    systemd.run("sh", "-c", "cat >/run/hungry.py", text=ENDED_BY_OOMD)
    await unit.start()
    assert (await reached(unit, Activity.FAILED)).detail == "failed (failed), result oom-kill"
    assert await wrote(unit, "oom-kill")


async def test_one_that_was_started_again_and_has_written_nothing_yet(systemd: Systemd) -> None:
    """The run before has ended and says why, and the version before is not listened to."""
    unit = service(systemd, "again")
    systemd.run("sh", "-c", "cat >/run/again", text="echo the version before; exec sleep 1000")
    await unit.start()
    assert await wrote(unit, "the version before")
    await unit.stop()
    await reached(unit, Activity.STOPPED)
    systemd.run("sh", "-c", "cat >/run/again", text="echo 'exec sleep 1000' >/run/again; echo why; exit 3")
    await unit.start()

    again = ("show", "--property=NRestarts", "--value", "again")
    await until(lambda: systemd.systemctl(*again) == "1\n")
    await reached(unit, Activity.RUNNING)
    assert await wrote(unit, "why")
    assert await unit.last_lines() == ("why",)


async def test_a_stop_that_kills_only_the_main_process(systemd: Systemd) -> None:
    """systemd calls it stopped: only the port would tell, so it is said before."""
    unit = service(systemd, "leaves")
    await unit.start()
    await reached(unit, Activity.RUNNING)
    await until(lambda: is_left(systemd))
    assert any("KillMode=process" in caveat for caveat in await unit.caveats())
    await unit.stop()
    assert (await reached(unit, Activity.STOPPED)).pid is None
    assert await is_left(systemd)


async def is_left(systemd: Systemd) -> bool:
    pid = await LocalHost("web1", prefix=systemd.prefix).run(Command(("cat", "/run/left")))
    return pid.ok and await LocalHost("web1", prefix=systemd.prefix).alive(int(pid.stdout))


async def test_one_that_flaps_is_being_retried(systemd: Systemd) -> None:
    unit = service(systemd, "flaps")
    await unit.start()
    assert (await reached(unit, Activity.CHANGING, "auto-restart")).retrying
    await unit.stop()
    await reached(unit, Activity.STOPPED)


async def test_a_start_that_is_notified_is_changing_until_then(systemd: Systemd) -> None:
    unit = service(systemd, "slow")
    await unit.start()
    await reached(unit, Activity.CHANGING)
    await reached(unit, Activity.RUNNING)


async def test_oneshots(systemd: Systemd) -> None:
    stays = service(systemd, "stays")
    await stays.start()
    assert (await reached(stays, Activity.RUNNING)).pid is None
    assert await stays.obstacles() == ()
    assert any("Type=oneshot" in caveat for caveat in await stays.caveats())
    await stays.stop()
    await reached(stays, Activity.STOPPED)
    [obstacle] = await service(systemd, "once").obstacles()
    assert "Type=oneshot without RemainAfterExit=yes" in obstacle


async def test_a_socket_of_systemd_keeps_the_port_open(systemd: Systemd, port: int) -> None:
    unit = service(systemd, "listens", port)
    assert await unit.obstacles() == ()
    systemd.systemctl("start", "listens.socket")
    [obstacle] = await unit.obstacles()
    assert f"listens.socket keeps port {port} open while listens is stopped" in obstacle
    other = service(systemd, "listens", port + 1)
    assert await other.obstacles() == ()
    assert any("listens.socket starts its unit too" in caveat for caveat in await other.caveats())


async def test_what_is_bound_to_it_stops_with_it(systemd: Systemd) -> None:
    unit = service(systemd, "parent")
    systemd.systemctl("enable", "parent")
    systemd.systemctl("start", "child")
    assert await unit.caveats() == (
        "what stops with its unit, and is not started again with it: child.service",
        "what stops with its unit, and is started again with it: worker.service",
    )
    await unit.stop()
    for other in ("child", "worker"):
        await reached(service(systemd, other), Activity.STOPPED)
    await unit.start()
    await reached(service(systemd, "worker"), Activity.RUNNING)
    assert (await service(systemd, "child").state()).activity is Activity.STOPPED


async def test_one_that_systemd_starts_again_at_once(systemd: Systemd) -> None:
    unit = service(systemd, "upheld")
    await unit.start()
    first = (await reached(unit, Activity.RUNNING)).pid
    assert await unit.obstacles() == ()
    systemd.systemctl("start", "upholds")
    [obstacle] = await unit.obstacles()
    assert "upholds.service upholds upheld (Upholds=): systemd would start it again" in obstacle
    await unit.stop()

    async def is_back() -> bool:
        return (await unit.state()).pid not in (first, None)

    await until(is_back)


async def test_what_a_reboot_may_meet(systemd: Systemd) -> None:
    assert await service(systemd, r"app\x2done").caveats() == (
        "its unit is static: systemd would not start it after a reboot; its unit file has no [Install]"
        " section",
        "its unit has Restart=no: systemd would not start it again when it dies",
    )
    [found] = await service(systemd, "good").caveats()
    assert "its unit is disabled: systemd would not start it after a reboot" in found
    systemd.systemctl("enable", "good")
    assert await service(systemd, "good").caveats() == ()
    systemd.run("sh", "-c", "echo >>/etc/systemd/system/good.service")
    [found] = await service(systemd, "good").caveats()
    assert "its start after the upgrade first runs systemctl daemon-reload" in found


async def test_one_that_is_masked_or_missing(systemd: Systemd) -> None:
    systemd.systemctl("mask", "masked.service")
    masked = service(systemd, "masked")
    [obstacle] = await masked.obstacles()
    assert "the unit masked is masked" in obstacle
    with pytest.raises(Refused, match="masked"):
        await masked.start()
    missing = service(systemd, "missing")
    with pytest.raises(Refused, match="systemd has no unit missing"):
        await missing.state()
    with pytest.raises(Refused, match="not found"):
        await missing.start()
    assert await missing.last_lines() == ()
    with pytest.raises(UnreadableReply, match="neither a valid invocation ID nor unit name"):
        await service(systemd, "app@.service").state()


async def test_the_last_lines_of_one_that_is_called_by_an_alias(systemd: Systemd) -> None:
    systemd.systemctl("enable", "real")
    unit = service(systemd, "nick")
    await unit.start()
    await reached(unit, Activity.FAILED)
    assert await wrote(unit, "cannot open the database")


async def test_its_log_is_followed(systemd: Systemd) -> None:
    systemd.systemctl("enable", "real")
    unit, host = service(systemd, "nick"), LocalHost("web1", prefix=systemd.prefix)
    await unit.start()
    source = await unit.log_source(10, follow=True)
    assert source.name == "journal of real.service"
    found: list[str] = []
    async with asyncio.timeout(30), host.stream(source.command) as stream:
        while not any("cannot open the database" in line for line in found):
            found += await stream.read_lines()
        await unit.start()
        found = []
        while not any("cannot open the database" in line for line in found):
            found += await stream.read_lines()
        # As a child of systemd that has ended before journald looks of which unit it is; no other user may.
        send = ("logger", "--journald")
        systemd.run("setpriv", "--reuid=65534", "--clear-groups", *send, text=f"{ABOUT}MESSAGE=of a user\n")
        systemd.run(*send, text=f"{ABOUT}MESSAGE=of root\n")
        while not any("of root" in line for line in found):
            found += await stream.read_lines()
        assert not any("of a user" in line for line in found)
    assert systemd.run("sh", "-c", "pgrep journalctl || echo none").strip() == "none"


async def test_polkit_may_refuse_who_is_not_root(systemd: Systemd) -> None:
    nobody = f"{systemd.prefix} setpriv --reuid=65534 --regid=65534 --clear-groups"
    unit = SystemdService(LocalHost("web1", prefix=nobody), SystemdSettings(name="good"), {})
    assert NOT_ALLOWED in await unit.caveats()
    assert NOT_ALLOWED not in await service(systemd, "good").caveats()
    with pytest.raises(PermissionDenied, match="Interactive authentication required"):
        await unit.stop()


async def test_the_journal_is_empty_for_whoever_may_not_read_it(systemd: Systemd) -> None:
    nobody = f"{systemd.prefix} setpriv --reuid=65534 --regid=65534 --clear-groups"
    unit = SystemdService(LocalHost("web1", prefix=nobody), SystemdSettings(name="fails"), {})
    assert await unit.last_lines() == ()
    source = await unit.log_source(10, follow=False)
    async with LocalHost("web1", prefix=nobody).stream(source.command) as stream:
        while await stream.read_lines():
            pass
        assert (stream.exit_status, "insufficient permissions" in stream.last_line) == (1, True)
