"""Answers of Consul, checked: instances of a service, of which only what is used is decoded, and keys."""

from typing import Any, Literal

import msgspec

from backends.consul.settings import NAME
from backends.errors import Unmeasured


class Machine(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """What Consul calls a node."""

    node: str
    address: str
    meta: dict[str, str] | None = None


class Service(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """An instance, as its agent has it; without an address it is that of its machine."""

    address: str
    port: int
    identity: str = msgspec.field(name="ID")
    meta: dict[str, str] | None = None


class Check(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    status: Literal["passing", "warning", "critical"]
    identity: str = msgspec.field(name="CheckID")
    name: str = ""
    notes: str = ""


class Entry(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """One instance of a service with its checks, those of its machine among them."""

    node: Machine
    service: Service
    checks: list[Check]


class KeyValue(msgspec.Struct, frozen=True, rename="pascal"):
    """One key, as `/v1/kv` has it."""

    key: str
    modify_index: int
    lock_index: int
    value: bytes | None = None
    session: str = ""


_DECODER = msgspec.json.Decoder(list[Entry])


def decoded(body: bytes, what: str) -> list[Entry]:
    """Of a whole answer.

    Args:
        body: JSON.
        what: was asked, for the error.

    Raises:
        Unmeasured: it is no JSON, or an entry has not what an entry has.
    """
    try:
        return _DECODER.decode(body)
    except msgspec.MsgspecError as error:
        raise Unmeasured(NAME, f"{what}: the answer is not understood: {error}") from None
    except UnicodeDecodeError as error:
        raise Unmeasured(NAME, f"{what}: the answer is not UTF-8 text: {error.reason}") from None


def checked(answer: Any, kind: Any, what: str) -> Any:
    """What py-consul has decoded, as this type. Raises Unmeasured, as `decoded` does."""
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise Unmeasured(NAME, f"{what}: the answer is not understood: {error}") from None
