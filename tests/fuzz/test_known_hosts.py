"""known_hosts: what stands there, read and explained when a key is not the known one."""

import tempfile
from pathlib import Path

import asyncssh
from hypothesis import strategies as st

from backends.hosts.known_hosts import OfferedKey, explain, read_known_hosts
from tests.fuzz.harness import bounded, fuzzed
from tests.fuzz.texts import lines_of, mostly, text, word

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


@fuzzed(content=lines_of(line))
def test_a_file(content: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "known_hosts"
        path.write_text(content, errors="replace")
        bounded(lambda: read_known_hosts([str(path)]), len(content))
        bounded(lambda: explain(OFFERED, [str(path)], "rolldeck"), len(content))
