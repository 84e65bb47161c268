"""Who else starts a container again, or another one in its place, by the labels that they give it."""

import re
from collections.abc import Mapping

from backends.command import Command
from backends.text import MAX_DETAIL_CHARS, shorten

_KEEPERS = {
    "com.docker.swarm.service.name": "the swarm service",
    "io.kubernetes.pod.name": "the pod of Kubernetes",
    "com.hashicorp.nomad.alloc_id": "the allocation of Nomad",
}
_UNIT = "PODMAN_SYSTEMD_UNIT"  # of Quadlet and `podman generate systemd`
_COMPOSED = "io.podman.compose.project"  # podman-compose names a unit, too, that need not be there
_UNIT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@\\-]{0,254}")
_IS_ACTIVE = 'systemctl is-active --quiet -- "$1" || systemctl --user is-active --quiet -- "$1"'


def keeper_obstacle(labels: Mapping[str, str]) -> str:
    """Why a stop would not last, in words; empty where no label says so."""
    for label, keeper in _KEEPERS.items():
        if name := labels.get(label):
            return (
                f"the container belongs to {keeper} {shorten(name, MAX_DETAIL_CHARS)}, which would replace it"
            )
    return ""


def unit_of(labels: Mapping[str, str]) -> str:
    """The unit of systemd that the container was made by; empty where none is named."""
    unit = labels.get(_UNIT, "")
    return unit if _COMPOSED not in labels and _UNIT_NAME.fullmatch(unit) else ""


def is_active_command(unit: str) -> Command:
    """Succeeds while the unit is active, for the machine or for the user."""
    return Command(("sh", "-c", _IS_ACTIVE, "sh", unit))


def unit_obstacle(unit: str) -> str:
    """Why a stop would not last while this unit is active, in words."""
    return (
        f"the container is run by the systemd unit {unit}, which may start it again at once; expected service"
        " kind systemd with that unit"
    )
