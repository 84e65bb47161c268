"""The animated picture: every piece of text is in it once, and visible in its times."""

import re
from xml.etree.ElementTree import fromstring

import pytest

from tests.support.animation import Frame, animate

FRAME = """<svg class="rich-terminal" viewBox="0 0 10 10" xmlns="http://www.w3.org/2000/svg">
<style>
.t-r1 {{ fill: #aaa }}
.t-r2 {{ fill: {color} }}
</style>
<g transform="translate(9, 41)" clip-path="url(#t-clip-terminal)">
<rect fill="#111" x="0" y="1.5" width="5" height="24.65"/>
<g class="t-matrix">
<text class="t-r1" x="0" y="20" textLength="5">same</text>
<text class="t-r2" x="0" y="44.4" textLength="5">{text}</text>
</g>
</g>
</svg>
"""


def frame(text: str, color: str = "#bbb") -> Frame:
    return Frame(FRAME.format(text=text, color=color), 1.0)


def test_what_stays_is_there_once_and_the_rest_in_its_time() -> None:
    svg = animate([frame("one"), frame("two"), frame("two"), frame("one")])
    fromstring(svg)  # noqa: S314 - it is our own
    assert svg.count(">same<") == svg.count(">one<") == svg.count(">two<") == 1
    one, two = re.findall(r'dur="4s".* values="(.*)" keyTimes="(.*)"', svg)
    assert one == ("visible;hidden;visible", "0;0.25;0.75")
    assert two == ("hidden;visible;hidden", "0;0.25;0.75")


def test_styles_with_one_number_and_two_meanings_are_kept_apart() -> None:
    svg = animate([frame("one"), frame("two", "#ccc")])
    assert len(re.findall(r"\.t-s\d+ \{ fill", svg)) == 3
    assert len(set(re.findall(r'class="t-(s\d+)"', svg))) == 3
    assert "t-r" not in svg.replace("t-terminal", "")


def test_what_is_no_screenshot_is_refused() -> None:
    with pytest.raises(ValueError, match="screenshot"):
        animate([Frame("<svg/>", 1.0)])
