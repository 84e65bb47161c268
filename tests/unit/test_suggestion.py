"""Which of the known names was meant: the same for keys, nodes, files and the names in templates."""

import pytest

from backends.templates import Placeholders, wrong_placeholder
from backends.text import closest, suggest


@pytest.mark.parametrize(
    ("found", "known", "meant"),
    [
        ("shopp", ["api", "shop"], "shop"),
        ("ohsp", ["shop"], ""),
        ("Shop", ["shop"], "shop"),
        ("lb3", ["lb1", "lb2"], "lb2"),
        ("drian_tmeout", ["drain_timeout", "drain"], "drain_timeout"),
        ("token", ["token_command", "token_env", "tokens"], "tokens"),
        ("password", ["password_command", "password_env"], "password_env"),
        ("print", ["port"], ""),
        ("w2", ["w1"], ""),
        ("", ["web1"], ""),
        ("x" * 100_000, ["web1"], ""),
    ],
)
def test_one_that_is_close_is_meant(found: str, known: list[str], meant: str) -> None:
    assert closest(found, known) == meant
    assert suggest(found, known) == (f"did you mean {meant!r}? " if meant else "")


def test_the_names_in_templates_are_guessed_alike() -> None:
    names = frozenset({"address", "version"})
    for found in ("adress", "vers", "versoin", "addr"):
        meant = "address" if found.startswith("a") else "version"
        assert f"did you mean {{{meant}}}? " in wrong_placeholder(f"{{{found}}}", Placeholders(names))
    assert not wrong_placeholder("awk '{print}'", Placeholders(names | {"port"}, in_shell=True))
