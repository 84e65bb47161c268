"""Output from a node: version commands, Monit, systemd, container engines and pid files."""

from hypothesis import example
from hypothesis import strategies as st

from backends.command import CommandResult
from backends.health.http import HttpHealth, Page, judge, version_of
from backends.hosts.command_host import MAX_OUTPUT_BYTES
from backends.hosts.output import Capture
from backends.installers.versions import (
    CommandVersion,
    ContainerVersion,
    DpkgVersion,
    FileVersion,
    RpmVersion,
    SymlinkVersion,
    image_tag,
)
from backends.services import monit_output
from backends.services.common import parse_pid
from backends.services.container import ContainerService, ContainerSettings
from backends.services.systemd import SystemdService, SystemdSettings
from tests.fuzz.harness import bounded, finished, fuzzed
from tests.fuzz.texts import anything, digits, grown, json_of, lines_of, mostly, table, text, tree, word
from tests.support.scripted_host import Answer, ScriptedHost

ENDLESS = "9" * 5_000  # Python reads no number of more than 4,300 digits
VERSIONS = (
    CommandVersion(run="shop --version"),
    CommandVersion(run="shop --version", pattern=r"version (\S+)"),
    FileVersion(path="/opt/shop/VERSION"),
    SymlinkVersion(path="/opt/shop/current"),
    DpkgVersion(package="shop"),
    RpmVersion(package="shop"),
    ContainerVersion(name="shop"),
)


@fuzzed(out=anything, err=text, status=st.sampled_from([0, 0, 0, 1, 127, -9]))
def test_a_version_on_the_disk(out: str, err: str, status: int) -> None:
    result = CommandResult("web1", "shop", status, out, err, 0.0)
    for settings in VERSIONS:
        bounded(lambda settings=settings: settings.read(result), len(out))  # type: ignore[misc]
    bounded(lambda: image_tag(out), len(out))


@fuzzed(content=st.one_of(anything, digits, grown(digits)))
@example(content=ENDLESS)
def test_a_pid_file(content: str) -> None:
    bounded(lambda: parse_pid(content), len(content))


_FIELDS = ("status", "monitoring status", "monitoring mode", "pid", "data collected")
_SAID = ("OK", "Not monitored", "Execution failed | Does not exist", "OK - stop pending", "active", "7415")
field = st.builds(
    "  {}{}{}".format,
    *(
        mostly(st.sampled_from(_FIELDS), word),
        st.sampled_from(["    ", " ", "  " * 40]),
        mostly(st.sampled_from(_SAID), st.one_of(digits, word)),
    ),
)


@fuzzed(
    said=st.one_of(
        anything, lines_of(st.one_of(field, st.just("Process 'shop'"), text)).map("Process 'shop'\n{}".format)
    )
)
@example(said=f"Process 'shop'\n  status    OK\n  pid    {ENDLESS}\n")
def test_monit(said: str) -> None:
    def judged() -> object:
        status = monit_output.parse_status(said, "shop")
        return status and monit_output.state_of("web1", status)

    bounded(judged, len(said))


_PROPERTIES = ("ActiveState", "SubState", "MainPID", "LoadState", "Result", "Job", "NeedDaemonReload")
_VALUES = ("active", "inactive", "failed", "running", "not-found", "loaded", "no", "0")


@fuzzed(
    said=st.one_of(
        anything,
        lines_of(
            st.builds(
                "{}={}".format,
                st.sampled_from(_PROPERTIES),
                mostly(st.sampled_from(_VALUES), st.one_of(digits, word)),
            )
        ).map("ActiveState=active\n{}".format),
    )
)
@example(said=f"ActiveState=active\nMainPID={ENDLESS}\n")
def test_systemctl_show(said: str) -> None:
    host = ScriptedHost(lambda _: Answer(stdout=said))
    service = SystemdService(host, SystemdSettings(name="shop.service"), {})
    bounded(lambda: finished(service.state()), len(said))


inspected = table(
    Status=st.sampled_from(["running", "exited", "created", "paused", "strange"]),
    Pid=st.integers(-1, 99),
    ExitCode=st.integers(-1, 300),
    OOMKilled=st.booleans(),
    Error=text,
)


@fuzzed(said=st.one_of(anything, inspected.map(json_of), tree.map(json_of)))
def test_inspect(said: str) -> None:
    host = ScriptedHost(lambda _: Answer(stdout=said))
    service = ContainerService(host, ContainerSettings(name="shop"), {})
    bounded(lambda: finished(service.state()), len(said))


@fuzzed(
    body=st.one_of(anything, tree.map(json_of), grown(st.sampled_from(["[", '{"a":', "[[]]"]))),
    status=st.integers(0, 999),
)
def test_a_page_of_health(body: str, status: int) -> None:
    page = Page(status, body)
    for settings in (
        HttpHealth(url="http://a/", status=status, body="UP", json={"a.b": 1, "0": "x"}),
        HttpHealth(url="http://a/", version_json="a"),
        HttpHealth(url="http://a/", version_json="0.a"),
        HttpHealth(url="http://a/", version_pattern=r"v(\S+)"),
    ):
        bounded(lambda settings=settings: judge(settings, page), len(body))  # type: ignore[misc]
        bounded(lambda settings=settings: version_of(settings, page), len(body))  # type: ignore[misc]


@fuzzed(
    said=st.one_of(anything, st.builds("rolldeck-pid={} {}\n{}".format, digits, digits, text)),
    stderr=st.booleans(),
)
@example(said=f"rolldeck-pid={ENDLESS} 1\n", stderr=False)
def test_output_of_a_command(said: str, stderr: bool) -> None:
    capture = Capture(MAX_OUTPUT_BYTES, track=True)
    sent = said.encode(errors="replace")
    bounded(lambda: capture.feed(sent, stderr=stderr), len(sent))
