"""Values for msgspec's structs, generated from their types, so that new fields are covered too."""

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from msgspec import inspect

from orchestrator.events.base import OfStep
from orchestrator.events.events import DecisionRequested
from orchestrator.events.steps import STEPS
from tests.fuzz.texts import json_of, mostly, text, tree

name = st.sampled_from(["web1", "web2", "shop", "lb1", "drain", "1.5.0", "baking", ""])  # so that they meet
whole = st.one_of(st.integers(-1, 9), st.integers(-(2**63), 2**64 - 1))
real = st.one_of(
    st.integers(-1, 9).map(float), st.floats(allow_nan=False, allow_infinity=False), st.just(1e300)
)


def plain(kind: Any) -> SearchStrategy[Any]:
    """What decodes as this type, as JSON would have it."""
    return _of(inspect.type_info(kind))


def damaged(kind: Any) -> SearchStrategy[str]:
    """JSON of it, in which now and then a field has something else, is missing, or the end is cut off."""
    odd = st.one_of(plain(kind), _of(inspect.type_info(kind), odd=True))
    return st.builds(
        lambda whole, cut: whole[: len(whole) - cut], odd.map(json_of), st.sampled_from([0, 0, 0, 0, 1, 9])
    )


def _of(found: inspect.Type, *, odd: bool = False) -> SearchStrategy[Any]:
    usual = _usual(found, odd)
    return mostly(usual, st.one_of(tree, text)) if odd else usual


def _usual(found: inspect.Type, odd: bool) -> SearchStrategy[Any]:
    match found:
        case inspect.StructType():
            return _struct(found, odd)
        case inspect.UnionType(types=types):
            return st.one_of([_of(one, odd=odd) for one in types])
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return st.lists(_of(item, odd=odd), max_size=3)
        case inspect.DictType(value_type=value):
            return st.dictionaries(st.one_of(name, text), _of(value, odd=odd), max_size=3)
        case _:
            return _without_parts(found)


def _without_parts(found: inspect.Type) -> SearchStrategy[Any]:
    match found:
        case inspect.LiteralType(values=values):
            return st.sampled_from(sorted(values, key=str))
        case inspect.StrType(pattern=pattern, max_length=longest):
            if pattern:
                return st.from_regex(pattern)
            return st.one_of(name, name, text.map(lambda value: value[:longest]))
        case inspect.IntType(ge=ge, le=le, lt=lt):
            highest = le if le is not None or lt is None else lt - 1
            return whole if ge is None else st.one_of(st.integers(ge, ge + 9), st.integers(ge, highest))
        case inspect.FloatType(ge=ge, le=le):
            return real if ge is None else st.floats(ge, le)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case _:
            return tree


def _struct(found: inspect.StructType, odd: bool) -> SearchStrategy[Any]:
    values = {field.encode_name: _field(found.cls, field, odd) for field in found.fields}
    needed = {
        field.encode_name: values[field.encode_name] for field in found.fields if field.required and not odd
    }
    more = {name: values[name] for name in values if name not in needed}
    tag = {found.tag_field: found.tag} if found.tag_field else {}
    if found.array_like:
        return st.tuples(*(_of(one.type, odd=odd) for one in found.fields)).map(list)
    return st.fixed_dictionaries(needed, optional=more).map(lambda fields: tag | fields)


def _field(struct: type, field: inspect.Field, odd: bool) -> SearchStrategy[Any]:
    # Its type allows any text; that it is a step of the table is checked besides.
    if field.name == "step" and issubclass(struct, OfStep | DecisionRequested):
        return mostly(st.sampled_from(list(STEPS)), text) if odd else st.sampled_from(list(STEPS))
    return _of(field.type, odd=odd)


def built(kind: Any) -> SearchStrategy[Any]:
    """Values of this type, as a decoder makes them."""
    return plain(kind).map(lambda value: msgspec.convert(value, kind, strict=False))
