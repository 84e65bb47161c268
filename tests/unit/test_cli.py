"""The command line as a shell sees it: words and exit codes, on a real HAProxy."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.cli import main
from console.command_line import COMMANDS, EPILOG
from console.exit_codes import ExitCode
from tests.support.console_values import harmless, write
from tests.support.servers.haproxy import haproxy_binaries
from tests.unit.console_shell import Shell, running_shell


@pytest.fixture(scope="module", params=haproxy_binaries()[-1:])
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with running_shell(tmp_path_factory.mktemp("cli"), request.param) as made:
        yield made


def test_help_lists_every_command_and_every_command_has_its_own(shell: Shell) -> None:
    done = shell("--help")
    assert (done.code, done.err) == (0, "")
    for name, (_, text) in COMMANDS.items():
        assert f"  {name} " in done.out
        assert text in done.out
    for name in COMMANDS:
        own = shell(name, "--help")
        assert (own.code, own.err) == (0, ""), name
        assert f"Usage: rolldeck {name} " in own.out
    assert shell("-h").out == done.out


def test_help_names_every_exit_code() -> None:
    for code in ExitCode:
        assert f"{int(code)} " in EPILOG


def test_version(shell: Shell) -> None:
    done = shell("--version")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("rolldeck, version ")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "Commands:"),
        (("stauts",), 2, "No such command 'stauts'; did you mean 'status'? there is: status, check"),
        (("status", "--jsn"), 2, "No such option"),
        (("upgrade", "shop"), 2, "Missing argument 'VERSION'"),
        (("upgrade", "shop", "1.0"), 2, "there is no terminal to ask on: add --yes"),
        (("upgrade", "shop", "1.0", "--yes", "--confirm", "node"), 2, "no terminal to confirm on"),
        (("drain", "shop", "web1"), 2, "there is no terminal to ask on: add --yes"),
        (("weight", "shop", "web1", "--yes"), 2, "Missing option '--to'"),
        (("weight", "shop", "web1", "--to", "257"), 2, "257 is not in the range"),
        (("plan", "shop", "1.0", "--serial", "half"), 2, "found 'half', expected a number or a percentage"),
        (("plan", "shop", "1.0", "--serial", "0"), 2, "found '0', expected at least 1"),
        (("plan", "shop", "1.0", "--serial", "1,,2"), 2, "found '', expected a number"),
        (("plan", "shop", "1.0", "--serial", "²"), 2, "found '²', expected a number"),
        (("plan", "shop", "1 0"), 2, "'1 0' is not a version"),
        (("plan", "shop", "-1.0"), 2, "No such option"),
        (
            ("status", "shp"),
            2,
            "config.toml: apps: no application 'shp'; did you mean 'shop'? there is: gone, other, shop",
        ),
        (("--config", "none.toml", "status"), 2, "none.toml: cannot be read: No such file or directory"),
        (
            ("drain", "shop", "web9", "--yes"),
            3,
            "no changes made: web9: no such node; did you mean 'web2'? there is: web1",
        ),
        (
            ("drain", "other", "one", "--yes", "--override", "onr"),
            2,
            "--override onr: not among the nodes; did you mean 'one'? there is: one",
        ),
        (("check", "gone"), 3, ""),
        (("init", "unix:///nowhere.sock", "--output", "-"), 1, "/nowhere.sock: No such file"),
    ],
)
def test_what_is_wrong_is_said_on_standard_error(
    shell: Shell, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = shell(*arguments)
    assert (done.code, words in done.err) == (code, True), done
    assert "\x1b" not in done.out + done.err
    assert done.out == "" or code == ExitCode.REFUSED


def test_status_of_what_is_well(shell: Shell) -> None:
    done = shell("status", "shop")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("shop   lb1 ● ")
    assert [line.split()[0] for line in lines[1:4]] == ["NODE", "web1", "web2"]
    assert "2 of 2 in rotation" in lines
    assert "\x1b" not in done.out


def test_a_dead_load_balancer_hides_nothing_and_is_no_pass(shell: Shell) -> None:
    done = shell("status")
    assert done.code == 1
    assert [line.split()[:3] for line in done.out.splitlines()[1:]] == [
        ["✗", "gone", "?"],
        ["shop", "2/2", "1.0"],
        ["other", "2/2", "1.0"],
    ]
    assert done.err == "✗ dead: /nowhere.sock: No such file or directory\n"
    lines = [json.loads(line) for line in shell("status", "--json").out.splitlines()]
    assert {line["schema"] for line in lines} == {2}
    assert [line["server"] for line in lines if line["kind"] == "server"] == ["web1", "web2", "one", "two"]
    [dead] = [line for line in lines if line["kind"] == "load_balancer" and not line["reachable"]]
    assert (dead["load_balancer"], "No such file" in dead["error"]) == ("dead", True)


def test_a_plan_shows_commands_and_no_password(shell: Shell) -> None:
    done = shell("plan", "shop", "1.1", "--serial", "50%", SHOP_PASSWORD="hunter2")
    assert done.code == 3, done  # nothing listens where their own health is looked at
    assert "✗ web1, web2: own health fails on every node that is in rotation" in done.out
    assert "shop → 1.1 · 2 of 2 nodes in 2 batches" in done.out
    assert "set server shop/web1 state drain" in done.out
    as_json = shell("plan", "shop", "1.1", "--json", SHOP_PASSWORD="hunter2")
    made = json.loads(as_json.out)
    assert (made["kind"], made["batches"], as_json.code) == ("plan", [["web1"], ["web2"]], 3)
    assert "hunter2" not in done.out + done.err + as_json.out + as_json.err


def test_check_without_an_application_looks_at_all_of_them(shell: Shell) -> None:
    done = shell("check", SHOP_PASSWORD="hunter2")
    assert done.code == 3, done
    lines = done.out.splitlines()
    assert lines[0] == f"configuration: {shell.folder / 'config.toml'}"
    assert [line for line in lines if not line.startswith(" ")][1:] == ["shop:", "other:", "gone:"]
    assert "  ✗ dead: cannot be read: /nowhere.sock: No such file or directory" in lines
    assert lines[-1] == "  gone cannot be upgraded: 2 errors"
    common = [line for line in lines if "no state file" in line]
    assert len(common) == 1, "what two applications have in common is said once"
    one = shell("check", "other", SHOP_PASSWORD="hunter2")
    assert "other cannot be upgraded: 2 errors" in one.out
    assert not any(line.startswith(" ") for line in one.out.splitlines())


def test_check_as_json_is_one_object_for_each_application(shell: Shell) -> None:
    done = shell("check", "--json", SHOP_PASSWORD="hunter2")
    assert done.code == 3, done
    checks = [json.loads(line) for line in done.out.splitlines()]
    assert [(line["schema"], line["kind"]) for line in checks] == [(2, "check")] * 3
    assert [line["application"] for line in checks] == ["shop", "other", "gone"]
    assert all(line["configuration"] == str(shell.folder / "config.toml") for line in checks)
    shop, _, gone = checks
    assert (shop["result"], shop["nodes"], shop["batches"], shop["version"]) == ("refused", 2, 2, "")
    assert {"severity", "subject", "text"} == {key for finding in gone["findings"] for key in finding}
    assert ("error", "dead") in {(finding["severity"], finding["subject"]) for finding in gone["findings"]}
    assert shell("check", "shop", "1.1", "--json").out.count("\n") == 1


def test_check_of_all_exits_with_the_highest_code(tmp_path: Path) -> None:
    broken = "[apps.{name}]\nbackends = ['b']\nservice = {{ kind = 'monit', name = 'x' }}\n"
    text = "[haproxy.lb1]\nsocket = 'unix:///nowhere.sock'\n"
    text += f"[log]\npath = '{tmp_path}/log'\n[journal]\npath = '{tmp_path}/journal.db'\n"
    text += broken.format(name="a") + broken.format(name="b")
    write(tmp_path, text + "nodes = { web1 = {} }\n")
    done = Shell(tmp_path)("check")
    assert done.code == 3, done
    assert "b: could not be checked" in done.out
    assert "apps.b.nodes.web1.address: missing" in done.err
    alone = Shell(tmp_path)("check", "b", "--json")
    assert (alone.code, json.loads(alone.out)["result"]) == (2, "failed")
    assert "missing, and HAProxy does not report it" in json.loads(alone.out)["error"]
    assert Shell(tmp_path)("check", "--limit", "web1").code == 2


def test_changes_by_hand_with_the_guard(shell: Shell) -> None:
    done = shell("drain", "other", "one", "--yes", "--reason", "INC-7: disk")
    assert done.code == 0, done
    assert done.err.startswith("drain: one · 0 sessions now\n  other on lb1: in rotation 2 → 1, floor 1\n")
    assert [line.split()[:4] for line in done.out.splitlines()][1] == ["one", "other", "lb1", "drain"]
    assert shell("status", "other").code == 1
    entries = [json.loads(line) for line in shell("history", "other", "--json").out.splitlines()]
    assert "  reason    INC-7: disk\n" in shell("history", "show", str(entries[0]["entry"])).out
    refused = shell("maint", "other", "two", "--yes")
    assert (refused.code, refused.out) == (3, "")
    assert "refused, no changes made: other on lb1: in rotation 1 → 0, floor 1" in refused.err
    weighed = shell("weight", "other", "one", "--to", "7", "--yes", "--json")
    assert (weighed.code, json.loads(weighed.out)["weight"]) == (0, 7)


def test_a_reason_can_be_required(shell: Shell) -> None:
    settings = (shell.folder / "config.toml").read_text()
    (shell.folder / "asks.toml").write_text(settings + "[apps.shop.rollout]\nrequire_reason = true\n")
    asked = shell("--config", "asks.toml", "drain", "shop", "web1", "--yes")
    assert (asked.code, asked.out) == (3, "")
    assert (
        "refused, no changes made: shop requires a reason (require_reason), and none was given" in asked.err
    )
    upgrade = shell("--config", "asks.toml", "upgrade", "shop", "1.1", "--yes", "--reason", " ")
    assert (upgrade.code, "requires a reason" in upgrade.err) == (3, True)
    hostile = shell("--config", "asks.toml", "drain", "shop", "web1", "--yes", "--reason", "a\x1b[2J")
    assert (hostile.code, "one line of at most 200 printable" in hostile.err) == (2, True)
    weigh = ("--config", "asks.toml", "weight", "shop", "web1", "--to", "1", "--yes")
    assert [shell(*weigh, *reason).code for reason in ((), ("--reason", "INC-8"))] == [3, 0]


def test_completion_for_the_shell(shell: Shell) -> None:
    script = shell(_ROLLDECK_COMPLETE="bash_source")
    assert (script.code, "_rolldeck_completion" in script.out) == (0, True)
    words = shell(_ROLLDECK_COMPLETE="bash_complete", COMP_WORDS="rolldeck ", COMP_CWORD="1").out
    assert [line.split(",")[1] for line in words.splitlines()] == list(COMMANDS)
    options = shell(_ROLLDECK_COMPLETE="bash_complete", COMP_WORDS="rolldeck plan --s", COMP_CWORD="2").out
    assert options.splitlines() == ["plain,--serial", "plain,--sudoers"]


def test_a_defect_of_ours_ends_with_70_and_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: str | None) -> None:
        raise LookupError("odd\x1b[31m")

    monkeypatch.setattr("console.commands.status.find_and_load", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["rolldeck", "--config", "x", "status"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 70
    out, err = capsys.readouterr()
    [report] = tmp_path.iterdir()
    expected = f"rolldeck: bug in Rolldeck, please report: LookupError: odd\\x1b[31m; details in {report}"
    assert (out, err.splitlines()[0]) == ("", expected)
    assert all(harmless(line) for line in err.splitlines())
