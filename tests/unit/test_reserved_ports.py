"""Ports for servers that start later: nobody else gets one meanwhile, and the server itself does."""

import socket

import pytest

from console.demo.stack import ReservedPorts
from tests.support.free_ports import free_port


def test_nobody_else_is_given_one_before_its_server_has_started() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))


def test_its_server_listens_on_it_as_often_as_it_starts() -> None:
    port = free_port()
    for _ in range(2):
        with socket.socket() as before:
            assert before.connect_ex(("127.0.0.1", port)) != 0
        with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            pass


def test_none_is_given_twice_and_all_are_given_back() -> None:
    ports = ReservedPorts()
    given = [ports.reserve() for _ in range(100)]
    assert len(set(given)) == len(given)
    ports.release()
    with socket.socket() as other:
        other.bind(("127.0.0.1", given[0]))
