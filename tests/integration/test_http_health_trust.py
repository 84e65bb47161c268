"""Health checks over HTTP with passwords and certificates."""

import asyncio
import datetime
import ipaddress
import shutil
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from backends.errors import ConfigError
from tests.support.health import look
from tests.support.pages import reply, serving

UP = reply('{"status":"UP"}')
VIA = [
    "console",
    pytest.param("node", marks=pytest.mark.skipif(not shutil.which("curl"), reason="no curl")),
]


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"username": "joe"}, b"authorization: Basic am9lOnMzY3JldA=="),
        ({}, b"authorization: Bearer s3cret"),
    ],
)
async def test_a_password_is_sent_and_never_seen(
    settings: dict[str, str], header: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "s3cret")
    heads: list[bytes] = []

    async def remember(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        await reply("", 401)(head, writer)

    async with serving({"/health": remember}) as port:
        result = await look(port, password_env="SHOP_PASSWORD", **settings)
    assert header.lower() in heads[0].lower()
    assert result.detail == "HTTP 401 Unauthorized, expected 200"
    assert "s3cret" not in repr(result)


async def test_a_password_that_cannot_be_used_is_an_error_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "s3cret\nX-Other: 1")
    with pytest.raises(ConfigError, match=r"apps\.shop\.health\.password: is not fit") as caught:
        await look(1, password_env="SHOP_PASSWORD")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigError, match="NOT_SET is not set"):
        await look(1, password_env="NOT_SET")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rolldeck tests")])
    now = datetime.datetime.now(datetime.UTC)
    local = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([local]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.mark.parametrize("via", VIA)
async def test_tls(certificate: Path, via: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    url = "https://127.0.0.1:{port}/health"
    async with serving({"/health": UP}, tls) as port:
        unknown = await look(port, url=url, check_from=via)
        trusted = await look(port, url=url, check_from=via, ca_file=str(certificate))
        any_one = await look(port, url=url, check_from=via, verify_tls=False)
        other_name = "https://localhost:{port}/health"
        wrong_name = await look(port, url=other_name, check_from=via, ca_file=str(certificate))
        plain = await look(port, check_from=via)
    assert (unknown.ok, trusted.ok, any_one.ok, wrong_name.ok) == (False, True, True, False)
    assert "self-signed certificate" in unknown.detail
    assert not plain.ok


async def test_certificates_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"health\.ca_file: cannot use .*No such file"):
        await look(1, ca_file=str(tmp_path / "missing.pem"))
    (tmp_path / "empty.pem").touch()
    with pytest.raises(ConfigError, match=r"health\.ca_file: cannot use"):
        await look(1, ca_file=str(tmp_path / "empty.pem"))
