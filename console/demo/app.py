"""The demo's application: a small HTTP/1.1 server that behaves as its release says.

Started as ``python -S -E releases/1.5.0/app.py NODE PORT``; the ``release.json`` beside it says
which version it is and what is wrong with it (`console.demo.node.Release` explains the fields).
It has few imports, all of the standard library, so that its start takes a fraction of what the demo measures.

On SIGTERM it behaves like a good service: it closes the port, finishes the requests in flight, tells
websockets that it goes away (status 1001), and ends. The port is therefore closed BEFORE the process is gone,
which misleads tools that only check the port.
"""

import contextlib
import itertools
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import threading
import time
from typing import Any, BinaryIO

LOGGED_REQUESTS = 50  # after so many, the log has a line
LINGER_S = 1.0  # for a client to close a connection whose response it has received
SILENCE_S = 60.0  # that a request is left without an answer, unless the client leaves before
RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: closing the connection resets it

FRAME_INTERVAL_S = 1.0  # between two messages on a websocket
WEBSOCKET_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3: added to the key of each client
TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A  # first byte of a frame that is whole
GOING_AWAY = struct.pack("!H", 1001)  # payload of a close frame
LENGTH_BITS = 0x7F  # of the second byte of a frame; the length of its payload, up to 125 bytes here


class Errors:
    """Decides which requests fail, as the release says: a share of them, one by one or in runs."""

    def __init__(self, release: dict[str, Any], node: str) -> None:
        self._share: float = release["error_share"]
        self._run_length = max(1.0, float(release["error_run"]))
        kind = release["error_kind"]
        self._kind: str = "500 Internal Server Error" if kind == "500" else kind
        self._every = release["error_every"]
        self._incident_file = release["incident_file"]
        self._random = random.Random(f"{release['seed']} {node}")  # noqa: S311 - no secret
        self._failing = False
        self._lock = threading.Lock()

    def find(self, number: int) -> str:
        """Return how this request fails: with a status, ``reset`` or ``silence``; empty: it does not."""
        if self._incident_file and self._random.random() < _read_share(self._incident_file):
            return "503 Service Unavailable"
        if self._every and number % self._every == 0:
            return "500 Internal Server Error"
        if not self._share:
            return ""
        with self._lock:
            self._failing = self._random.random() < self._probability()
            return self._kind if self._failing else ""

    def _probability(self) -> float:
        """Return with which probability the next request fails, so that runs and the share come out."""
        goes_on = 1 - 1 / self._run_length
        if self._failing:
            return goes_on + (1 - goes_on) * self._share
        return (1 - goes_on) * self._share


def _read_share(path: str) -> float:
    try:
        with open(path, encoding="ascii") as file:
            return float(file.read() or 1)
    except (OSError, ValueError):
        return 0.0


