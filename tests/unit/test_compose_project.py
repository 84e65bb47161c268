"""What compose would do to the project of a container, by the container's labels."""

import pytest

from backends.installers.compose_project import (
    ComposeOptions,
    parse_options,
    project_obstacles,
    replica_obstacle,
)

PROJECT = "com.docker.compose.project"
FILES = f"{PROJECT}.config_files"
LABELS = {
    PROJECT: "shop",
    "com.docker.compose.service": "web",
    FILES: "compose.yaml",
    f"{PROJECT}.working_dir": "/srv/shop",
}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("docker compose", ComposeOptions()),
        (
            "docker --host unix:///run/d.sock compose -f a.yaml --file=b.yaml -p shop",
            ComposeOptions(files=("a.yaml", "b.yaml"), projects=("shop",)),
        ),
        (
            "docker-compose --env-file prod.env --project-directory /srv --project-name=x",
            ComposeOptions(variables=("prod.env",), folders=("/srv",), projects=("x",)),
        ),
        ("docker compose -f", ComposeOptions(files=("",))),
    ],
)
def test_options(command: str, expected: ComposeOptions) -> None:
    assert parse_options(command.split()) == expected


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("-f /srv/shop/compose.yaml", "/srv/shop/.env"),
        ("-f base.yaml -f /srv/shop/compose.yaml", ".env"),
        ("--project-directory /etc/shop -f /srv/compose.yaml", "/etc/shop/.env"),
        ("--env-file one.env --env-file /srv/two.env -f /srv/compose.yaml", "/srv/two.env"),
    ],
)
def test_the_file_of_variables(command: str, file: str) -> None:
    assert parse_options(command.split()).variables_file == file


@pytest.mark.parametrize(
    ("labels", "command", "said"),
    [
        ({}, "-f /srv/shop/compose.yaml", ""),
        ({}, "-f /srv/link/compose.yaml", ""),  # as it may be called by a link
        ({FILES: "/srv/shop/compose.yaml"}, "-f /srv/shop/compose.yaml -p shop", ""),
        (
            {FILES: "compose.yaml,compose.override.yaml"},
            "-f /srv/shop/compose.yaml",
            "would lose what compose.override.yaml says; expected in install.command, in this order:"
            " -f /srv/shop/compose.yaml -f /srv/shop/compose.override.yaml",
        ),
        ({FILES: "a/compose.yaml,b/compose.yaml"}, "-f /srv/shop/a/compose.yaml", "lose what compose.yaml"),
        ({f"{PROJECT}.environment_file": "/srv/shop/.env"}, "-f compose.yaml", ""),
        ({f"{PROJECT}.environment_file": "prod.env"}, "-f compose.yaml", "--env-file /srv/shop/prod.env"),
        ({f"{PROJECT}.environment_file": "prod.env"}, "-f compose.yaml --env-file prod.env", ""),
        ({}, "-f compose.yaml -p other", "of the project shop, but install.command names the project other"),
        ({PROJECT: ""}, "-f compose.yaml", "was not made by compose"),
        ({"com.docker.compose.service": "db"}, "-f compose.yaml", "of the service db, not of web"),
    ],
)
def test_what_would_be_lost(labels: dict[str, str], command: str, said: str) -> None:
    found = project_obstacles("shop-web-1", "web", {**LABELS, **labels}, parse_options(command.split()))
    assert len(found) == bool(said)
    assert all(said in obstacle for obstacle in found)


def test_other_containers_of_the_service() -> None:
    assert replica_obstacle("web-1", "web", ["web-1"]) == ""
    assert "other containers than web-1: web-2, web-3;" in replica_obstacle(
        "web-1", "web", ["web-3", "web-1", "web-2"]
    )
