"""Answers of Consul, or of an impostor, and values that others have written into keys."""

import base64
from collections.abc import Callable
from typing import Any

import consul.base
from hypothesis import example
from hypothesis import strategies as st

from backends.consul.answers import decode_entries
from backends.consul.balancers import KeyBalancers, find_sockets
from backends.consul.catalog import ConsulService, instance
from backends.consul.client import Consul, Pair
from backends.consul.settings import ConsulSettings
from backends.consul.transport import Api
from backends.haproxy.address import SshAddress, parse_address
from backends.untrusted import NotInert
from orchestrator.inventory.consul import convert_instances
from orchestrator.inventory.source import NodeSettings, check_nodes
from tests.fuzz.harness import bounded, finished, fuzzed, inert
from tests.fuzz.structs import name
from tests.fuzz.texts import anything, data, grown, json_of, mostly, table, text, tree

SETTINGS = ConsulSettings()
PLACES = KeyBalancers(key="haproxy")
SERVICE = ConsulService(service="shop", ssh="meta:ssh")

check = table(CheckID=name, Status=st.sampled_from(["passing", "warning", "critical"]), Name=text, Notes=text)
entry = table(
    Node=table(Node=name, Address=st.one_of(name, text), Meta=st.dictionaries(st.just("ssh"), text)),
    Service=table(ID=name, Address=st.one_of(name, text), Port=st.integers(-1, 70_000), Meta=st.none()),
    Checks=st.lists(check, max_size=3),
)
pair = table(
    Key=text,
    Value=st.one_of(st.none(), data.map(lambda value: base64.b64encode(value).decode()), text),
    ModifyIndex=st.integers(-1, 2**64),
    LockIndex=st.integers(-1, 2**64),
    Session=text,
)


def body_of(item: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """A list of these, of which one may be there many times; or anything else."""
    listed = grown(item.map(lambda one: f"{json_of(one)},"), st.just("")).map(lambda items: f"[{items[:-1]}]")
    return st.one_of(
        listed, listed, tree.map(json_of), grown(st.sampled_from(["[", '{"a":', "[[]]", "é"])), anything
    )


class Answering(consul.base.HTTPClient):  # type: ignore[misc]
    """Gives the same answer to everything, as `backends.consul.transport.Http` would."""

    def __init__(self, code: int, headers: dict[str, str], body: str) -> None:
        self._answer = code, headers, body

    async def get(self, callback: Callable[[Any], Any], *_: Any, raw: bool = False, **__: Any) -> Any:
        code, headers, body = self._answer
        return callback(consul.base.Response(code, headers, body.encode(errors="replace") if raw else body))

    put = delete = post = get

    async def close(self) -> None:
        """Nothing to close."""


def asked(code: int, index: str, body: str) -> Consul:
    """A client to whom everything is answered so."""

    class Canned(Api):
        def http_connect(self, *_: Any, **__: Any) -> Any:
            return Answering(code, {"X-Consul-Index": index} if index else {}, body)

    found = Consul(SETTINGS)
    found._api = Canned(SETTINGS, "")
    return found


@fuzzed(body=body_of(entry))
def test_instances_of_a_service(body: str) -> None:
    def read() -> dict[str, NodeSettings]:
        entries = decode_entries(body.encode(errors="replace"), "health")
        found = convert_instances(SERVICE, {found.node: found for found in map(instance, entries)})
        return check_nodes(found)

    for node in (bounded(read, len(body)) or {}).values():
        inert(node.address, *([node.ssh] if node.ssh else []))


@fuzzed(
    body=body_of(pair),
    code=mostly(st.just(200), st.sampled_from([204, 301, 400, 401, 403, 404, 429, 500, 503])),
    index=st.sampled_from(["7", "7", "7", "", "x", "½", "9" * 5_000]),  # after 0 it would wait
)
@example(body="[{}]", code=200, index="7")
@example(body="[[]]", code=200, index="7")
@example(body='[{"Value": "é"}]', code=200, index="7")
@example(body="[" * 100_000, code=200, index="7")
@example(body="0", code=200, index="7")
def test_keys_and_what_else_is_asked(body: str, code: int, index: str) -> None:
    there = asked(code, index, body)
    for question in (
        lambda: there.get("a"),
        lambda: there.list("a/"),
        lambda: there.put("a", b""),
        lambda: there.leader(),
        lambda: there.services("shop", []),
        lambda: there.begin_session("a", 10, 0),
        lambda: there.renew_session("a"),
    ):
        bounded(lambda question=question: finished(question()), len(body))  # type: ignore[misc]


address = st.one_of(
    text, st.builds("{}://{}{}".format, st.sampled_from(["ssh", "unix", "tcp", "http"]), text, text)
)
hosts = st.one_of(
    address.map(str.encode),
    st.lists(address, max_size=3).map(json_of).map(str.encode),
    st.dictionaries(name, mostly(address), max_size=3).map(json_of).map(str.encode),
    st.dictionaries(name, tree, max_size=3).map(json_of).map(str.encode),
    anything.map(lambda said: said.encode(errors="replace")),
    data,
)


@fuzzed(value=hosts, app=name)
def test_where_load_balancers_are(value: bytes, app: str) -> None:
    class Keys(Consul):
        async def get(self, key: str, index: int = 0, wait: float = 0) -> tuple[int, Pair | None]:
            return 1, Pair(key, value, 1, 0, "")

    found = bounded(lambda: finished(find_sockets(Keys(SETTINGS), PLACES, app)), len(value))
    for socket in (found or {}).values():
        # As the configuration that is made of it is checked.
        there = bounded(lambda socket=socket: parse_address(socket), len(socket), ValueError, NotInert)  # type: ignore[misc]
        if there is not None:
            assert isinstance(there, SshAddress)  # PLACES allows no other scheme
            assert (there.user, there.path) == ("", "/run/haproxy/admin.sock")
            inert(there.host)
