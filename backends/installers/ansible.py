"""Installing with the Ansible playbook that exists already, run from the console's machine."""

import shlex
from collections.abc import Mapping
from typing import Any

import msgspec

from backends.installers.recipe import Recipe
from backends.model import Command
from backends.template import fill_plain


class AnsibleInstall(Recipe, kw_only=True, frozen=True, tag="ansible"):
    """`ansible-playbook` for one node.

    Attributes:
        playbook: path on the console's machine; relative to `directory` if there is one.
        inventory: as for `-i`; empty for the one of ansible.cfg.
        limit: template of the node's name in Ansible's inventory.
        variable: the extra variable that carries the wanted version.
        extra: more extra variables; texts are templates. Not for secrets: they are seen in the
            process list and in the transcript, and Ansible has its vault for them.
        directory: where to run, so that its ansible.cfg is found; empty for where the console runs.
        options: more options, such as ``--become --tags deploy``.
    """

    playbook: str
    inventory: str = ""
    limit: str = "{node}"
    variable: str = "version"
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    directory: str = ""
    options: str = ""

    def install_commands(self, values: Mapping[str, str]) -> tuple[Command, ...]:
        argv = ("env", "ANSIBLE_NOCOLOR=1", "ansible-playbook", *self._arguments(values))
        if not self.directory:
            return (Command(argv),)
        directory = fill_plain(self.directory, values)
        script = f"cd -- {shlex.quote(directory)} && exec {shlex.join(argv)}"
        return (Command.shell(script),)

    def _arguments(self, values: Mapping[str, str]) -> tuple[str, ...]:
        inventory = (f"--inventory={fill_plain(self.inventory, values)}",) if self.inventory else ()
        return (
            *inventory,
            f"--limit={fill_plain(self.limit, values)}",
            f"--extra-vars={self._variables(values)}",
            *shlex.split(self.options),
            "--",
            fill_plain(self.playbook, values),
        )

    def _variables(self, values: Mapping[str, str]) -> str:
        """As JSON: `key=value` would be split at spaces and turn 1.10 into a number."""
        extra = {
            name: fill_plain(value, values) if isinstance(value, str) else value
            for name, value in self.extra.items()
        }
        return msgspec.json.encode({self.variable: values["version"], **extra}).decode()
