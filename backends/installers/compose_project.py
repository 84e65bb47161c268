"""The compose project of a container, and the line of its files that has the tag of a service."""

import posixpath
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backends.errors import ConfigError
from backends.inventories.files import compose_yaml
from backends.text import MAX_DETAIL_CHARS, shorten

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_VARIABLE = r"\$(?:\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?::?[-?][^{}]*)?\}|(?P<plain>[A-Za-z_][A-Za-z0-9_]*))"
_WHOLE_VARIABLE = re.compile(_VARIABLE)
_VARIABLE_TAG = re.compile(rf"[^$].*:{_VARIABLE}|\$\{{[^{{}}]*\}}/.*:{_VARIABLE.replace('?P<', '?P<other_')}")
_LAST_PART = re.compile(r"(?P<name>[^:@$/]+)(?::(?P<tag>[^:@$/]+))?")


@dataclass(frozen=True, slots=True)
class LineEdit:
    """One line of one file, as it was read and as it is to be; the same text where nothing is to change.

    Attributes:
        file: its path on the node.
        number: the number of the line, from 1.
    """

    file: str
    number: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class VariableTag:
    """A tag that comes from a variable, which the file of variables beside the compose file sets.

    Attributes:
        name: the name of the variable.
        whole: its value is the whole image, not the tag alone.
    """

    name: str
    whole: bool


def check_tag(version: str) -> str:
    """Return the version if it can be an image's tag. Raises ConfigError."""
    if not _TAG.fullmatch(version):
        raise ConfigError("", "version", f"{version!r} cannot be a tag: expected letters, digits and . _ -")
    return version


def set_tag(text: str, file: str, service: str, tag: str) -> LineEdit | VariableTag:
    """Return the line of `services.NAME.image` with another tag, or which variable has the tag.

    Args:
        text: the text of the compose file.
        file: its path, for the errors and the edit.
        service: its name in the file.
        tag: the wanted one.

    Raises:
        ConfigError: it is not there, or is not written in one place of its own.
    """
    key = f"services.{service}.image"
    image = _find_image(text, file, service)
    value = str(image.value)
    if variable := _variable_of(value):
        uses = len(re.findall(rf"\$\{{?{variable.name}\b", text))
        if uses > 1:
            problem = f"its tag is the variable {variable.name}, which is used {uses} times in the file"
            raise ConfigError(file, key, f"{problem}: others would change with it; expected one of its own")
        return variable
    return _edit(text, file, key, image, value, _with_tag(value, file, key, tag))


def image_name(text: str, file: str, service: str) -> str:
    """Return the image without its tag; empty if it has variables or a digest. Raises as `set_tag`."""
    value = str(_find_image(text, file, service).value)
    before, slash, last = value.rpartition("/")
    return "" if "$" in value or "@" in value else f"{before}{slash}{last.partition(':')[0]}"


def set_variable(text: str, file: str, variable: VariableTag, tag: str) -> LineEdit:
    """Return the line in a file of variables that sets this one, with another tag.

    Raises:
        ConfigError: no line sets it, or several do, or it is written in a way that is not known here.
    """
    name = variable.name
    assignment = re.compile(rf"(?P<head>\s*(?:export\s+)?{name}\s*=\s*)(?P<rest>.*)", re.DOTALL)
    lines = text.split("\n")
    found = [(at, match) for at, line in enumerate(lines) if (match := assignment.fullmatch(line))]
    if len(found) != 1:
        problem = (
            f"found {len(found)} lines that set it, expected one: the compose file takes the tag from it"
        )
        raise ConfigError(file, name, problem)
    at, match = found[0]
    value = re.fullmatch(
        r"(?P<quote>[\"']?)(?P<value>[^\"'#\s]*)(?P=quote)(?P<tail>\s*(?:\s#.*)?)", match["rest"]
    )
    if value is None or "$" in value["value"]:
        raise ConfigError(file, name, f"found {match['rest'][:128]!r}, expected a plain value")
    new = _with_tag(value["value"], file, name, tag) if variable.whole else tag
    after = f"{match['head']}{value['quote']}{new}{value['quote']}{value['tail']}"
    return LineEdit(file, at + 1, lines[at], after)


def _find_image(text: str, file: str, service: str) -> Any:
    node, start = compose_yaml(text, file), 0
    path: list[str] = []
    for key in ("services", service, "image"):
        path.append(key)
        where = ".".join(path)
        if getattr(node, "id", "") != "mapping":
            raise ConfigError(file, where, "there is no such key: its parent is not a mapping")
        pairs = [(name, value) for name, value in node.value if name.value == key]
        if len(pairs) != 1:
            known = ", ".join(str(name.value)[:40] for name, _ in node.value[:12])
            raise ConfigError(file, where, f"found it {len(pairs)} times, expected once, among: {known}")
        name, node = pairs[0]
        if name.start_mark.index < start or node.start_mark.index < name.end_mark.index:
            raise ConfigError(
                file, where, "comes from an anchor, and others may have it too; expected its own"
            )
        start = name.end_mark.index
    if node.id != "scalar":
        raise ConfigError(file, where, "expected the name of an image")
    return node


def _variable_of(image: str) -> VariableTag | None:
    if match := _WHOLE_VARIABLE.fullmatch(image):
        return VariableTag(match["braced"] or match["plain"], whole=True)
    if match := _VARIABLE_TAG.fullmatch(image):
        names = (match["braced"], match["plain"], match["other_braced"], match["other_plain"])
        return VariableTag(next(name for name in names if name), whole=False)
    return None


