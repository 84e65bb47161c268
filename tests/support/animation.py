"""One animated SVG of many screenshots, in which every piece of text is once for all its times."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_STYLE = re.compile(r"\.t-(r\d+) \{ ([^}]*) \}")
_SCREEN = re.compile(
    r'(?P<head>.*<g transform="translate\([^>]*clip-path[^>]*>\n)(?P<body>.*?)(?P<tail>\n *</g>.*)', re.S
)
_CLASS = re.compile(r'class="t-(r\d+)"')


@dataclass(frozen=True, slots=True)
class Frame:
    """A screenshot, as `tests.support.svg.lean` makes it, and how many seconds it is shown."""

    svg: str
    seconds: float


@dataclass(slots=True)
class _Styles:
    """Styles of all frames: each screenshot counts its own from 1."""

    names: dict[str, str] = field(default_factory=dict)

    def rename(self, svg: str) -> dict[str, str]:
        return {
            name: self.names.setdefault(rules.strip(), f"s{len(self.names)}")
            for name, rules in _STYLE.findall(svg)
        }

    def __str__(self) -> str:
        return "\n".join(f".t-{name} {{ {rules} }}" for rules, name in self.names.items())


def animate(frames: Sequence[Frame]) -> str:
    """Return an SVG that shows all frames one after the other, for ever.

    Args:
        frames: of the same size, at least one.

    Raises:
        ValueError: a frame is no screenshot.
    """
    styles = _Styles()
    screens = [_split(frame.svg, styles) for frame in frames]
    found = _SCREEN.fullmatch(frames[0].svg)
    if found is None:
        raise ValueError("no screenshot")
    ends, now = [], 0.0
    for frame in frames:
        now += frame.seconds
        ends.append(now)
    body = _animate_elements(screens, [0.0, *ends])
    head = _STYLE.sub("", found["head"]).replace("</style>", f"{styles}\n</style>", 1)
    svg = f"{head}{body}{found['tail'].lstrip()}"
    return "\n".join(line for line in svg.splitlines() if line.strip()) + "\n"


def _split(svg: str, styles: _Styles) -> list[str]:
    """Return the elements of a screen: the backgrounds and the texts."""
    found = _SCREEN.fullmatch(svg)
    if found is None:
        raise ValueError("no screenshot")
    names = styles.rename(svg)
    elements = (line.strip() for line in found["body"].splitlines())
    return [
        _CLASS.sub(lambda match: f'class="t-{names[match[1]]}"', element)
        for element in elements
        if element.startswith(("<rect", "<text"))
    ]


def _animate_elements(screens: Sequence[Sequence[str]], times: Sequence[float]) -> str:
    """Return all elements, those together that are visible at the same times; backgrounds come first."""
    shown: dict[str, list[int]] = {}
    for index, screen in enumerate(screens):
        for element in dict.fromkeys(screen):
            shown.setdefault(element, []).append(index)
    groups: dict[tuple[bool, tuple[int, ...]], list[str]] = {}
    for element, found in shown.items():
        groups.setdefault((element.startswith("<text"), tuple(found)), []).append(element)
    always = tuple(range(len(screens)))
    parts = {False: "", True: ""}
    for (is_text, indexes), elements in sorted(
        groups.items(), key=lambda item: (item[0][0], item[0][1] != always)
    ):
        body = "\n".join(elements) + "\n"
        visible = _visibility(_find_spans(indexes, times), times[-1])
        # Whoever cannot show animations sees the last frame.
        still = "visible" if indexes[-1] == always[-1] else "hidden"
        parts[is_text] += body if indexes == always else f'<g visibility="{still}">{visible}\n{body}</g>\n'
    return f'{parts[False]}<g class="t-matrix">\n{parts[True]}'


def _find_spans(indexes: Sequence[int], times: Sequence[float]) -> list[tuple[float, float]]:
    """Return from when to when something is visible that is in these frames."""
    spans: list[tuple[float, float]] = []
    for index in indexes:
        if spans and spans[-1][1] == times[index]:
            spans[-1] = (spans[-1][0], times[index + 1])
        else:
            spans.append((times[index], times[index + 1]))
    return spans


def _visibility(spans: Sequence[tuple[float, float]], total: float) -> str:
    values, times = (["hidden"], [0.0]) if spans[0][0] > 0 else ([], [])
    for began, ended in spans:
        values += ["visible", "hidden"] if ended < total else ["visible"]
        times += [began / total, ended / total] if ended < total else [began / total]
    at = ";".join(f"{time:.4f}".rstrip("0").rstrip(".") for time in times)
    return (
        f'<animate attributeName="visibility" calcMode="discrete" dur="{total:g}s" repeatCount="indefinite"'
        f' values="{";".join(values)}" keyTimes="{at}"/>'
    )
