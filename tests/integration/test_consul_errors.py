"""What Consul's client raises for the status of an answer, whatever the text of the answer is."""

import pytest

from backends.consul.client import Consul
from backends.consul.settings import ConsulSettings
from backends.errors import BackendError, PermissionDenied, Refused, Unreachable
from tests.support.pages import reply, serving


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (500, "No cluster leader", Unreachable, "set a: the servers have no leader at the moment"),
        (503, "busy", Unreachable, "set a: 503 busy"),
        (500, "rpc error: Namespaces are a Consul Enterprise feature", Refused, "leave `namespace` out"),
        (403, "Permission denied", PermissionDenied, "no token is given"),
        (401, "ACL support disabled", Refused, "the agent has no ACLs"),
        (400, "Missing value", Refused, "set a: 400 Missing value"),
        (429, "503 in another server's words", Refused, "set a: 429 503 in another"),
    ],
)
async def test_a_failure_has_the_kind_of_its_status(
    status: int, body: str, kind: type[BackendError], text: str
) -> None:
    async with serving({"/v1/kv/a": reply(body, status)}) as port:
        consul = Consul(ConsulSettings(address=f"http://127.0.0.1:{port}"))
        try:
            with pytest.raises(BackendError) as caught:
                await consul.put("a", b"value")
        finally:
            await consul.close()
    assert type(caught.value) is kind
    assert text in caught.value.problem


async def test_a_missing_page_is_no_failure_of_the_servers() -> None:
    async with serving({"/v1/health/service/shop": reply("500 years of pages", 404)}) as port:
        consul = Consul(ConsulSettings(address=f"http://127.0.0.1:{port}"))
        try:
            with pytest.raises(Refused, match="500 years of pages"):
                await consul.services("shop", [])
        finally:
            await consul.close()
