"""Values of fields by their annotations, and the models and calls that are made of them."""

from __future__ import annotations

import inspect
from collections import abc
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import is_dataclass
from enum import Enum
from functools import cache
from itertools import islice
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    NotRequired,
    Required,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from hypothesis import reject
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel, ValidationError
from typing_extensions import is_typeddict

from cqrs_ddd_advanced_core.domain._state_type import members_of
from cqrs_ddd_advanced_core.testing.strategies._leaves import FEW, JSON, LEAVES, limits_in
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hypothesis.strategies import SearchStrategy
    from pydantic.fields import FieldInfo

    Values = SearchStrategy[Any]
    Limits = Mapping[str, Any]

__all__ = ["arguments_of", "instances_of", "values_of"]

M = TypeVar("M", bound=BaseModel)

#: The classes whose fields are being looked at, to notice a class that holds others of its own.
_open: ContextVar[frozenset[type[Any]]] = ContextVar("_open", default=frozenset())


def instances_of(
    model: type[M], overrides: Mapping[str, Values], leave_out: Iterable[str] = ()
) -> SearchStrategy[M]:
    """Return a strategy of validated models; what a validator refuses is drawn again.

    Args:
        model: The class.
        overrides: Strategies of single fields.
        leave_out: Fields that keep their default.

    Raises:
        ConfigurationError: A field has a type nothing is known of, or an override has no field.
    """
    _refuse_unknown(model, overrides, model.model_fields)
    drawn = {
        name: overrides[name]
        if name in overrides
        else _named(model, name, field.annotation, field.metadata)
        for name, field in model.model_fields.items()
        if name in overrides or not (name in leave_out or _keeps_default(field))
    }
    return st.fixed_dictionaries(drawn).map(lambda values: _validated(model, values))


def arguments_of(method: Callable[..., Any], overrides: Mapping[str, Values]) -> Values:
    """Return a strategy of keyword arguments for what a method needs besides its object.

    Raises:
        ConfigurationError: A parameter is of a type nothing is known of, or an override has none.
    """
    parameters = inspect.signature(method).parameters
    _refuse_unknown(method, overrides, parameters)
    hints = get_type_hints(method, include_extras=True)
    return st.fixed_dictionaries(
        {
            name: overrides[name] if name in overrides else _named(method, name, hints.get(name))
            for name, parameter in islice(parameters.items(), 1, None)
            if name in overrides or _is_needed(parameter)
        }
    )