def _with_tag(image: str, file: str, key: str, tag: str) -> str:
    if "@" in image:
        raise ConfigError(file, key, f"found {image[:128]!r}: it is pinned by its digest, expected a tag")
    before, slash, last = image.rpartition("/")
    match = _LAST_PART.fullmatch(last)
    if match is None:
        problem = f"found {image[:128]!r}, expected an image with a tag, or with one variable for the tag"
        raise ConfigError(file, key, problem)
    return f"{before}{slash}{match['name']}:{tag}"


def _edit(text: str, file: str, key: str, node: Any, value: str, new: str) -> LineEdit:
    lines, at = text.split("\n"), node.start_mark.line
    line = lines[at] if at < len(lines) else ""
    start, end = node.start_mark.column, node.end_mark.column
    written = line[start:end] if node.end_mark.line == at else ""
    quote = written[:1] if written[:1] in ("'", '"') else ""
    if written != f"{quote}{value}{quote}":
        problem = f"found {written[:128]!r}, expected {value[:128]!r} alone on one line, without an anchor"
        raise ConfigError(file, key, problem)
    return LineEdit(file, at + 1, line, f"{line[:start]}{quote}{new}{quote}{line[end:]}")


PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
ONE_OFF = "com.docker.compose.oneoff"

_FILES = "com.docker.compose.project.config_files"
_FOLDER = "com.docker.compose.project.working_dir"
_VARIABLES = "com.docker.compose.project.environment_file"
_OPTIONS = {
    "-f": "files",
    "--file": "files",
    "--env-file": "variables",
    "--project-directory": "folders",
    "-p": "projects",
    "--project-name": "projects",
}


@dataclass(frozen=True, slots=True)
class ComposeOptions:
    """The options that compose is called with; each may be given several times.

    Attributes:
        files: compose files.
        variables: files of variables.
        folders: project directories.
        projects: names of the project.
    """

    files: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()

    @property
    def variables_file(self) -> str:
        """The file of variables that compose reads: the last of those that are named, or `.env`."""
        if self.variables:
            return self.variables[-1]
        folder = self.folders[-1] if self.folders else posixpath.dirname(self.files[0])
        return posixpath.join(folder, ".env")


def parse_options(words: Sequence[str]) -> ComposeOptions:
    """Read the options of a call of compose."""
    found: dict[str, list[str]] = {key: [] for key in _OPTIONS.values()}
    rest = list(words)
    while rest:
        option, equals, value = rest.pop(0).partition("=")
        if key := _OPTIONS.get(option):
            if not equals:
                value = rest.pop(0) if rest else ""
            found[key].append(value)
    return ComposeOptions(**{key: tuple(values) for key, values in found.items()})


def project_obstacles(
    name: str, service: str, labels: dict[str, str], options: ComposeOptions
) -> tuple[str, ...]:
    """Return why compose would do something else than create this container anew, in words.

    Args:
        name: the name of the container.
        service: its name in the compose file, by the configuration.
        labels: the labels of the container.
        options: the options that compose would be called with.
    """
    project, made_as = labels.get(PROJECT, ""), labels.get(SERVICE, "")
    if not project or not made_as:
        return (f"the container {name} was not made by compose, which would not replace it",)
    if made_as != service:
        return (f"compose made the container {name} of the service {_shorten(made_as)}, not of {service}",)
    found = []
    if options.projects and options.projects[-1] != project:
        expected = f"install.command names the project {options.projects[-1]}"
        found.append(f"the container {name} is of the project {_shorten(project)}, but {expected}")
    folder = labels.get(_FOLDER, "")
    found += _find_lost_files(name, "-f", _split_paths(labels.get(_FILES, ""), folder), options.files)
    variables = [
        path for path in _split_paths(labels.get(_VARIABLES, ""), folder) if _base_name(path) != ".env"
    ]
    found += _find_lost_files(name, "--env-file", variables, options.variables)
    return tuple(found)


def replica_obstacle(name: str, service: str, names: Sequence[str]) -> str:
    """Return what else compose would replace; empty where the service has this container alone.

    Args:
        name: the name of the container.
        service: its name in the compose file.
        names: the names of all containers of the service in its project.
    """
    others = sorted(set(names) - {name})
    if not others:
        return ""
    return (
        f"the service {service} has other containers than {name}: {_shorten(', '.join(others))}; compose"
        " would stop and replace these at the same time; expected a service of its own for each node"
    )


def _find_lost_files(
    name: str, option: str, made_from: Sequence[str], named: Sequence[str]
) -> tuple[str, ...]:
    # By their last part: one of the two may have been called by a link, or from another folder.
    missing = Counter(map(_base_name, made_from)) - Counter(map(_base_name, named))
    if not missing:
        return ()
    options = " ".join(f"{option} {shlex.quote(path)}" for path in made_from)
    return (
        f"the container {name} was made with other files than compose would be called with, and would"
        f" lose what {_shorten(', '.join(missing))} says; expected in install.command, in this order:"
        f" {_shorten(options)}",
    )


def _split_paths(label: str, folder: str) -> tuple[str, ...]:
    return tuple(posixpath.join(folder, path) for path in label.split(",") if path)


def _base_name(path: str) -> str:
    return posixpath.basename(path)


def _shorten(text: str) -> str:
    return shorten(text, MAX_DETAIL_CHARS)
