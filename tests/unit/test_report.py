"""The report: one file of HTML that is well formed, needs nothing else, and obeys nobody."""

import html
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from msgspec import structs

from console.report.report import render_report
from orchestrator.events.events import Record
from orchestrator.events.judgement import VerdictChanged
from orchestrator.events.steps import STEPS
from orchestrator.journal.entry_summary import EntrySummary
from orchestrator.journal.store import Journal
from tests.support.console_values import harmless
from tests.support.verdicts import BAD, BLIND, verdicts
from tests.unit import journals
from tests.unit.test_history import Rolldeck, path, rolldeck
from tests.unit.test_history_hostile import NASTY, write_hostile
from tests.unit.test_step_table import added_step

__all__ = ["path", "rolldeck"]  # fixtures

pytestmark = pytest.mark.usefixtures("local_time")

ROOT = Path(__file__).parents[2]
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
VOID = {"meta", "br", "hr"}
KNOWN = {
    *("html", "head", "meta", "title", "style", "body", "main", "section", "h1", "h2", "h3", "p", "div"),
    *("span", "strong", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "code"),
    *("pre", "details", "summary", "svg", "rect", "line", "path", "text"),
}


class Reader(HTMLParser):
    """Reads a page as a browser would, and refuses what it should not have."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.opened: list[str] = []
        self.seen: list[str] = []
        self.texts: list[str] = []
        self.feed(source)
        self.close()
        assert self.opened == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in KNOWN, tag
        self.seen.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (name, value)
            assert name not in ("src", "href", "style", "id"), (name, value)
        if tag not in VOID and self.get_starttag_text() is not None:
            if not (self.get_starttag_text() or "").endswith("/>"):
                self.opened.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.opened:
            self.texts.append(data)


def report(path: Path, entry: int) -> str:
    with Journal(path, read_only=True) as journal:
        found = journal.entry(entry)
        assert found is not None
        return render_report(EntrySummary.of(journal, found), list(journal.records(entry)))


def test_a_whole_report(path: Path) -> None:
    records = journals.with_traffic(journals.troubled(), errors=3)
    source = report(path, journals.write(path, records, follows=7))
    reader = Reader(source)
    words = "".join(reader.texts)
    for part in (
        "shop: upgrade 1.0 → 2.0",
        "aborted by ann: at web2 · 1:05",
        "120,345 requests, 3 errors (5xx only), in 1:01",
        "rolldeck ready shop web2",
        "paused by ann: lunch",
        "waited 5.0 s for: baking",
        "warning: lb1: its clock is late",
        "set server shop/web1 state maint",
    ):
        assert part in words
    assert reader.seen.count("details") == 1
    assert "prefers-color-scheme: dark" in source
    assert POLICY in source


def test_why_it_was_done(path: Path) -> None:
    records = journals.numbered(journals.started(reason="INC-7: disk"))
    words = "".join(Reader(report(path, journals.write(path, records))).texts)
    assert "ReasonINC-7: disk" in "".join(words.split("\n"))


def test_the_picture_has_a_bar_for_each_step_and_marks(path: Path) -> None:
    source = report(path, journals.write(path, journals.troubled()))
    picture = source[source.index("<svg") : source.index("</svg>")]
    for step, times in (("drain", 3), ("stop", 3), ("install", 3), ("start", 3)):
        assert len(re.findall(f'<rect class="{step}( idle)?"', picture)) == times
    assert len(re.findall('<rect class="verify"', picture)) == 3
    assert len(re.findall('<rect class="verify idle"', picture)) == 1  # the bake
    assert picture.count('<path class="failed"') == 2
    assert picture.count('<rect class="paused"') == 1
    for name in ("web1", "web2", "web3"):
        assert f"<title>{name}</title>{name}</text>" in picture
    for number in re.findall(r'(?:x|width)="([-0-9.]+)"', picture):
        assert 0 <= float(number) <= 1100


def test_a_step_that_is_added_has_a_color_of_its_own(path: Path) -> None:
    entry = journals.write(path, journals.troubled())
    with added_step():
        source = report(path, entry)
        fills = dict(re.findall(r"^\.(\w+) { fill: var\((--step-\d)\); }$", source, flags=re.MULTILINE))
        assert list(fills) == list(STEPS)
    assert len(set(fills.values())) == len(fills)
    for color in fills.values():
        assert len(re.findall(rf"{color}: #[0-9a-f]{{6}};", source)) == 2  # for light and for dark screens


def test_nothing_comes_from_elsewhere(path: Path) -> None:
    source = report(path, journals.write(path, journals.troubled()))
    assert "http://" not in source
    assert "https://" not in source
    for word in ("url(", "@import", "<script", "<img", "<link", "<iframe", "javascript:"):
        assert word not in source


@pytest.mark.parametrize(
    "text",
    [
        *NASTY,
        "'\"><svg onload=alert(1)>",
        "</style></pre>&lt;b&gt;",
        "http://evil.example/<img src=x>",
        "{{ 7 * 7 }}{% raw %}",
    ],
)
def test_nothing_that_was_said_becomes_markup(path: Path, text: str) -> None:
    source = report(path, write_hostile(path, text))
    reader = Reader(source)
    assert "script" not in reader.seen
    assert all(harmless(line) for line in source.split("\n"))
    shown = "".join(char if harmless(char) else "" for char in text)
    assert shown[:30].strip() in "".join(reader.texts) or not harmless(text)
    if text.isprintable() and html.escape(text) != text:
        assert text not in source


@pytest.mark.parametrize("end", [0, 1, 3, 5, 20, 60])
def test_one_without_an_end(path: Path, end: int) -> None:
    source = report(path, journals.write(path, journals.troubled()[:end], pid=2**22 + 1))
    reader = Reader(source)
    words = "".join(reader.texts)
    assert "interrupted" in words
    assert "finish it: rolldeck resume shop" in words
    assert ("svg" in reader.seen) == (end > 3)


def test_export_writes_a_file_and_replaces_none(path: Path, rolldeck: Rolldeck, tmp_path: Path) -> None:
    journals.write(path, journals.troubled())
    done = rolldeck("export", "1")
    assert done == (type(done)(0, "", "wrote rolldeck-1.html\n"))
    written = tmp_path / "rolldeck-1.html"
    assert written.read_text(encoding="utf-8") == report(path, 1)
    written.write_text("precious")
    done = rolldeck("export", "1")
    assert (done.code, done.out, written.read_text()) == (2, "", "precious")
    assert "rolldeck-1.html: exists already; --force replaces it, --output writes another" in done.err
    assert rolldeck("export", "1", "--output", "other.html").code == 0
    assert rolldeck("export", "1", "--force").code == 0
    assert written.read_text(encoding="utf-8") == (tmp_path / "other.html").read_text(encoding="utf-8")
    assert {file.stat().st_mode & 0o777 for file in tmp_path.glob("*.html")} == {0o600}
    (tmp_path / "link.html").symlink_to("precious")
    (tmp_path / "precious").write_text("precious")
    for more, words in (((), "link.html: exists already"), (("--force",), "link.html is a symbolic link")):
        done = rolldeck("export", "1", "--output", "link.html", *more)
        assert (done.code, words in done.err) == (2, True)
    assert (tmp_path / "precious").read_text() == "precious"
    done = rolldeck("export", "1", "--output", "nowhere/x.html")
    assert (done.code, "nowhere/x.html: cannot be written: No such file" in done.err) == (2, True)
    done = rolldeck("export", "1", "--output", "-")
    assert (done.code, done.out) == (0, report(path, 1))


def test_the_wheel_has_its_template(path: Path, tmp_path: Path) -> None:
    journals.write(path, journals.troubled())
    [wheel] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    assert "console/report/template.html.j2" in zipfile.ZipFile(wheel).namelist()
    code = f"""
