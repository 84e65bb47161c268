"""The load balancers of an application, as a key or a service in Consul names them."""

import json
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from backends.consul.catalog import ConsulService, instances
from backends.consul.client import Consul
from backends.errors import ConfigError
from backends.haproxy.address import UnixAddress, parse_address
from backends.templates import AppKey, HostText, TaggedSettings, check_host, check_value, fill_plain

_EXPECTED = "a host, a list of hosts, or an object of names and hosts"


class _BalancerSettings(TaggedSettings, kw_only=True, frozen=True):
    """Settings that both kinds share.

    Attributes:
        socket: address of the Runtime API, with `{host}` where a value in Consul names only a host.
        schemes: schemes of complete addresses that Consul may contain: "ssh", "tcp", "unix". Those who write
            to Consul then choose user, port and path too, and with "unix" or "tcp" what Rolldeck connects to
            on this machine or in its network. Empty: only addresses that `socket` yields for some host.
    """

    socket: HostText = "ssh://{host}/run/haproxy/admin.sock"
    schemes: list[Literal["ssh", "tcp", "unix"]] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        if "{host}" not in self.socket:
            raise ValueError(f"socket: found {self.socket!r}, expected {{host}} in it")
        try:
            parse_address(self.address_of("lb1"))
        except ValueError as error:
            raise ValueError(f"socket: {error}") from None

    def address_of(self, host: str) -> str:
        """Return the address of the Runtime API on a host; only an IPv6 address gets brackets."""
        bracketed = f"[{host}]" if ":" in host else host
        return self.socket.replace("[{host}]", "{host}").replace("{host}", bracketed)


class KeyBalancers(_BalancerSettings, kw_only=True, frozen=True, tag="consul-key"):
    """A key in Consul, one for each application or one for all.

    Its value is a host, several hosts separated by commas or spaces, or JSON: a host or a list of hosts; an
    object of names and hosts; or an object of applications, each with any of these. A complete address
    (`tcp://10.0.0.1:9999`) may replace a host, if `schemes` has its scheme or `socket` yields the same.

    Attributes:
        key: the key in Consul's key/value store; it may contain {app}.
    """

    key: AppKey


class ServiceBalancers(_BalancerSettings, kw_only=True, frozen=True, tag="consul-service"):
    """A service of HAProxy instances. See `ConsulService` for tags and name."""

    service: str
    tags: list[str] = msgspec.field(default_factory=list)
    datacenter: str = ""
    name: str = "node"


ConsulBalancers = KeyBalancers | ServiceBalancers


async def find_sockets(consul: Consul, source: ConsulBalancers, app: str) -> dict[str, str]:
    """Read the addresses of the Runtime APIs, by the names of the load balancers.

    Args:
        consul: the client.
        source: the key or the service that names them.
        app: the application.

    Raises:
        BackendError: Consul does not answer.
        ConfigError: the value in Consul is missing or cannot be understood.
    """
    if isinstance(source, ServiceBalancers):
        service = ConsulService(
            service=source.service, tags=source.tags, datacenter=source.datacenter, name=source.name
        )
        _, found = await instances(consul, service)
        hosts: Mapping[str, str] = {name: instance.address for name, instance in found.items()}
        what = f"service {source.service} in Consul"
    else:
        where = fill_plain(source.key, {"app": app})
        _, pair = await consul.get(where)
        if pair is None:
            raise ConfigError("", "load_balancers.key", f"there is no key {where!r} in Consul")
        what = f"key {where} in Consul"
        hosts = _parse_hosts(_decode(pair.value, what), app, what)
    if not hosts:
        raise ConfigError("", "load_balancers", f"{what} names no load balancer")
    for name in hosts:
        check_value(f"{what}: name", name)
    table = f"[apps.{app}.load_balancers]"
    return {
        name: runtime_address(source, host, f"{what}: host of {name}", table) for name, host in hosts.items()
    }


def runtime_address(source: ConsulBalancers, host: str, what: str, table: str) -> str:
    """Return the address of a Runtime API that Consul names by its host or as a complete address.

    Args:
        source: the settings, which restrict what Consul may contain.
        host: the host or address found in Consul.
        what: where it was found, for errors.
        table: the table of the configuration in which more can be allowed, for errors.

    Raises:
        ConfigError: the address is not inert, or not allowed.
    """
    if "://" not in host:
        return source.address_of(check_host(what, host))
    try:
        whole = parse_address(host)
    except ValueError as error:
        raise ConfigError("", what, str(error)) from None
    scheme = urlsplit(host).scheme
    if scheme in source.schemes:
        return host
    if not isinstance(whole, UnixAddress) and whole == parse_address(source.address_of(whole.host)):
        return host
    allowed = " or ".join(
        (f"a host for {source.socket!r}", *(f"{allowed}://…" for allowed in source.schemes))
    )
    raise ConfigError(
        "",
        what,
        f"found {host!r}, a whole address with scheme {scheme!r}, expected {allowed};"
        f' schemes = ["{scheme}"] in {table} allows whole addresses of this kind',
    )


def _decode(value: bytes, what: str) -> Any:
    try:
        text = value.decode().strip()
    except UnicodeDecodeError:
        raise ConfigError("", what, "is not UTF-8 text") from None
    if not text.startswith(("{", "[", '"')):
        if text and _is_json(text):  # null, true or 5, which a program writes when it has no value
            raise ConfigError("", what, f"found {text[:80]}, expected {_EXPECTED}")
        return text.replace(",", " ").split()
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError("", what, f"is not JSON: {error}") from None


def _parse_hosts(value: Any, app: str, what: str) -> Mapping[str, str]:
    if isinstance(value, dict) and app in value:
        value = value[app]
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    if isinstance(value, list) and all(isinstance(host, str) for host in value):
        value = {_name_of(host): host for host in value}
    if not isinstance(value, dict) or not all(isinstance(host, str) for host in value.values()):
        raise ConfigError("", what, f"has nothing for {app!r} that is {_EXPECTED}")
    return value


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _name_of(host: str) -> str:
    """Return a name for a load balancer that has none, which is its host."""
    return host.partition("://")[2].partition("/")[0] if "://" in host else host
