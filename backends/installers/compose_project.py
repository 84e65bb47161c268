"""Which project of compose a container is of, by its labels, and what compose would do to the project.

Compose takes all containers of a service together: with another tag it creates each of them anew. What is not
in the files that it is called with, such as an override file, is lost.
"""

import posixpath
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from backends.text_limits import MAX_DETAIL, shorten

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
    """What the words say that compose is called with; each option may stand there several times.

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
    """Why a call of compose would do something else than to create this container anew, in words.

    Args:
        name: of the container.
        service: its name in the compose file, by the configuration.
        labels: of the container.
        options: that compose would be called with.
    """
    project, made_as = labels.get(PROJECT, ""), labels.get(SERVICE, "")
    if not project or not made_as:
        return (f"the container {name} was not made by compose, which would not replace it",)
    if made_as != service:
        return (f"compose made the container {name} of the service {_text(made_as)}, not of {service}",)
    found = []
    if options.projects and options.projects[-1] != project:
        expected = f"install.command names the project {options.projects[-1]}"
        found.append(f"the container {name} is of the project {_text(project)}, but {expected}")
    folder = labels.get(_FOLDER, "")
    found += _lost(name, "-f", _paths(labels.get(_FILES, ""), folder), options.files)
    variables = [path for path in _paths(labels.get(_VARIABLES, ""), folder) if _base(path) != ".env"]
    found += _lost(name, "--env-file", variables, options.variables)
    return tuple(found)


def replica_obstacle(name: str, service: str, names: Sequence[str]) -> str:
    """What else compose would replace; empty where the service has this container alone.

    Args:
        name: of the container.
        service: its name in the compose file.
        names: of all containers of the service in its project.
    """
    others = sorted(set(names) - {name})
    if not others:
        return ""
    return (
        f"the service {service} has other containers than {name}: {_text(', '.join(others))}; compose would"
        " stop and replace these at the same time; expected a service of its own for each node"
    )


def _lost(name: str, option: str, made_from: Sequence[str], named: Sequence[str]) -> tuple[str, ...]:
    # By their last part: one of the two may have been called by a link, or from another folder.
    missing = Counter(map(_base, made_from)) - Counter(map(_base, named))
    if not missing:
        return ()
    options = " ".join(f"{option} {shlex.quote(path)}" for path in made_from)
    return (
        f"the container {name} was made with other files than compose would be called with, and would"
        f" lose what {_text(', '.join(missing))} says; expected in install.command, in this order:"
        f" {_text(options)}",
    )


def _paths(label: str, folder: str) -> tuple[str, ...]:
    return tuple(posixpath.join(folder, path) for path in label.split(",") if path)


def _base(path: str) -> str:
    return posixpath.basename(path)


def _text(text: str) -> str:
    return shorten(text, MAX_DETAIL)
