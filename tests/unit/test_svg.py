"""Pictures that are kept here: small, stable, and nothing in them is fetched from anywhere."""

from pathlib import Path
from xml.etree import ElementTree

from textual.app import App, ComposeResult
from textual.widgets import Static

from tests.support.svg import CELL, lean

ROOT = Path(__file__).parents[2]
NAMESPACE = "http://www.w3.org/2000/svg"
KEPT = sorted(path for folder in ("docs", "tests") for path in (ROOT / folder).rglob("*.svg"))


class Shell(App[None]):
    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        yield Static(self._text, markup=False)


async def taken(text: str) -> str:
    app = Shell(text)
    async with app.run_test(size=(30, 4)) as pilot:
        await pilot.pause()
        return lean(app.export_screenshot(simplify=True))


def texts(svg: str) -> list[tuple[float, float, str]]:
    """Place and width in cells, and text."""
    found = ElementTree.fromstring(svg).iter(f"{{{NAMESPACE}}}text")  # noqa: S314 - made here
    return [
        (
            round(float(element.attrib["x"]) / CELL, 3),
            round(float(element.attrib["textLength"]) / CELL, 3),
            element.text or "",
        )
        for element in found
        if "textLength" in element.attrib
    ]


async def test_everything_stands_in_its_cells() -> None:
    assert texts(await taken("  <a> & b  ")) == [(2, 7, "<a>\N{NO-BREAK SPACE}&\N{NO-BREAK SPACE}b")]
    assert texts(await taken("日本 7"))[0][1] == 6


async def test_one_other_letter_is_one_other_line() -> None:
    before, after = (await taken("web1")).splitlines(), (await taken("web2")).splitlines()
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


async def test_no_font_comes_from_the_network() -> None:
    svg = await taken("web1")
    assert "@font-face" not in svg
    assert '"DejaVu Sans Mono", monospace' in svg


def test_no_kept_picture_has_an_address_in_it() -> None:
    assert KEPT
    for path in KEPT:
        text = path.read_text(encoding="utf-8").replace(f'xmlns="{NAMESPACE}"', "")
        assert "http" not in text, path
        assert "url(" not in text.replace("url(#t-", ""), path
