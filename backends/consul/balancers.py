"""Where the load balancers of an application are: from a key in Consul, or from a service of them."""

import json
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from backends.consul.catalog import ConsulService, instances
from backends.consul.client import Consul
from backends.errors import ConfigError
from backends.haproxy.address import UnixAddress, parse_address
from backends.templates import AppKey, HostText, check_host, check_value, fill_plain

_EXPECTED = "a host, a list of hosts, or an object of names and hosts"


class _Kind(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """Common to both.

    Attributes:
        socket: address of the Runtime API, with `{host}` where a value names only a host.
        schemes: of whole addresses that may stand in Consul: "ssh", "tcp", "unix". Whoever may write there
            then decides on user, port and path too, and with "unix" or "tcp" what on this machine or in its
            network is connected to. Empty: only addresses that `socket` makes of some host.
    """

    socket: HostText = "ssh://{host}/run/haproxy/admin.sock"
    schemes: list[Literal["ssh", "tcp", "unix"]] = []

    def __post_init__(self) -> None:
        if "{host}" not in self.socket:
            raise ValueError(f"socket: found {self.socket!r}, expected {{host}} in it")
        try:
            parse_address(self.of("lb1"))
        except ValueError as error:
            raise ValueError(f"socket: {error}") from None

    def of(self, host: str) -> str:
        """The address of the Runtime API on a host; only an IPv6 address has brackets."""
        shown = f"[{host}]" if ":" in host else host
        return self.socket.replace("[{host}]", "{host}").replace("{host}", shown)


class KeyPlaces(_Kind, kw_only=True, frozen=True, tag="consul-key"):
    """A key, one for each application or one for all.

    Its value is a host, several of them separated by commas or spaces, or JSON: a host or a list of hosts; an
    object of names and hosts; or an object of applications, each with any of these. Where a host is expected
    a whole address (`tcp://10.0.0.1:9999`) may stand, if `schemes` has its scheme or `socket` would make it.

    Attributes:
        key: of Consul's key/value store; may name {app}.
    """

    key: AppKey


class ServicePlaces(_Kind, kw_only=True, frozen=True, tag="consul-service"):
    """A service of HAProxy instances. See `ConsulService` for tags and name."""

    service: str
    tags: list[str] = []
    datacenter: str = ""
    name: str = "node"


Places = KeyPlaces | ServicePlaces


async def sockets(consul: Consul, places: Places, app: str) -> dict[str, str]:
    """The addresses of the Runtime APIs by name.

    Args:
        consul: is asked.
        places: where to look.
        app: the application.

    Raises:
        BackendError: Consul could not be asked.
        ConfigError: what it has is not understood, or it has nothing.
    """
    if isinstance(places, ServicePlaces):
        service = ConsulService(
            service=places.service, tags=places.tags, datacenter=places.datacenter, name=places.name
        )
        _, found = await instances(consul, service)
        hosts: Mapping[str, str] = {name: each.address for name, each in found.items()}
        what = f"service {places.service} in Consul"
    else:
        where = fill_plain(places.key, {"app": app})
        _, pair = await consul.get(where)
        if pair is None:
            raise ConfigError("", "places.key", f"there is no key {where!r} in Consul")
        what = f"key {where} in Consul"
        hosts = _hosts(_decoded(pair.value, what), app, what)
    if not hosts:
        raise ConfigError("", "load_balancers", f"{what} names no load balancer")
    for name in hosts:
        check_value(f"{what}: name", name)
    table = f"[apps.{app}.load_balancers]"
    return {name: address(places, host, f"{what}: host of {name}", table) for name, host in hosts.items()}


def address(places: Places, host: str, what: str, table: str) -> str:
    """The address of a Runtime API that Consul names by its host or as a whole. Pure.

    Args:
        places: says what may stand in Consul.
        host: that stands there.
        what: its place there, for errors.
        table: of the configuration in which more can be allowed, for errors.

    Raises:
        ConfigError: it is not inert, or not allowed.
    """
    if "://" not in host:
        return places.of(check_host(what, host))
    try:
        whole = parse_address(host)
    except ValueError as error:
        raise ConfigError("", what, str(error)) from None
    scheme = urlsplit(host).scheme
    if scheme in places.schemes:
        return host
    if not isinstance(whole, UnixAddress) and whole == parse_address(places.of(whole.host)):
        return host
    allowed = " or ".join((f"a host for {places.socket!r}", *(f"{each}://…" for each in places.schemes)))
    raise ConfigError(
        "",
        what,
        f"found {host!r}, a whole address with scheme {scheme!r}, expected {allowed};"
        f' schemes = ["{scheme}"] in {table} allows whole addresses of this kind',
    )


def _decoded(value: bytes, what: str) -> Any:
    try:
        text = value.decode().strip()
    except UnicodeDecodeError:
        raise ConfigError("", what, "is not UTF-8 text") from None
    if not text.startswith(("{", "[", '"')):
        if text and _is_json(text):  # null, true, 5: what a program writes that has nothing to say
            raise ConfigError("", what, f"found {text[:80]}, expected {_EXPECTED}")
        return text.replace(",", " ").split()
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError("", what, f"is not JSON: {error}") from None


def _hosts(value: Any, app: str, what: str) -> Mapping[str, str]:
    if isinstance(value, dict) and app in value:
        value = value[app]
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    if isinstance(value, list) and all(isinstance(host, str) for host in value):
        value = {_short(host): host for host in value}
    if not isinstance(value, dict) or not all(isinstance(host, str) for host in value.values()):
        raise ConfigError("", what, f"has nothing for {app!r} that is {_EXPECTED}")
    return value


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _short(host: str) -> str:
    """A name for a load balancer that has none: its host."""
    return host.partition("://")[2].partition("/")[0] if "://" in host else host
