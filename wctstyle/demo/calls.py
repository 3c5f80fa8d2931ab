"""The calls of the API: what arguments they take, by name and type, checked before anything is done."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from wctstyle.demo.friendly import friendly
from wctstyle.errors import ConfigError
from wctstyle.inputs import RegionSpec

Picture = str | dict
"""`sample:NAME`, or an uploaded file as `gradio_client.handle_file` or POST /upload names it."""

RegionPart = dict[str, Any]
"""A region, with the arguments of `region`."""


def region(
    mask: Picture,
    name: str | None = None,
    styles: list[Picture] | None = None,
    weights: list[float] | None = None,
    style_masks: list[dict | None] | None = None,
) -> None:
    """Serve as the signature of a region; it is never called. The fields of `RegionSpec` follow these arguments."""


def _dials() -> list[inspect.Parameter]:
    kinds = get_type_hints(RegionSpec)
    return [
        inspect.Parameter(dial.name, inspect.Parameter.KEYWORD_ONLY, default=dial.default, annotation=kinds[dial.name])
        for dial in dataclasses.fields(RegionSpec)
    ]


WORDS: dict[Any, tuple[str, str]] = {
    bool: ("true or false", "true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    dict: ("an uploaded file", "uploaded files"),
    Picture: ("an uploaded file or sample:NAME", "uploaded files or sample:NAME"),
    dict | None: ("an uploaded file or null", "uploaded files or null"),
    RegionPart: ("a region", "regions"),
}
"""What values of a type are called, one and several."""

Check = Callable[[Sequence[Any], Mapping[str, Any]], dict[str, Any]]
"""Takes the arguments of a call, by place and by name; returns all by name, or raises a ConfigError that
names what is wrong."""


def typed(endpoint: Callable[..., Any], dials: Sequence[inspect.Parameter] = (), about: str = "") -> Callable[..., Any]:
    """Let an endpoint check its arguments; one that takes `**dials` gets an argument for each, with a text about them.

    The check alone is `check` of what is returned.
    """
    own = inspect.signature(endpoint)
    named = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    signature = own.replace(parameters=[*named, *dials])

    def check(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        return checked(signature, args, kwargs)

    if inspect.isgeneratorfunction(endpoint):

        def call(*args: Any, **kwargs: Any) -> Any:
            yield from endpoint(**friendly(check)(args, kwargs))
    else:

        def call(*args: Any, **kwargs: Any) -> Any:
            return endpoint(**check(args, kwargs))

    whole: Any = functools.wraps(endpoint)(call)
    whole.__signature__ = signature
    whole.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    whole.__doc__ = f"{endpoint.__doc__}{about}"
    whole.check = check
    return whole


def checked(signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by name, with the defaults.

    Raises:
        ConfigError: one is not known, is missing, or has the wrong type.
    """
    named = list(signature.parameters)
    if len(args) > len(named):
        raise ConfigError(f"{len(args)} arguments are too many; there are {len(named)}: {', '.join(named)}.")
    for name in kwargs:
        if name not in named:
            raise ConfigError(f"There is no argument {name[:80]!r}; there are {', '.join(named)}.")
    given = {**dict(zip(named, args, strict=False)), **kwargs}
    for name, parameter in signature.parameters.items():
        if name not in given and parameter.default is inspect.Parameter.empty:
            raise ConfigError(f"The argument {name} is missing; it is {_wanted(parameter.annotation)}.")
        value = given.setdefault(name, parameter.default)
        if not _fits(value, parameter.annotation):
            raise ConfigError(f"{name} is {repr(value)[:80]}, must be {_wanted(parameter.annotation)}.")
        if value and list[RegionPart] in get_args(parameter.annotation):
            given[name] = [_checked_region(f"{name}[{at}]", part) for at, part in enumerate(value)]
    return given


def _checked_region(what: str, part: RegionPart) -> RegionPart:
    try:
        return checked(REGION, (), part)
    except ConfigError as error:
        raise ConfigError(f"{what}: {error}") from error


def _fits(value: Any, kind: Any) -> bool:
    """Say whether a value of JSON is of a type."""
    parts = get_args(kind)
    if get_origin(kind) is Literal:
        return value in parts
    if get_origin(kind) is list:
        return isinstance(value, list) and all(_fits(item, parts[0]) for item in value)
    if get_origin(kind) is dict:
        return isinstance(value, dict)
    if parts:
        return any(_fits(value, part) for part in parts)
    if kind in (int, float):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (kind is float or isinstance(value, int) or value.is_integer())
    return isinstance(value, kind)


def _wanted(kind: Any) -> str:
    """Say in words what values of a type are."""
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if get_origin(kind) is list:
        return f"a list of {WORDS[get_args(kind)[0]][1]}"
    if kind in WORDS:
        return WORDS[kind][0]
    return _wanted(next(part for part in get_args(kind) if part is not NoneType))


_own = inspect.signature(region, eval_str=True)
REGION = _own.replace(parameters=[*_own.parameters.values(), *_dials()])
"""The arguments of a region."""
