"""HAProxy's configuration, which anybody may have written, and the answer that names its files."""

import asyncio

from hypothesis import strategies as st

from backends.haproxy.config_facts import MAX_FILES, read_facts
from backends.haproxy.config_file import parse_config
from tests.fuzz.harness import bounded, fuzzed
from tests.fuzz.texts import anything, lines_of, text, word

_KEYWORDS = (
    *("global", "defaults", "defaults one from two", "backend shop from one", "listen shop", "frontend web"),
    *("server web1 127.0.0.1:1", "server-template web 3 a", "default-server on-marked-down"),
    *("    on-marked-down shutdown-sessions", "load-server-state-from-file", "server-state-file x", "# "),
)
line = st.builds("{} {}".format, st.sampled_from(_KEYWORDS), word)


@fuzzed(content=st.one_of(lines_of(line), lines_of(st.lists(word, max_size=4).map(" ".join)), anything))
def test_a_configuration(content: str) -> None:
    bounded(lambda: parse_config(content), len(content))


@fuzzed(
    reply=st.one_of(
        anything, st.lists(text, max_size=3).map(lambda names: "HAPROXY_CFGFILES=/" + ";/".join(names))
    ),
    content=lines_of(line),
)
def test_which_files_it_is(reply: str, content: str) -> None:
    async def ask() -> str:
        return reply

    async def read(path: str, most_bytes: int) -> str:
        return content

    bounded(lambda: asyncio.run(read_facts("", ask, read, 60)), len(reply) + MAX_FILES * len(content))
