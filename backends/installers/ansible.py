"""Installing with the Ansible playbook that exists already, run from the console's machine."""

import re
import shlex
from collections.abc import Mapping

import msgspec

from backends.errors import ConfigError
from backends.inert import is_address
from backends.installers.recipe import Recipe
from backends.model import Command
from backends.placeholders import InstallTable, InstallText, NoText
from backends.template import fill_plain

_ONE_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@%+=-]*")
_GROUPS = ("all", "ungrouped")  # those that every inventory has


class AnsibleInstall(Recipe, kw_only=True, frozen=True, tag="ansible"):
    """`ansible-playbook` for one node.

    Attributes:
        playbook: path on the console's machine; relative to `directory` if there is one.
        inventory: as for `-i`; empty for the one of ansible.cfg.
        limit: template of the node's name in Ansible's inventory. Ansible reads it as a pattern, so a value
            that could mean other hosts than the one of that name is refused.
        variable: the extra variable that carries the wanted version.
        extra: more extra variables; texts are templates. Not for secrets: they are seen in the
            process list and in the transcript, and Ansible has its vault for them.
        directory: where to run, so that its ansible.cfg is found; empty for where the console runs.
        options: more options, such as ``--become --tags deploy``.
    """

    playbook: InstallText
    inventory: InstallText = ""
    limit: InstallText = "{node}"
    variable: str = "version"
    extra: InstallTable = msgspec.field(default_factory=dict)
    directory: InstallText = ""
    options: NoText = ""

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
            f"--limit={self._one_host(values)}",
            f"--extra-vars={self._variables(values)}",
            *shlex.split(self.options),
            "--",
            fill_plain(self.playbook, values),
        )

    def _one_host(self, values: Mapping[str, str]) -> str:
        """Fill `limit`. Its own text is the operator's and may be any pattern.

        Raises:
            ConfigError: a value is a pattern, a list, a file or a group for Ansible.
        """
        limit = fill_plain(self.limit, values)
        for name, value in values.items():
            if f"{{{name}}}" not in self.limit:
                continue
            # An address with colons is one host only where nothing else stands beside it.
            alone = limit == value and is_address(value)
            if value in _GROUPS or not (alone or _ONE_HOST.fullmatch(value)):
                found = f"{{{name}}} is {value!r}, which Ansible would not read as the name of one host"
                expected = "letters, digits and . _ @ % + = -"
                raise ConfigError("", "install.limit", f"{found}; expected {expected}")
        return limit

    def _variables(self, values: Mapping[str, str]) -> str:
        """As JSON: `key=value` would be split at spaces and turn 1.10 into a number."""
        extra = {
            name: fill_plain(value, values) if isinstance(value, str) else value
            for name, value in self.extra.items()
        }
        return msgspec.json.encode({self.variable: values["version"], **extra}).decode()
