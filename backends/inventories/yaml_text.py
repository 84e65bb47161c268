"""YAML to plain values, as Ansible writes it: with `!vault` and `!unsafe`. Nothing in it is executed.

PyYAML takes a while to import, and few configurations need it: it is imported late.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from backends.errors import ConfigError

_MERGE = "tag:yaml.org,2002:merge"


class UnsafeText(str):
    """A text that is no template, whatever is in it."""

    __slots__ = ()


class Encrypted:
    """Stands where a value is encrypted with Ansible's vault."""

    def __repr__(self) -> str:
        return "an encrypted value"


def parse_yaml(text: str, file: str) -> Any:
    """The one document of a YAML text.

    Raises:
        ConfigError: it is not YAML, or one key stands twice in a mapping.
    """
    import yaml

    with _yaml_errors(file):
        return yaml.load(text, _loader())  # noqa: S506 - it is a SafeLoader


def compose_yaml(text: str, file: str) -> Any:
    """The nodes of the one document of a YAML text, which know where they stand; None for an empty one.

    Raises:
        ConfigError: it is not YAML.
    """
    import yaml

    with _yaml_errors(file):
        return yaml.compose(text, _safe_loader())


@contextmanager
def _yaml_errors(file: str) -> Iterator[None]:
    import yaml

    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}" if mark else ""
        raise ConfigError(file, where, f"is not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(file, "", f"is not YAML: {' '.join(str(error).split())[:200]}") from None
    except RecursionError:
        raise ConfigError(file, "", "its mappings or lists are nested too deep") from None
    except Exception:  # PyYAML lets several kinds through, such as for `!!int x` or a 13th month
        raise ConfigError(file, "", "is not YAML: a value in it does not fit its type") from None


def _safe_loader() -> Any:
    """The one in C takes seconds for 20,000 hosts, that in Python a quarter of a minute."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def _loader() -> Any:
    import yaml

    class Loader(_safe_loader()):  # type: ignore[misc]
        """The safe one, that says which key stands twice: PyYAML drops the first of them."""

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            seen: set[object] = set()
            for key, _ in node.value:
                if _same(key) in seen and key.tag != _MERGE:
                    problem = f"the key {str(key.value)[:80]!r} is in one mapping twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(_same(key))
            super().flatten_mapping(node)
            # What is merged and then set again goes: the whole may be merged into another mapping.
            node.value = list({_same(key): (key, value) for key, value in node.value}.values())

    loader: Any = Loader  # the stubs know no constructor of a subclass
    for tag in ("!vault", "!vault-encrypted"):
        loader.add_constructor(tag, lambda loader, node: Encrypted())
    loader.add_constructor("!unsafe", lambda loader, node: UnsafeText(loader.construct_yaml_str(node)))
    return loader


def _same(key: Any) -> object:
    """Equal for keys that are the same."""
    return (key.tag, key.value) if isinstance(key.value, str) else id(key)
