"""Signed values in Consul: what the signature covers, and that it is worth nothing elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backends.consul.settings import ConsulSettings
from backends.consul.signing import FORGED, UNSIGNED, Kind, Signer, open_value
from backends.errors import ConfigError
from backends.secrets import Secret, redact

KEY = "0123456789abcdef"
OURS = Signer(Secret(KEY), "rolldeck/shop")


def test_what_is_signed_is_verified_and_reads_as_it_was() -> None:
    for content in (b"", b"{}", b"\n\x00\xff", bytes(400_000)):
        opened = open_value(OURS, "publication", OURS.sign("publication", content))
        assert (opened.content, opened.verified, opened.doubt) == (content, True, "")


def test_who_has_no_key_reads_it_all_the_same_and_vouches_for_nothing() -> None:
    opened = open_value(None, "lock", OURS.sign("lock", b"me", "session"))
    assert (opened.content, opened.verified, opened.doubt) == (b"me", False, "")


@pytest.mark.parametrize("value", [b"", b"{}", b"rolldeck", OURS.sign("lock", b"")[1:]])
def test_what_is_not_signed_is_told_from_what_is_forged(value: bytes) -> None:
    opened = open_value(OURS, "publication", value)
    assert (opened.content, opened.verified, opened.doubt) == (value, False, UNSIGNED)


def test_each_bit_counts() -> None:
    signed = OURS.sign("request", b'{"what": "abort"}')
    for index in range(23, len(signed)):  # behind the mark
        changed = bytearray(signed)
        changed[index] ^= 1
        assert open_value(OURS, "request", bytes(changed)).doubt == FORGED
    for length in range(23, len(signed)):
        assert not open_value(OURS, "request", signed[:length]).verified


def test_it_is_worth_nothing_as_something_else() -> None:
    signed = OURS.sign("publication", b"content", "session")
    others: list[tuple[Signer, Kind, str]] = [
        (OURS, "request", "session"),
        (OURS, "lock", "session"),
        (OURS, "publication", "another session"),
        (OURS, "publication", ""),
        (Signer(Secret(KEY), "rolldeck/bank"), "publication", "session"),
        (Signer(Secret(KEY), "rolldec/kshop"), "publication", "session"),
        (Signer(Secret(KEY[::-1]), "rolldeck/shop"), "publication", "session"),
    ]
    for signer, kind, bound in others:
        assert open_value(signer, kind, signed, bound).doubt == FORGED
    # What is bound to and the content do not run into each other.
    assert not open_value(OURS, "publication", OURS.sign("publication", b"on", "sessi"), "session").verified


def settings(given: Mapping[str, str]) -> ConsulSettings:
    values: dict[str, Any] = {f"signing_key_{name}": value for name, value in given.items()}
    return ConsulSettings(**values)


async def test_the_key_is_where_the_configuration_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNING", KEY)
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    for given in ({"env": "SIGNING"}, {"file": str(file)}, {"command": f"printf {KEY}"}):
        signer = await settings(given).signer("shop")
        assert signer == OURS
        assert KEY not in repr(signer)
        assert KEY not in redact(f"it is {KEY}")
    assert await settings({}).signer("shop") is None


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"env": "NOTHING"}, "consul.signing_key_env: environment variable NOTHING is not set"),
        ({"command": "printf short"}, "consul.signing_key: the key has 5 bytes, expected at least 16"),
        ({"command": "printf ''"}, "consul.signing_key_command: the secret is empty"),
        ({"command": "exit 3"}, "failed with exit status 3"),
        ({"env": "A", "command": "b"}, "more than one place for it"),
    ],
)
async def test_a_key_that_is_unfit_is_named_and_not_shown(given: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await settings(given).signer("shop")
    assert problem in str(caught.value)
    assert "short" not in str(caught.value).replace("printf short", "")


def test_no_key_stands_in_the_configuration_itself() -> None:
    with pytest.raises(msgspec.ValidationError, match="signing_key"):
        msgspec.convert({"signing_key": KEY}, ConsulSettings)
