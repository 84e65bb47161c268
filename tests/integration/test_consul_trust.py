"""Authentication with Consul: TLS on both sides, tokens that are wrong or have few rights, and namespaces."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization

from backends.consul.client import Consul
from backends.consul.settings import ConsulSettings
from backends.errors import ConfigError, PermissionDenied, Refused, Unreachable
from tests.support.certificates import Authority
from tests.support.rollouts import ROLLDECK
from tests.support.servers.consul import Agent, needs_consul, running_consul

pytestmark = needs_consul


@asynccontextmanager
async def asked(settings: ConsulSettings, **changes: object) -> AsyncIterator[Consul]:
    consul = Consul(msgspec.structs.replace(settings, **changes))
    try:
        yield consul
    finally:
        await consul.close()


@pytest.fixture
async def trusted(tmp_path: Path) -> AsyncIterator[ConsulSettings]:
    """Of an agent that wants a certificate from everybody, and all that it takes."""
    ours = Authority(tmp_path, "ours")
    certificate, key = ours.issue("agent")
    files = {"ca_file": str(ours.certificate), "cert_file": str(certificate), "key_file": str(key)}
    own, own_key = ours.issue("operator")
    async with running_consul(tmp_path, tls=files) as agent:
        yield ConsulSettings(
            address=agent.secure_address,
            ca_file=str(ours.certificate),
            client_cert=str(own),
            client_key=str(own_key),
        )


async def test_with_certificates_of_one_authority_all_of_it_works(trusted: ConsulSettings) -> None:
    async with asked(trusted) as consul:
        assert await consul.put("key", b"1")
        index, pair = await consul.get("key")
        assert pair is not None
        assert pair.value == b"1"
        assert (await consul.get("key", index, wait=0.1))[1] == pair
        assert await consul.renew_session(await consul.begin_session("test", 10, 0))
        assert (await consul.services("shop", []))[1] == []


async def test_who_is_not_trusted_says_where_to_look(trusted: ConsulSettings, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    certificate, key = map(str, stranger.issue("somebody"))
    name = trusted.address.replace("127.0.0.1", "localhost")
    cases: list[tuple[dict[str, object], str]] = [
        (
            {"client_cert": "", "client_key": ""},
            r"has ended the connection: .+; does it want a client_cert\?",
        ),
        (
            {"client_cert": certificate, "client_key": key},
            r"has ended the connection: .+; does it trust client_cert\?",
        ),
        ({"ca_file": str(stranger.certificate)}, r"is not trusted: .*verify failed: .*; see ca_file"),
        ({"ca_file": ""}, r"is not trusted: .*verify failed: .*; see ca_file"),
        ({"address": name}, r"is not trusted: .*not valid for 'localhost'.*; see the host in `address`"),
    ]
    for changes, words in cases:
        async with asked(trusted, **changes) as consul:
            with pytest.raises(Unreachable, match=rf"^consul: key key: https://\S+ {words}$"):
                await consul.get("key")


async def test_without_verification_any_agent_will_do(trusted: ConsulSettings, tmp_path: Path) -> None:
    other = str(Authority(tmp_path, "other").certificate)
    for ca_file in ("", other):
        async with asked(trusted, ca_file=ca_file, verify_tls=False) as consul:
            assert await consul.put("key", b"1")


async def test_http_and_https_are_told_apart(trusted: ConsulSettings, tmp_path: Path) -> None:
    async with asked(trusted, address=trusted.address.replace("https", "http")) as consul:
        with pytest.raises(Refused, match="HTTP request to an HTTPS server"):
            await consul.get("key")
    (tmp_path / "plain").mkdir()
    async with (
        running_consul(tmp_path / "plain") as agent,
        asked(trusted, address=agent.address.replace("http", "https")) as consul,
    ):
        with pytest.raises(Unreachable, match=r"cannot be reached: .*; does it speak http\?"):
            await consul.get("key")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder, "ours")
    _, key = authority.issue("own")
    authority.issue("other")
    (folder / "text.pem").write_text("no certificate\n")
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    (folder / "locked-key.pem").write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return folder


@pytest.mark.parametrize(
    ("key", "file", "problem"),
    [
        ("ca_file", "missing.pem", "cannot be used: No such file or directory"),
        ("ca_file", "text.pem", "has no certificate in PEM"),
        ("client_cert", "missing.pem", "cannot be used: No such file or directory"),
        ("client_cert", "text.pem", "has no certificate in PEM"),
        ("client_cert", "own-key.pem", "has no certificate in PEM"),
        ("client_key", "missing.pem", "cannot be used: No such file or directory"),
        ("client_key", "text.pem", "is no private key in PEM"),
        ("client_key", "other-key.pem", "is not the key of client_cert"),
        ("client_key", "locked-key.pem", "cannot be used: is encrypted, and its password"),
    ],
)
async def test_a_file_that_is_unfit_is_named(files: Path, key: str, file: str, problem: str) -> None:
    good = ConsulSettings(
        address="https://127.0.0.1:1",
        ca_file=str(files / "ours.pem"),
        client_cert=str(files / "own.pem"),
        client_key=str(files / "own-key.pem"),
    )
    async with asked(good, **{key: str(files / file)}) as consul:
        with pytest.raises(ConfigError) as caught:
            await consul.get("key")
    assert str(caught.value).startswith(f"consul.{key}: {files / file} {problem}")


def test_it_is_named_as_it_stands_in_the_configuration(files: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"""
[consul]
address = "https://127.0.0.1:1"
ca_file = "{files}/text.pem"
[apps.shop]
backends = ["shop"]
service = {{ kind = "monit", name = "shop" }}
inventory = {{ kind = "consul", service = "shop" }}
load_balancers = {{ kind = "consul-key", key = "haproxy" }}
""")
    command = [ROLLDECK, "--config", str(config), "status"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"rolldeck: {config}: consul.ca_file: {files}/text.pem has no certificate in PEM\n"


async def test_a_namespace_where_there_are_none(tmp_path: Path) -> None:
    async with running_consul(tmp_path) as agent:
        settings = ConsulSettings(address=agent.address, namespace="team")
        async with asked(settings) as consul:
            for ask in (consul.get("key"), consul.put("key", b""), consul.services("shop", [])):
                with pytest.raises(Refused, match="this Consul has no namespaces; leave `namespace` out"):
                    await ask


async def policy(agent: Agent, rules: str) -> str:
    """A token that may only do this."""
    await agent.ask("PUT", "/v1/acl/policy", {"Name": "little", "Rules": rules})
    made = await agent.ask("PUT", "/v1/acl/token", {"Policies": [{"Name": "little"}]})
    return str(made["SecretID"])


async def test_a_token_that_is_wrong_and_one_that_may_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_consul(tmp_path, acl=True) as agent:
        settings = ConsulSettings(address=agent.address, token_env="OURS")
        wrong = "99999999-8888-7777-6666-555555555555"
        little = await policy(agent, 'key_prefix "" { policy = "read" }')
        for token, words in ((wrong, "Consul does not know the token"), (little, "the token lacks a policy")):
            monkeypatch.setenv("OURS", token)
            async with asked(settings) as consul:
                with pytest.raises(PermissionDenied, match=f"set key: permission denied; {words}") as caught:
                    await consul.put("key", b"1")
            assert token not in str(caught.value)
