"""The kinds of jobs: what each takes, and how its work is made of a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from wctstyle.errors import WctStyleError
from wctstyle.service.arguments import (
    CLIPS,
    FORMATS,
    Argument,
    Models,
    batching,
    dreaming,
    filming,
    filtering,
    optimizing,
    read_values,
    stylizing,
    texturing,
)
from wctstyle.service.clips import video
from wctstyle.service.extras import analogy, dream, texture
from wctstyle.service.forms import Form
from wctstyle.service.jobs import Work
from wctstyle.service.limits import Limits
from wctstyle.service.painting import batch, optimize, stylize
from wctstyle.service.pictures import Values
from wctstyle.service.refusals import Refused, refused
from wctstyle.service.studio import Studio


@dataclass(frozen=True)
class Kind:
    """A kind of jobs: its arguments, which depend on what the server grants, what makes its work, and its formats."""

    about: str
    arguments: Callable[[Limits, Models], list[Argument]]
    prepare: Callable[[Studio, Limits, Form, Values, str], Work]
    formats: Mapping[str, str] = field(default_factory=FORMATS.copy)


def prepared(kind: str, studio: Studio, limits: Limits, form: Form, accept: str = "") -> Work:
    """Check a request, and make its work. `accept` is the header of that name.

    Raises:
        Refused: something of it makes no sense.
    """
    if kind not in KINDS:
        raise Refused(422, f"kind is {kind[:80]!r}, must be one of {', '.join(KINDS)}", field="kind")
    arguments = KINDS[kind].arguments(limits, studio)
    names = [argument.name for argument in arguments]
    values = read_values(arguments, form.values)

    def refuse(error: WctStyleError) -> Refused:
        found = refused(error, names, values.get("model"))
        text = form.public(found.what)
        return Refused(found.status, text, field=found.field or form.field_of(text))

    try:
        format = format_of(values["format"], accept, KINDS[kind].formats)
        work = KINDS[kind].prepare(studio, limits, form, values, format)
    except WctStyleError as error:
        raise refuse(error) from error
    return replace(work, refuse=refuse)


def format_of(given: str | None, accept: str, formats: Mapping[str, str] = FORMATS) -> str:
    """Choose the format of a result: the one that is given, else the first that the client accepts, else the usual."""
    wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    found = (name for kind in wanted for name, type in formats.items() if type == kind)
    return given or next(found, next(iter(formats)))


KINDS: dict[str, Kind] = {
    "stylize": Kind("One photo in one pass.", stylizing, stylize),
    "batch": Kind("Many photos in one blend, or in each of many styles.", batching, batch),
    "optimize": Kind("One photo, optimised step by step: slower, and better.", optimizing, optimize),
    "texture": Kind("A new texture of the styles, without a photo.", texturing, texture),
    "dream": Kind("A photo, changed so that a network sees more of what it sees there.", dreaming, dream),
    "video": Kind("A clip, frame by frame.", filming, video, CLIPS),
    "analogy": Kind("A photo, filtered as a picture became another.", filtering, analogy),
}