import sys
sys.path.insert(0, {wheel!r})
import console.cli
assert console.cli.__file__.startswith({wheel!r})
sys.argv = ["rolldeck", "history", "--journal", {str(path)!r}, "export", "1", "--output", "-"]
console.cli.main()
"""
    written = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, encoding="utf-8"
    )
    assert written.stdout == report(path, 1)


def test_the_template_engine_is_loaded_for_a_report_only() -> None:
    code = """
import sys
from console.commands import history, status
assert "jinja2" not in sys.modules
import console.report.report
assert "jinja2" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def judged(*found: VerdictChanged) -> list[Record]:
    """A rollout with verdicts that come every ten seconds from its start."""
    *rest, last = journals.healthy()
    told = [(record.at, record.event) for record in rest]
    told += [(rest[0].at + 10 * number, verdict) for number, verdict in enumerate(found, 1)]
    told.sort(key=lambda pair: pair[0])
    at = max(told[-1][0], last.at)
    return [Record(number, at, event) for number, (at, event) in enumerate([*told, (at, last.event)], 1)]


def test_the_verdict_has_both_counts_and_curves_of_both_versions(path: Path) -> None:
    found = [verdict for _, verdict in verdicts(9, bad_from=6)]
    source = report(path, journals.write(path, judged(*found, BAD)))
    text = " ".join(" ".join(Reader(source).texts).split())
    assert "Verdict on 1.5.0" in text
    assert "bad (web1): 1.5.0 fails 18 of 92 (19.6 %), the others 1 of 277 (0.4 %)" in text
    assert "others, at the same time 277 1" in text
    curves = re.findall(r'<path class="curve (\w+)" d="([^"]+)"><title>([^<]+)</title>', source)
    assert [kind for kind, _, _ in curves] == ["old", "new"] * 2
    assert all(re.fullmatch(r"(\s?[ML]-?[\d.]+ -?[\d.]+)+", path) for _, path, _ in curves)
    assert "2.0: error rate 20.0 % at the end" in [title for _, _, title in curves]


def test_a_blind_verdict_says_that_nothing_could_be_judged_and_has_no_curve(path: Path) -> None:
    source = report(path, journals.write(path, judged(BLIND)))
    assert "blind, it could not be judged: 1.5.0 got only 12 of the 50" in " ".join(Reader(source).texts)
    assert 'class="curve' not in source


def test_without_a_verdict_there_is_no_section(path: Path) -> None:
    assert "Verdict" not in report(path, journals.write(path, journals.healthy()))


@pytest.mark.parametrize("text", NASTY)
def test_a_verdict_becomes_no_markup(path: Path, text: str) -> None:
    nasty = structs.replace(BAD, version=text, reason=text, node=text)
    found = [structs.replace(verdict, version=text) for _, verdict in verdicts(4)]
    source = report(path, journals.write(path, judged(*found, nasty)))
    Reader(source)
    assert harmless(source.replace("\n", ""))
