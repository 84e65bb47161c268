"""Screenshots as SVG files that load nothing, and differ only if the screens do."""

import re
from html import unescape

from rich.cells import cell_len

FONTS = '"Fira Code", "DejaVu Sans Mono", monospace'
CELL = 12.2  # what Rich takes for the width of a cell
SIZE = 20.3  # pixels: so wide are the glyphs of these fonts then, also for renderers without `textLength`

_FONT_FACES = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
_COMMENTS = re.compile(r"\s*<!--.*?-->")
_LINE_CLIPS = re.compile(r'\s*<clipPath id="[\w-]+-line-\d+">.*?</clipPath>', re.DOTALL)
_CLIPPED = re.compile(r' clip-path="url\(#[\w-]+-line-\d+\)"')
_NAME = re.compile(r"terminal-\d+")  # a checksum of the whole: one other letter would change every line
_TEXT = re.compile(r'<text (class="t-r\d+") x="([\d.]+)" (y="[\d.]+") textLength="[\d.]+">([^<]*)</text>')
_RECTS = re.compile(r'(?:<rect fill="#\w+" x="[^>]+ shape-rendering="crispEdges"/>)+')
_RECT = re.compile(r'fill="(#\w+)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"')


def lean(svg: str) -> str:
    """Without fonts from the network, and with one element a line.

    Args:
        svg: what `App.export_screenshot` gives.
    """
    for pattern in (_FONT_FACES, _COMMENTS, _LINE_CLIPS, _CLIPPED):
        svg = pattern.sub("", svg)
    svg = _NAME.sub("t", svg).replace("&#160;", "\N{NO-BREAK SPACE}")
    svg = svg.replace("font-family: Fira Code, monospace", f"font-family: {FONTS}")
    svg = svg.replace("font-size: 20px", f"font-size: {SIZE}px")
    svg = svg.replace("font-family: arial", "font-family: sans-serif")
    svg = _RECTS.sub(lambda match: _backgrounds(match[0]), svg)
    svg = _TEXT.sub(_text, svg)
    return "\n".join(line.rstrip(" ") for line in svg.splitlines() if line.strip(" ")) + "\n"


def _backgrounds(svg: str) -> str:
    """Neighbors of one color become one: a renderer would leave a hair between them."""
    merged: list[tuple[str, float, str, float, str]] = []
    for fill, x, y, width, height in _RECT.findall(svg):
        start, cells = float(x), float(width)
        if merged and merged[-1][0] == fill and merged[-1][2] == y:
            _, start, *_ = merged.pop()
            cells += float(x) - start
        if cells:
            merged.append((fill, start, y, cells, height))
    return "\n".join(
        f'<rect fill="{fill}" x="{x:g}" y="{y}" width="{width:g}" height="{height}"'
        ' shape-rendering="crispEdges"/>'
        for fill, x, y, width, height in merged
    )


def _text(match: re.Match[str]) -> str:
    """In its cells, without the spaces around it, which some renderers drop and others do not.

    Rich takes every character for one cell, and would squeeze what is wider.
    """
    style, x, y, text = match.groups()
    body = text.strip()
    if not body:
        return ""
    start = float(x) + CELL * (len(text) - len(text.lstrip()))
    return f'<text {style} x="{start:g}" {y} textLength="{CELL * cell_len(unescape(body)):g}">{body}</text>\n'
