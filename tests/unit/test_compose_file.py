"""The one line of a compose file that a new tag changes, and what is refused."""

import pytest

from backends.errors import ConfigError
from backends.installers.compose_project import (
    LineEdit,
    VariableTag,
    check_tag,
    image_name,
    set_tag,
    set_variable,
)

FILE = "/srv/shop/compose.yaml"


def compose(image: str) -> str:
    return f"# of the shop\nservices:\n  db:\n    image: postgres:15\n  web:\n    {image}\n    init: true\n"


def edited(image: str, tag: str = "1.5.0") -> str:
    text = compose(image)
    edit = set_tag(text, FILE, "web", tag)
    assert isinstance(edit, LineEdit)
    lines = text.split("\n")
    assert lines[edit.number - 1] == edit.before
    return edit.after.strip()


@pytest.mark.parametrize(
    ("image", "after"),
    [
        ("image: shop:1.4.2", "image: shop:1.5.0"),
        ("image:   shop:1.4.2   # pinned: 1.4.2", "image:   shop:1.5.0   # pinned: 1.4.2"),
        ('image: "reg:5000/team/shop:1.4.2"', 'image: "reg:5000/team/shop:1.5.0"'),
        ("image: 'reg:5000/shop'", "image: 'reg:5000/shop:1.5.0'"),
        ("image: shop", "image: shop:1.5.0"),
        ("image: ${REGISTRY:-reg:5000}/shop:1.4.2", "image: ${REGISTRY:-reg:5000}/shop:1.5.0"),
        ("image: läden/shop:1.4.2", "image: läden/shop:1.5.0"),
    ],
)
def test_only_the_tag_changes(image: str, after: str) -> None:
    assert edited(image) == after


def test_a_file_with_the_lines_of_windows_and_a_flow_mapping() -> None:
    edit = set_tag("services:\r\n  web: {image: shop:1, init: true}\r\n", FILE, "web", "2")
    assert edit == LineEdit(
        FILE, 2, "  web: {image: shop:1, init: true}\r", "  web: {image: shop:2, init: true}\r"
    )


@pytest.mark.parametrize(
    ("image", "variable"),
    [
        ("image: shop:${TAG}", VariableTag("TAG", whole=False)),
        ('image: "reg:5000/shop:${TAG:-1.4}"', VariableTag("TAG", whole=False)),
        ("image: shop:$TAG", VariableTag("TAG", whole=False)),
        ("image: ${REGISTRY:-reg:5000}/shop:${TAG:?no tag}", VariableTag("TAG", whole=False)),
        ("image: ${IMAGE}", VariableTag("IMAGE", whole=True)),
        ("image: ${IMAGE:-reg:5000/shop:1}", VariableTag("IMAGE", whole=True)),
    ],
)
def test_a_tag_in_a_variable(image: str, variable: VariableTag) -> None:
    assert set_tag(compose(image), FILE, "web", "2") == variable


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (compose("image: shop@sha256:abc"), "services.web.image: .*pinned by its digest"),
        (compose("image: shop:${A}-${B}"), r"services.web.image: found 'shop:\$\{A\}-\$\{B\}', expected"),
        (compose("image: shop:${TAG}\n    labels: {v: '${TAG}'}"), "TAG, which is used 2 times"),
        (compose("image: &shop shop:1"), "without an anchor"),
        (compose("image: >-\n      shop:1"), "alone on one line"),
        (compose("image: [shop]"), "expected the name of an image"),
        (compose("build: ."), "services.web.image: found it 0 times, expected once, among: build, init"),
        (compose("image: shop:1\n    image: shop:2"), "found it 2 times"),
        ("x: &i shop:1\nservices: {web: {image: *i}}", "comes from an anchor"),
        ("x: &w {image: shop:1}\nservices:\n  web: *w\n", "comes from an anchor"),
        ("x: &w {image: shop:1}\nservices:\n  web:\n    <<: *w\n", "image: found it 0 times"),
        ("services: [web]", "services.web: there is no such key"),
        ("", "services: there is no such key"),
        ("a: [", "line [12]: is not YAML"),
        ("a: 1\n---\nb: 2\n", "is not YAML"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as raised:
        set_tag(text, FILE, "web", "2")
    assert str(raised.value).startswith(FILE)


@pytest.mark.parametrize("tag", ["1.0+build", "1:2", "-x", "", "a" * 129, "1~rc"])
def test_no_tag_that_an_engine_would_refuse(tag: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a tag"):
        check_tag(tag)


@pytest.mark.parametrize(
    ("line", "whole", "after"),
    [
        ("TAG=1.4.2", False, "TAG=2"),
        ('export TAG = "1.4.2"  # now', False, 'export TAG = "2"  # now'),
        ("TAG='1.4.2'\r", False, "TAG='2'\r"),
        ("TAG=", False, "TAG=2"),
        ("TAG=reg:5000/shop:1.4.2", True, "TAG=reg:5000/shop:2"),
    ],
)
def test_one_line_of_the_variables(line: str, whole: bool, after: str) -> None:
    text = f"OTHER_TAG=1\n#TAG=0\n{line}\nTAGS=3\n"
    found = set_variable(text, "/srv/shop/.env", VariableTag("TAG", whole), "2")
    assert found == LineEdit("/srv/shop/.env", 3, line, after)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("OTHER=1\n", "TAG: found 0 lines that set it"),
        ("TAG=1\nTAG=2\n", "TAG: found 2 lines that set it"),
        ("TAG=$OTHER\n", "expected a plain value"),
        ("TAG='a b'\n", "expected a plain value"),
    ],
)
def test_variables_that_are_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        set_variable(text, "/srv/shop/.env", VariableTag("TAG", whole=False), "2")


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("image: reg:5000/shop:1.4", "reg:5000/shop"),
        ("image: reg:5000/shop", "reg:5000/shop"),
        ("image: shop:${TAG}", ""),
        ("image: shop@sha256:abc", ""),
    ],
)
def test_the_name_of_an_image(image: str, name: str) -> None:
    assert image_name(compose(image), FILE, "web") == name