def values_of(annotation: Any, metadata: Iterable[Any] = ()) -> Values:
    """Return a strategy of the values of a type that JSON can hold.

    Numbers are finite, times are aware UTC of 1970 to 2100, texts can be encoded.

    Args:
        annotation: The type, with constraints such as ``Annotated[int, Field(gt=0)]``.
        metadata: Further constraints.

    Raises:
        ConfigurationError: Nothing is known of the type.
    """
    annotation, metadata = _unwrapped(annotation, tuple(metadata))
    origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if origin in (Union, UnionType):
        return st.one_of(*(values_of(one, metadata) for one in arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in LEAVES:
        return LEAVES[origin](limits_in(metadata))
    if origin in _CONTAINERS:
        return _CONTAINERS[origin](arguments, limits_in(metadata))
    if isinstance(annotation, type):
        return _class_values(annotation)
    msg = f"no values of {annotation!r} are known"
    raise ConfigurationError(msg)


def _class_values(found: Any) -> Values:
    if issubclass(found, Enum):
        return st.sampled_from(list(found))
    if found in _open.get():
        return st.deferred(lambda: _holder_values(found))
    if _is_holder(found):
        return _holder_values(found)
    msg = f"no values of {found.__name__} are known"
    raise ConfigurationError(msg)


def _is_holder(found: Any) -> bool:
    return issubclass(found, BaseModel | tuple) or is_typeddict(found) or is_dataclass(found)


@cache
def _holder_values(found: Any) -> Values:
    with _looking_at(found):
        if issubclass(found, BaseModel):
            return instances_of(found, {})
        return st.builds(found, **_parts(found))


@contextmanager
def _looking_at(found: type[Any]) -> Iterator[None]:
    token = _open.set(_open.get() | {found})
    try:
        yield
    finally:
        _open.reset(token)


def _parts(found: type[Any]) -> dict[str, Values]:
    hints = get_type_hints(found, include_extras=True)
    names = set(inspect.signature(found).parameters) if is_dataclass(found) else set(hints)
    return {name: values_of(hints[name]) for name in hints if name in names}


def _named(owner: Any, name: str, annotation: Any, metadata: Iterable[Any] = ()) -> Values:
    try:
        return values_of(annotation, metadata)
    except ConfigurationError as error:
        msg = f"{owner.__qualname__}: {error}; give a strategy, as in {name}=st.just(...)"
        raise ConfigurationError(msg) from error


def _refuse_unknown(owner: Any, overrides: Mapping[str, Values], known: Iterable[str]) -> None:
    unknown = [name for name in overrides if name not in set(known)]
    if unknown:
        msg = f"{owner.__qualname__} has no {', '.join(unknown)}"
        raise ConfigurationError(msg)


def _keeps_default(field: FieldInfo) -> bool:
    # What is not written would not come back.
    return bool(field.exclude) and not field.is_required()


def _is_needed(parameter: inspect.Parameter) -> bool:
    is_variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and not is_variadic


def _validated(model: type[M], values: dict[str, Any]) -> M:
    try:
        if issubclass(model, RootModel):
            return cast("M", model.model_validate(values["root"]))
        return model.model_validate(values, by_alias=False, by_name=True)
    except ValidationError:
        reject()


def _unwrapped(annotation: Any, metadata: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Look through names, ``Annotated`` and type variables."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *further = get_args(annotation)
            metadata = (*metadata, *further)
        elif get_origin(annotation) in (Required, NotRequired):
            [annotation] = get_args(annotation)
        elif isinstance(annotation, TypeVar):
            annotation = annotation.__bound__ or Any
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__"):
            annotation = annotation.__value__
        else:
            return annotation, metadata


def _lists(arguments: tuple[Any, ...], limits: Limits) -> Values:
    least, most = _sizes(arguments, limits)
    return st.lists(_item(arguments), min_size=least, max_size=most)


def _sets(arguments: tuple[Any, ...], limits: Limits) -> Values:
    least, most = _sizes(arguments, limits)
    return st.sets(_item(arguments), min_size=least, max_size=most)


def _frozensets(arguments: tuple[Any, ...], limits: Limits) -> Values:
    return _sets(arguments, limits).map(frozenset)


def _tuples(arguments: tuple[Any, ...], limits: Limits) -> Values:
    if not arguments or arguments[-1] is Ellipsis:
        return _lists(arguments, limits).map(tuple)
    return st.tuples(*(values_of(one) for one in arguments))


def _dicts(arguments: tuple[Any, ...], limits: Limits) -> Values:
    keys, values = (values_of(one) for one in arguments or (str, Any))
    least, most = _sizes(arguments, limits)
    return st.dictionaries(keys, values, min_size=least, max_size=most)


def _item(arguments: tuple[Any, ...]) -> Values:
    return values_of(arguments[0]) if arguments else JSON


def _sizes(arguments: tuple[Any, ...], limits: Limits) -> tuple[int, int]:
    least = limits.get("min_length", 0)
    # Less than one on average, or trees would grow for ever.
    is_tree = any(one in _open.get() for argument in arguments for one in members_of(argument))
    return least, limits.get("max_length", least + (1 if is_tree else FEW))


_CONTAINERS: Final[dict[Any, Callable[[tuple[Any, ...], Limits], Values]]] = {
    list: _lists,
    abc.Sequence: _lists,
    tuple: _tuples,
    set: _sets,
    frozenset: _frozensets,
    abc.Set: _frozensets,
    dict: _dicts,
    abc.Mapping: _dicts,
}
