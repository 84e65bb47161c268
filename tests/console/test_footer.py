"""The footer: the keys that work now, the order in which keys are hidden, and reasons for disabled ones."""

from typing import ClassVar

import pytest
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from widgets.footer import KeyBar


class Main(Screen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "do('upgrade')", "upgrade", id="upgrade", tooltip="Begin"),
        Binding("d", "do('drain')", "drain", id="drain", tooltip="Out"),
        Binding("slash", "do('filter')", "filter", id="filter", tooltip="Some"),
        Binding("q", "do('quit')", "quit", id="quit", tooltip="Leave"),
        Binding("x", "do('hidden')", "hidden", id="hidden", tooltip="Not shown", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.off: set[str] = set()

    def compose(self) -> ComposeResult:
        yield KeyBar(("quit", "drain"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return None if parameters and parameters[0] in self.off else True

    def action_do(self, what: str) -> None:
        self.done.append(what)


class Shell(App[None]):
    def on_mount(self) -> None:
        self.push_screen(Main())


def shown(bar: KeyBar) -> str:
    return bar.render_line(0).text.strip()


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (80, "u upgrade  d drain  / filter  q quit"),
        (30, "u upgrade  d drain  q quit"),
        (20, "d drain  q quit"),
        (10, "q quit"),
    ],
)
async def test_the_least_important_goes_first(width: int, expected: str) -> None:
    app = Shell()
    async with app.run_test(size=(width, 24)) as pilot:
        await pilot.pause()
        assert shown(app.screen.query_one(KeyBar)) == expected


@pytest.mark.parametrize(("height", "lines"), [(24, ["q quit"]), (40, ["u upgrade", "d drain  q quit"])])
async def test_a_tall_screen_has_two_lines_of_keys(height: int, lines: list[str]) -> None:
    app = Shell()
    async with app.run_test(size=(19 if height == 40 else 10, height)) as pilot:
        await pilot.pause()
        bar = app.screen.query_one(KeyBar)
        assert [bar.render_line(y).text.strip() for y in range(bar.size.height)] == lines
        await pilot.click(bar, offset=(3, bar.size.height - 1))
        await pilot.pause()
        assert isinstance(app.screen, Main)
        assert app.screen.done == ["drain" if height == 40 else "quit"]


async def test_a_click_is_the_key_and_the_mouse_explains_it() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        main = app.screen
        assert isinstance(main, Main)
        bar = main.query_one(KeyBar)
        await pilot.click(bar, offset=(13, 0))
        await pilot.pause()
        assert main.done == ["drain"]
        await pilot.hover(bar, offset=(2, 0))
        assert bar.tooltip == "Begin"
        await pilot.click(bar, offset=(70, 0))
        assert main.done == ["drain"]


async def test_what_is_not_possible_is_gray_and_other_words_can_be_given() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        main = app.screen
        assert isinstance(main, Main)
        bar = main.query_one(KeyBar)
        assert all(key.enabled for key in bar.keys)
        main.off.add("drain")
        main.refresh_bindings()
        bar.relabel({"quit": "leave"})
        await pilot.pause()
        assert [key.id for key in bar.keys if not key.enabled] == ["drain"]
        assert shown(bar) == "u upgrade  d drain  / filter  q leave"
        bar.relabel({})
        await pilot.pause()
        assert shown(bar).endswith("q quit")


async def test_keys_are_shown_as_they_are_mapped() -> None:
    app = Shell()
    app.set_keymap({"upgrade": "f5"})
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert shown(app.screen.query_one(KeyBar)).startswith("f5 upgrade")
