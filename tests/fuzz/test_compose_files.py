"""Compose files and their variables: an edit changes the one value that it is for, or is refused."""

from typing import Any

import yaml
from hypothesis import example
from hypothesis import strategies as st

from backends.installers.compose_project import (
    LineEdit,
    VariableTag,
    image_name,
    set_tag,
    set_variable,
)
from tests.fuzz.harness import bounded, fuzzed
from tests.fuzz.texts import anything, lines_of, mostly, text, word

FILE, TAG = "/srv/shop/compose.yaml", "2.0.1"
image = st.sampled_from(
    [
        *(
            "shop",
            "shop:1",
            '"reg:5000/shop:1"  # x',
            "'a/b:1'",
            "&i shop:1",
            "*i",
            "!!str shop:1",
            "|",
            ">-",
        ),
        *("shop:${TAG}", "${IMAGE}", "${A:-x}:${B:-1}", "$A/shop:1", "shop@sha256:0", "[a]", "{a: b}", "~"),
    ]
)
row = st.one_of(
    st.sampled_from(
        ["services:", "  web:", "  db:", "    build: .", "x: &i shop:1", "# web", "---", "  <<: *i"]
    ),
    st.builds("    image: {}".format, mostly(image, text)),
    st.builds("  web: {{image: {}, init: true}}".format, mostly(image, text)),
)
head = st.sampled_from(["", "services:\n", "services:\n  web:\n", "services:\n  db: {image: a:1}\n  web:\n"])


@fuzzed(content=st.one_of(anything, st.builds("{}{}".format, head, lines_of(row))))
@example("services:\n  web:\n    image: shop:1\n    x: '\x85'\n")
@example("[" * 3000)
def test_only_the_image_changes(content: str) -> None:
    found = bounded(lambda: set_tag(content, FILE, "web", TAG), len(content))
    bounded(lambda: image_name(content, FILE, "web"), len(content))
    if not isinstance(found, LineEdit):
        return
    lines = content.split("\n")
    assert lines[found.number - 1] == found.before
    lines[found.number - 1] = found.after
    before, after = values(content), values("\n".join(lines))
    if before is not None:
        name = image_name("\n".join(lines), FILE, "web")
        before["services"]["web"]["image"] = after["services"]["web"]["image"]
        assert after == before
        assert after["services"]["web"]["image"].endswith(f"{name.rpartition('/')[2]}:{TAG}")


def values(content: str) -> Any:
    """None for what PyYAML can take apart and not load."""
    try:
        return yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, TypeError):
        return None


@fuzzed(
    content=st.one_of(anything, lines_of(st.builds("{}={}".format, mostly(st.just("TAG"), word), text))),
    whole=st.booleans(),
)
def test_variables(content: str, whole: bool) -> None:
    variable = VariableTag("TAG", whole)
    bounded(lambda: set_variable(content, "/srv/shop/.env", variable, TAG), len(content))
