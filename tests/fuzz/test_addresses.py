"""Addresses of HAProxy's sockets, from any source, are refused or read as they are meant."""

from hypothesis import strategies as st

from backends.haproxy.address import SshAddress, TcpAddress, UnixAddress, parse_address
from backends.hosts.ssh_settings import Hop
from backends.untrusted import NotInert, check_inert
from tests.fuzz.harness import bounded, fuzzed, inert
from tests.fuzz.texts import anything, grown, text, word

host = st.text(alphabet="abcxyz019.-_", min_size=1, max_size=12).filter(lambda name: not name.startswith("-"))
path = st.text(alphabet="abcxyz019.-_/", min_size=1, max_size=12).map("/{}".format)


@fuzzed(
    text=st.one_of(
        anything,
        st.builds(
            "{}://{}{}{}{}".format,
            st.sampled_from(["ssh", "tcp", "unix", "SSH", "http", ""]),
            *(st.sampled_from(["", "user@", "u:p@", "-o@", "$(id)@"]), word),
            *(
                st.sampled_from(["", ":22", ":0", ":99999", ":٣", ":" + "9" * 5_000, "%h"]),
                text.map("/{}".format),
            ),
        ),
        grown(st.sampled_from(["ssh://", "@", "[", "]:", "%00", "//"])),
    )
)
def test_any_address(text: str) -> None:
    found = bounded(lambda: parse_address(text), len(text), ValueError, NotInert)
    if isinstance(found, SshAddress):
        inert(found.host, *([found.user] if found.user else []))
    if isinstance(found, TcpAddress):
        inert(found.host)


@fuzzed(text=st.one_of(anything, st.builds("{}@{}:{}".format, word, word, word)))
def test_any_jump(text: str) -> None:
    hop = Hop.parse(text)
    bounded(hop.check, len(text), NotInert)
    bounded(lambda: check_inert(text), len(text), NotInert)


@fuzzed(user=st.one_of(st.just(""), host), host=host, port=st.integers(0, 65535), path=path)
def test_what_is_an_address_is_read_as_one(user: str, host: str, port: int, path: str) -> None:
    where = f"{user}@{host}" if user else host
    end = f":{port}" if port else ""
    assert parse_address(f"ssh://{where}{end}{path}") == SshAddress(user, host, port, path)
    assert parse_address(f"unix://{path}") == UnixAddress(path) or path.startswith("//")
    if port:
        assert parse_address(f"tcp://{host}:{port}") == TcpAddress(host, port)
