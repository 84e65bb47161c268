"""The pages for readers, and docstrings and comments, name only files, names and commands that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from console.command_line import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / name
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "config.toml", "pyproject.toml", "Makefile")
]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
PACKAGES = ("console", "widgets", "orchestrator", "backends", "tests")
_PACKAGE = "|".join(PACKAGES)
_FILE = re.compile(rf"(?<![\w/.*])(?:{_PACKAGE}|docs)/[\w/.*-]*\w/?")
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
_MODULE = re.compile(rf"(?<![\w/.\[*-])(?:{_PACKAGE})(?:\.\w+)+")
_FOLDER = re.compile(r"(\w+)/(?=[\s,;(.]|$)")
_FILE_ALONE = re.compile(r"`(\w+\.py)`")
_TEST = re.compile(r"`(test_\w+)`|::(test_[a-z_]+)")
_NAME = re.compile(
    r"`(?:[a-z]+\.)?(?P<name>(?:[A-Z]\w*\.)?\w+)(?:\(.*?\))?` (?:in |\()`(?P<file>\w+/[\w/]+\.py)`"
)
_TARGET = re.compile(r"(?:^|`)make ([a-z][\w-]*)", re.MULTILINE)
_COMMAND = re.compile(r"^rolldeck ([a-z]+)|`rolldeck ([a-z]+)", re.MULTILINE)


@cache
def _sources() -> dict[str, str]:
    """The text of every module, by its dotted name."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file.read_text()
        for file in files
    }


def _defines(text: str, name: str) -> bool:
    return all(
        re.search(rf"\b(?:class|def) {part}\b|^\s*{part}(?:: [^=]+)?(?: =|$)", text, re.MULTILINE)
        for part in name.split(".")
    )


def _exists(dotted: str) -> bool:
    """Return whether this is a module, or a name that a module defines."""
    parts = dotted.split(".")
    modules = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    module = next(module for module in modules if module in _sources())
    return module == dotted or _defines(_sources()[module], dotted.removeprefix(module + "."))


def _missing(text: str) -> list[str]:
    missing = [name for name in _FILE.findall(text) if not list(ROOT.glob(name))]
    missing += [name for name in _MODULE.findall(text) if not _exists(name)]
    files = {module.rpartition(".")[2] + ".py" for module in _sources()}
    missing += [name for name in _FILE_ALONE.findall(text) if name not in files]
    return missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_files_and_modules_that_exist(page: Path) -> None:
    text = page.read_text()
    missing = _missing(text)
    missing += [name for name in _LINK.findall(text) if not (page.parent / name).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_tests_functions_and_classes_that_exist(page: Path) -> None:
    text = page.read_text()
    everything = "\n".join(_sources().values())
    missing = [
        alone or node for alone, node in _TEST.findall(text) if f"def {alone or node}(" not in everything
    ]
    missing += [
        f"{name} in {file}"
        for name, file in _NAME.findall(text)
        if not _defines((ROOT / file).read_text(), name)
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_commands_that_exist(page: Path) -> None:
    text = page.read_text()
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    missing = [target for target in _TARGET.findall(text) if target not in targets]
    missing += [
        first or second for first, second in _COMMAND.findall(text) if (first or second) not in COMMANDS
    ]
    assert missing == []


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_and_comments_name_files_and_modules_that_exist(package: str) -> None:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    missing = []
    for module, text in _sources().items():
        if module.partition(".")[0] == package:
            nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, documented)]
            words = [ast.get_docstring(node) or "" for node in nodes]
            words += [line.partition("# ")[2] for line in text.splitlines()]
            missing += [f"{module}: {name}" for name in _missing("\n".join(words))]
    assert missing == []


def test_the_readme_names_folders_that_exist() -> None:
    section = (ROOT / "README.md").read_text().partition("## Where things are")[2].split("```")[1]
    missing = []
    package = ""
    for line in section.strip().splitlines():
        first, _, rest = line.partition("/") if line[0].isalpha() else ("", "", line)
        package = first or package
        missing += [
            f"{package}/{name}/" for name in _FOLDER.findall(rest) if not (ROOT / package / name).is_dir()
        ]
    assert missing == []
