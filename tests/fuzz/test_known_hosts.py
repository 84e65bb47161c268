"""known_hosts: what stands there, read and explained when a key is not the known one."""

import tempfile
from pathlib import Path

import asyncssh
from hypothesis import example
from hypothesis import strategies as st

from backends.hosts.known_hosts import OfferedKey, explain, read_known_hosts, without_revoked
from tests.fuzz.harness import bounded, fuzzed
from tests.fuzz.texts import data, lines_of, mostly, text, word

KEY = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
PUBLIC = KEY.export_public_key().decode().strip()
OFFERED = OfferedKey("web1", 22, KEY)

line = st.builds(
    "{} {}{}".format,
    mostly(
        st.sampled_from(
            ["web1", "@revoked web1", "@cert-authority *", "|1|x|y", "[web1]:2222,10.0.0.1", "!web1,*", "#"]
        ),
        word,
    ),
    mostly(st.sampled_from([PUBLIC, "ssh-rsa AAAA", "ssh-ed25519 !!!!", ""]), text),
    text,
)


@example(content="0 0\n" * 25_000)
@fuzzed(content=lines_of(line))
def test_a_file(content: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "known_hosts"
        path.write_text(content, errors="replace")
        bounded(lambda: read_known_hosts([str(path)]), len(content))
        bounded(lambda: explain(OFFERED, [str(path)], "rolldeck"), len(content))


@fuzzed(
    content=st.one_of(
        lines_of(line), lines_of(mostly(st.just(PUBLIC), text)), data.map(lambda some: some.decode("latin-1"))
    )
)
def test_revoked_keys(content: str) -> None:
    """A list that cannot be understood is an error, and not an empty one."""
    known = asyncssh.import_known_hosts(f"web1 {PUBLIC}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "revoked"
        path.write_text(content, errors="replace")
        match = bounded(lambda: without_revoked(known, [str(path)]), len(content), ValueError)
        if match is not None:
            lines = [one.strip() for one in content.splitlines()]
            assert len(match("web1", "10.0.0.1", 22)[2]) == len(
                [one for one in lines if one and one[0] != "#"]
            )
