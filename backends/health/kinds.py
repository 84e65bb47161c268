"""All health checks, chosen by `kind` in the configuration; see `backends.kinds`."""

from collections.abc import Mapping

from backends.health.command import CommandCheck, CommandHealth
from backends.health.http import HttpCheck, HttpHealth
from backends.health.http_client import NodeFetch, WebClient
from backends.health.tcp import TcpCheck, TcpHealth
from backends.protocols import HealthCheck, Host

HealthSettings = TcpHealth | HttpHealth | CommandHealth


class HealthCheckFactory:
    """Makes the checks of one application's nodes, which share one HTTP client."""

    def __init__(self, settings: HealthSettings, what: str, console: Host) -> None:
        """Keep what all checks of an application share.

        Args:
            settings: the settings of the application.
            what: their path in the configuration, such as ``apps.shop.health``.
            console: the machine of the console.
        """
        self._settings = settings
        self._console = console
        self._web = WebClient(settings, what) if isinstance(settings, HttpHealth) else None

    def create(self, host: Host, values: Mapping[str, str]) -> HealthCheck:
        """Make the check of one node.

        Args:
            host: the node.
            values: the values of placeholders: app, node, address, port and service, all inert.

        Raises:
            ConfigError: there is no port to check.
        """
        settings = self._settings
        if isinstance(settings, TcpHealth):
            return TcpCheck(settings.probe(host, values), settings.number(values))
        if isinstance(settings, CommandHealth):
            where = self._console if settings.check_from == "console" else host
            return CommandCheck(where, settings, values)
        if self._web is None or settings.check_from == "node":
            return HttpCheck(settings, values, NodeFetch(host, settings).fetch)
        return HttpCheck(settings, values, self._web.fetch)

    async def close(self) -> None:
        """Close the HTTP client, if one was opened."""
        if self._web is not None:
            await self._web.close()