class App:
    """One process of the application."""

    def __init__(self, node: str, port: int, release: dict[str, Any]) -> None:
        self._node = node
        self._port = port
        self._release = release
        self._version = release["reports_version"] or release["version"]
        self._errors = Errors(release, node)
        self._workers = threading.Semaphore(release["workers"]) if release["workers"] else None
        self._stopping = threading.Event()
        self._in_flight = 0
        self._requests = itertools.count(1)  # for `/` and `/slow`
        self._changed = threading.Condition()
        self._listener = socket.socket()

    def run(self) -> None:
        """Serve until SIGTERM. The port stays closed during the start delay."""
        if self._release["ignore_sigterm"]:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(self._release["start_delay"])
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self._port))
        self._listener.listen(128)
        _log(f"{self._version} listens on port {self._port}")
        if not self._release["ignore_sigterm"]:
            signal.signal(signal.SIGTERM, self._stop)
        if self._release["exit_after"] is not None:
            threading.Timer(self._release["exit_after"], os._exit, (1,)).start()
        self._accept()
        _log("stops once its requests are answered")
        with self._changed:
            self._changed.wait_for(lambda: self._in_flight == 0)

    def _stop(self, *_: object) -> None:
        self._stopping.set()
        self._listener.close()  # accept() then fails; what it had accepted is still served

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with connection, connection.makefile("rb") as reader:
                while line := reader.readline():
                    with self._changed:
                        self._in_flight += 1
                    try:
                        keep = self._answer(connection, line, reader)
                    finally:
                        with self._changed:
                            self._in_flight -= 1
                            self._changed.notify()
                    if not keep:
                        # The side that closes first leaves the connection in the kernel's table for a minute,
                        # and there are many. HAProxy's checks close at once themselves, and leave nothing.
                        connection.settimeout(LINGER_S)
                        reader.read(1)
                        return
        except OSError:
            return  # the client is gone

    def _answer(self, connection: socket.socket, line: bytes, reader: BinaryIO) -> bool:
        """Answer one request; False when the connection is to be closed after it."""
        _, target, protocol = line.decode("latin-1").split()
        head = b"".join(iter(reader.readline, b"\r\n"))
        headers = head.lower()
        path, _, query = target.partition("?")
        seconds = float(query.partition("seconds=")[2] or 2)
        close = protocol == "HTTP/1.0" or b"connection: close" in headers
        if path == "/download":
            self._download(connection, seconds)
            return False
        if path == "/websocket":
            self._serve_websocket(connection, head)
            return False
        status, body = self._look_up(path, seconds)
        if status == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            raise ConnectionResetError
        if status == "silence":
            connection.settimeout(SILENCE_S)
            reader.read(1)  # until the client leaves
            return False
        close = close or self._stopping.is_set()
        connection.sendall(_response(status, body, close))
        return not close

    def _look_up(self, path: str, seconds: float) -> tuple[str, dict[str, str]]:
        """Return status and body of the response; the status may also be ``reset`` or ``silence``."""
        if path in ("/", "/slow"):
            return self._work(self._release["answer_s"] if path == "/" else seconds)
        if path == "/version":
            return "200 OK", {"version": self._version}
        if path == "/health":
            if self._release["healthy"]:
                return "200 OK", {"status": "UP"}
            return "503 Service Unavailable", {"status": "DOWN"}
        return "404 Not Found", {"error": "no such page"}

    def _work(self, seconds: float) -> tuple[str, dict[str, str]]:
        """Answer what users ask for, as well as this release can."""
        number = next(self._requests)
        if number == self._release["exit_at_request"]:
            os._exit(1)
        with self._workers or contextlib.nullcontext():
            time.sleep(seconds)
        body = {"node": self._node, "version": self._version}
        if number % LOGGED_REQUESTS == 0:
            _log(f"{number} requests answered")
        if failure := self._errors.find(number):
            _log(f"request {number}: {failure}")
            return failure, {"error": "this release is faulty", **body}
        return "200 OK", body

    def _download(self, connection: socket.socket, seconds: float) -> None:
        """Send ten chunks spread over the time asked for."""
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        for _ in range(10):
            connection.sendall(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
            time.sleep(seconds / 10)
        connection.sendall(b"0\r\n\r\n")

    def _serve_websocket(self, connection: socket.socket, head: bytes) -> None:
        """Send a message each second until either side closes (RFC 6455, as far as browsers need it)."""
        key = _find_header(head, b"sec-websocket-key")
        if not key:
            connection.sendall(_response("400 Bad Request", {"error": "no websocket"}, close=True))
            return
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key) + b"\r\n\r\n"
        )
        message = json.dumps({"node": self._node, "version": self._version}).encode()
        while not self._stopping.is_set():
            connection.sendall(encode_frame(TEXT, message))
            if select.select([connection], [], [], FRAME_INTERVAL_S)[0]:
                kind, payload = _read_frame(connection)
                if kind == PING:
                    connection.sendall(encode_frame(PONG, payload))
                elif kind in (CLOSE, 0):
                    connection.sendall(encode_frame(CLOSE, payload))
                    return
        connection.sendall(encode_frame(CLOSE, GOING_AWAY))


def _log(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)  # noqa: T201 - it is the log


def accept_key(key: bytes) -> bytes:
    """Return what a server answers to the key of a client that wants a websocket."""
    from binascii import b2a_base64
    from hashlib import sha1  # it takes 3 ms to import, and few starts need it

    return b2a_base64(sha1(key + WEBSOCKET_KEY).digest(), newline=False)  # noqa: S324 - RFC 6455 says so


def encode_frame(kind: int, payload: bytes) -> bytes:
    """Return a frame of a server, with at most 125 bytes of payload."""
    return bytes((kind, len(payload))) + payload


def _read_frame(connection: socket.socket) -> tuple[int, bytes]:
    """Read a short frame of a client and return its first byte and its payload; (0, b"") at the end."""
    start = connection.recv(2, socket.MSG_WAITALL)
    if len(start) < 2:
        return 0, b""
    mask = connection.recv(4, socket.MSG_WAITALL)
    payload = connection.recv(start[1] & LENGTH_BITS, socket.MSG_WAITALL)
    return start[0], bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def _find_header(head: bytes, name: bytes) -> bytes:
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    return next((value.strip() for key, _, value in lines if key.strip().lower() == name), b"")


def _response(status: str, body: dict[str, str], close: bool) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        f"Connection: {'close' if close else 'keep-alive'}\r\n\r\n"
    )
    return head.encode() + content


def main() -> None:
    """Serve until SIGTERM."""
    node, port = sys.argv[1:3]
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "release.json")
    with open(beside, encoding="utf-8") as file:
        release = json.load(file)
    App(node, int(port), release).run()
    os._exit(0)  # idle keep-alive connections have threads of their own: do not wait for them


if __name__ == "__main__":
    main()
