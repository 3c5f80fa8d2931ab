"""The arguments of every kind of job, with ranges and defaults from the one place where they stand."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import NoneType
from typing import Any, Literal, Protocol, get_args, get_origin, get_type_hints

from wctstyle import images, looks
from wctstyle.analogies.recipe import DEFAULT_STRENGTH
from wctstyle.dreams import settings as dream
from wctstyle.errors import ConfigError
from wctstyle.optimizer import settings as slow
from wctstyle.service.limits import Limits
from wctstyle.service.refusals import Refused
from wctstyle.settings import (
    DEFAULT_CALM,
    DEFAULT_OPTIMIZER_MODEL,
    LARGEST,
    MAX_FEATHER,
    MAX_REFINE,
    MAX_SIDE,
    RANGES,
    STROKE_SCALES,
    Settings,
    checked_choice,
    checked_number,
    checked_whole,
)
from wctstyle.specs import PAINTING
from wctstyle.textures import settings as texture
from wctstyle.video.keyframes import is_track, parse_track

Sort = Literal["picture", "clip", "file", "text", "number", "track", "whole", "switch", "choice"]

FORMATS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "tiff": "image/tiff"}
"""What results can be, with the content types."""

CLIPS = {"mp4": "video/mp4", "webm": "video/webm", "gif": "image/gif"}
"""What videos can be."""

MEDIA = {"picture": "image/*", "clip": "video/*", "file": "*/*"}
"""What arguments are that take files."""

SWITCH = {"true": True, "on": True, "1": True, "yes": True, "false": False, "off": False, "0": False, "no": False}


class Models(Protocol):
    """The models that may be chosen, and the one that paints unless another is chosen."""

    model: str
    offered: tuple[str, ...]


@dataclass(frozen=True)
class Argument:
    """An argument: its name, what it takes, its default and its range.

    A track is a number, or keyframes as 0s=1,4s=0. several: it may be given more than once. needed: it has to be given.
    """

    name: str
    sort: Sort
    about: str
    default: Any = None
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    several: bool = False
    needed: bool = False

    def read(self, text: str) -> Any:
        """Read a value.

        Raises:
            ConfigError: it is of the wrong type or out of range.
        """
        if self.sort == "switch":
            if text.strip().lower() not in SWITCH:
                raise ConfigError(f"{self.name} is {text[:80]!r}, must be true or false")
            return SWITCH[text.strip().lower()]
        if self.sort == "choice":
            return checked_choice(self.name, text[:80], Literal[self.choices])
        if self.sort not in ("number", "track", "whole"):
            return text
        least, most = self.least or 0, self.most
        if self.sort == "track" and is_track(text):
            return parse_track(text, self.name, least, LARGEST if most is None else most)
        if self.sort == "whole":
            return checked_whole(self.name, _number(text, int), int(least), None if most is None else int(most))
        return checked_number(self.name, _number(text, float), least, LARGEST if most is None else most)

    def to_json(self) -> dict[str, Any]:
        """Describe it in JSON's types; what it does not have is left out."""
        found = {
            "name": self.name, "type": self.sort, "default": self.default, "least": self.least, "most": self.most,
            "choices": list(self.choices) or None, "several": self.several or None, "needed": self.needed or None,
            "about": self.about,
        }  # fmt: skip
        return {name: value for name, value in found.items() if value is not None or name == "default"}

    def schema(self) -> dict[str, Any]:
        """Describe it as OpenAPI does."""
        kinds = {"number": "number", "track": ["number", "string"], "whole": "integer", "switch": "boolean"}
        found: dict[str, Any] = {"type": kinds.get(self.sort, "string")}
        if self.least is not None:
            found["minimum"] = self.least
        if self.most is not None:
            found["maximum"] = self.most
        if self.choices:
            found["enum"] = list(self.choices)
        if self.sort in MEDIA:
            found = {"anyOf": [{"type": "string", "contentMediaType": MEDIA[self.sort]}, {"type": "string"}]}
        if self.several:
            return {"type": "array", "items": found, "description": self.about}
        if self.default is not None:
            found["default"] = self.default
        return {**found, "description": self.about}


def _number(text: str, kind: type) -> Any:
    """Return a number, or the text where it is none, which is refused with its range."""
    try:
        return kind(text)
    except ValueError:
        return text[:80]


def _of_fields(cls: type, ranges: Mapping[str, tuple[float, float]], left_out: Iterable[str] = ()) -> list[Argument]:
    """Make an argument of each field of settings."""
    hints, found = get_type_hints(cls), []
    for field in dataclasses.fields(cls):
        kinds = [kind for kind in get_args(hints[field.name]) if kind is not NoneType] or [hints[field.name]]
        default = None if field.default is dataclasses.MISSING else field.default
        about = ABOUT.get(field.name, "")
        if field.name in left_out:
            continue
        if get_origin(hints[field.name]) is Literal:
            choices = get_args(hints[field.name])
            found.append(Argument(field.name, "choice", about, default, choices=choices))
            continue
        sort: Sort = {bool: "switch", int: "whole", float: "number"}.get(kinds[0], "text")  # pyright: ignore[reportAssignmentType]
        least, most = ranges.get(field.name, (None, None))
        most = None if most == LARGEST else most
        found.append(Argument(field.name, sort, about, default, least, most))
    return found


ABOUT = {
    "strength": "How far to go: 0 is the photo, 1 the full style, more goes beyond it.",
    "detail": "How much of the photo's fine light and dark is put back.",
    "colors": "Whose colours: style's; photo's own; match recolours the styles first; only paints nothing.",
    "color": "From the photo's colours (0) to those that colors gives (1).",
    "texture": "How much there is to paint in plain areas.",
    "keep_faces": "How strongly faces keep the photo's forms.",
    "transform": "How the photo's statistics become the style's.",
    "blend": "How several styles become one.",
    "look": "Long side in pixels at which larger results are composed; 0 paints every size at once.",
    "refine": "Steps that refine the finished picture; slower.",
    "photo": "Keep it a photo, in the style's light and colours.",
    "steps": "Evaluations over all scales together.",
    "optimizer": "lbfgs needs fewer steps; adam is smoother.",
    "content_weight": "What keeping the photo weighs.",
    "style_weight": "What the style weighs.",
    "tv_weight": "What smoothness weighs.",
    "content_layers": "Layers that keep the photo, as relu4_2 or relu3_1=0.5,relu4_1=1.",
    "style_layers": "Layers that take the style.",
    "statistic": "What of the style is compared.",
    "pooling": "How the network shrinks.",
    "smallest": "Long side of the coarsest scale.",
    "seed": "Of the noise to start from.",
    "learning_rate": "Adam's step.",
    "history": "Steps that L-BFGS remembers.",
    "normalize_gradients": "Let every term pull alike at the start of each scale.",
    "time_budget": "Seconds after which the run ends with what it has.",
    "plateau": "Leave a scale when 20 steps lowered the loss by less than this share; 0: never.",
    "width": "Of the texture, in pixels.",
    "height": "Of the texture, in pixels.",
    "style_size": "Long side of the styles in pixels, which sets the size of the strokes.",
    "tileable": "Make opposite edges match.",
    "gradient": "Let the styles follow each other.",
    "optimize": "Steps that optimise the painted texture; slow, much closer.",
    "octaves": "Sizes to dream at, the smallest first.",
    "octave_scale": "Ratio of a size to the one before.",
    "jitter": "Shift before each step, in pixels at most.",
    "average": "Adam shows a mean of its pictures, each weighing this share of the next.",
    "dream": "Layers to raise as a dream does, with weights, as relu5_1=0.1.",
}

_TWO_SIDES = f"Long side in pixels, up to {MAX_SIDE}; 0: their own."


KEYFRAMES = "Or over time, as 0s=1,4s=0."


def _weight() -> Argument:
    return Argument("weight", "number", "The share of each style in the blend, in their order.", several=True, least=0)


def _pictures(*, several: bool = False) -> list[Argument]:
    content = "Photos" if several else "The photo"
    return [
        Argument("content", "picture", f"{content}: a file, or sample:NAME.", several=several, needed=True),
        Argument(
            "style", "picture", "A style: a file, sample:NAME, or NAME[:WEIGHT][@REGION] of a file in `file`.",
            several=True,
        ),
        _weight(),
        Argument(
            "mask", "picture", "A region for styles with @NAME: NAME=FILE or NAME=ready:KIND; of a file, its name.",
            several=True,
        ),
        Argument("mask_map", "picture", "A map of regions in a few flat colours: @blue is where it is blue."),
        Argument("style_mask", "picture", "The part of styles to use: REGION[/NUMBER]=FILE.", several=True),
        Argument("region", "text", "A region's own dials: NAME:DIAL=VALUE,...", several=True),
        Argument(
            "feather", "number", "How softly regions meet, by the long side.", PAINTING["feather"], 0, MAX_FEATHER
        ),
        Argument("file", "picture", "Files that other arguments name.", several=True),
    ]  # fmt: skip


def _sizes(models: Models, model: str, most: int) -> list[Argument]:
    return [
        Argument("model", "choice", "The network.", model, choices=models.offered),
        Argument("size", "whole", "Long side of the result in pixels; 0: the photo's own.", None, 0, most),
        Argument("stroke_scale", "number", "Size of the strokes.", None, *STROKE_SCALES),
        Argument("style_size", "whole", f"Of the style pictures, instead of stroke_scale. {_TWO_SIDES}", None, 0,
                 MAX_SIDE),
    ]  # fmt: skip


def _outputs(formats: Mapping[str, str] = FORMATS, quality: int | None = images.DEFAULT_QUALITY) -> list[Argument]:
    about = f"Of the result; else by Accept, or {next(iter(formats)).upper()}."
    return [
        Argument("format", "choice", about, choices=tuple(formats)),
        Argument("quality", "whole", "Of formats that lose something, from 1 to 100, the best.", quality, 1, 100),
    ]  # fmt: skip


def _look() -> Argument:
    about = "Take styles, settings, model and stroke scale from this look; what else is given overrides it."
    return Argument("use_look", "choice", about, choices=tuple(looks.shipped()))


def stylizing(limits: Limits, models: Models) -> list[Argument]:
    """Return the arguments of `stylize`."""
    return [
        *_pictures(),
        _look(),
        *_of_fields(Settings, {**RANGES, "refine": (0, MAX_REFINE)}),
        *_sizes(models, models.model, limits.max_size),
        *_outputs(),
        Argument("depth", "choice", "Bits per channel of PNG and TIFF; else the photo's.", choices=("8", "16")),
        Argument("keep_profile", "switch", "Keep the photo's ICC profile and resolution.", PAINTING["keep_profile"]),
    ]


def batching(limits: Limits, models: Models) -> list[Argument]:
    """Return the arguments of `batch`."""
    each = Argument("each_style", "switch", "Paint every photo in every style, instead of a blend.", False)
    return [*_pictures(several=True), each, *stylizing(limits, models)[len(_pictures()) :]]


def optimizing(limits: Limits, models: Models) -> list[Argument]:
    """Return the arguments of `optimize`."""
    ranges = {**slow.WHOLES, **slow.RANGES, **slow.BELOW, **slow.ABOVE, "steps": (1, limits.optimize_steps)}
    settings = [
        replace(one, choices=tuple(kind for kind in one.choices if kind != "only")) if one.name == "colors" else one
        for one in _of_fields(slow.OptimizeSettings, ranges, left_out=("init",))
    ]
    init = Argument(
        "init", "picture", "What to start from: fast, content, noise, style, or a file.", slow.OptimizeSettings.init
    )
    most = min(limits.max_size, limits.optimize_size)
    return [
        *_pictures(),
        _look(),
        *settings,
        init,
        *_sizes(models, DEFAULT_OPTIMIZER_MODEL, most),
        *_outputs(),
    ]


def texturing(limits: Limits, models: Models) -> list[Argument]:
    """Return the arguments of `texture`."""
    sides = {name: (least, limits.max_size) for name, (least, _) in texture.WHOLES.items() if name in SIDES}
    pictures = [one for one in _pictures() if one.name not in ("content", "weight", "mask_map", "region")]
    return [
        *pictures,
        _weight(),
        *_of_fields(texture.TextureSettings, {**texture.WHOLES, **sides}),
        Argument("model", "choice", "The network.", models.model, choices=models.offered),
        *_outputs(),
    ]


def dreaming(limits: Limits, models: Models) -> list[Argument]:
    """Return the arguments of `dream`."""
    own = _of_fields(dream.DreamSettings, {**dream.WHOLES, **dream.RANGES}, left_out=("layers", "channels"))
    usual, most = dream.DreamSettings.layers[0], min(limits.max_size, limits.optimize_size)
    model = "vgg19" if "vgg19" in models.offered else DEFAULT_OPTIMIZER_MODEL
    return [
        Argument("content", "picture", "The photo: a file, or sample:NAME.", needed=True),
        Argument("layer", "choice", f"Whose activations to raise; {usual} if none is given.", choices=slow.LAYERS,
                 several=True),
        Argument("channels", "text", "Only these channels of the layer, as 3,17,20-31."),
        Argument("guide", "picture", "Raise what is like this picture, instead of everything."),
        Argument("mask", "picture", "Dream only where it is white: a file, FILE#COLOR or ready:KIND."),
        Argument("feather", "number", "How softly the mask ends.", PAINTING["feather"], 0, MAX_FEATHER),
        Argument("file", "picture", "Files that other arguments name.", several=True),
        *own,
        Argument("model", "choice", "The network that dreams.", model, choices=models.offered),
        Argument("size", "whole", "Long side of the result in pixels; 0: the photo's own.", None, 0, most),
        *_outputs(),
    ]  # fmt: skip


def filming(limits: Limits, models: Models) -> list[Argument]:
    """Return the arguments of `video`."""
    changing = {"strength", "texture"}
    settings = [
        replace(one, sort="track", about=f"{one.about} {KEYFRAMES}") if one.name in changing else one
        for one in _of_fields(Settings, {**RANGES, "refine": (0, MAX_REFINE)})
    ]
    clip = Argument("content", "clip", f"The clip: a file, of up to {limits.video_seconds:g} seconds.", needed=True)
    own = {"content": clip, "weight": replace(_weight(), sort="track", about=f"{_weight().about} {KEYFRAMES}")}
    return [
        *(own.get(one.name, one) for one in _pictures()),
        _look(),
        *settings,
        Argument("calm", "number", "How calm the video is: 0 paints every frame by itself.", DEFAULT_CALM, 0, 1),
        *_sizes(models, models.model, min(limits.max_size, limits.video_size)),
        Argument("start", "text", "Where to begin: seconds, or h:m:s."),
        Argument("end", "text", "Where to end, as start."),
        Argument("every", "whole", "Take every so many frames; the speed stays.", 1, 1, 1000),
        Argument("sound", "switch", "Take the clip's sound along.", True),
        *_outputs(CLIPS, None),
    ]  # fmt: skip


def filtering(limits: Limits, models: Models) -> list[Argument]:
    """Return the arguments of `analogy`."""
    return [
        Argument("before", "picture", "A, the first of the pair to learn from: a file, or sample:NAME."),
        Argument("after", "picture", "A2, what A became; of the same size."),
        Argument("use", "file", "A filter that was kept before, instead of a pair."),
        *(one for one in _pictures() if one.name in ("content", "style", "weight", "file")),
        Argument("align", "switch", "Cut a pair whose pictures are moved to what both show.", False),
        Argument("paint", "number", "From the filtered picture (0) to the one painted as A2 is (1); else as the pair "
                 "needs it.", None, 0, 1),
        Argument("strength", "number", "Of the styles on top.", DEFAULT_STRENGTH, 0, 1),
        Argument("model", "choice", "The network of the styles on top.", models.model, choices=models.offered),
        Argument("size", "whole", "Long side of the result in pixels; else the photo's own.", None, 1, limits.max_size),
        Argument("save", "switch", "Give the filter as well, as a file for use.", False),
        *_outputs(),
    ]  # fmt: skip


SIDES = ("width", "height")


def read_values(arguments: Sequence[Argument], given: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the values of all arguments by name, the defaults of those that are not given; empty ones are not given.

    Raises:
        Refused: a name is not known, one is missing, given twice, of the wrong type or out of range.
    """
    known = {argument.name: argument for argument in arguments}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
            meant = f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(known)}"
            raise Refused(422, f"there is no argument {name[:80]!r}{meant}", field=name[:80], nearest=near)
    return {name: _value(argument, [text for text in given.get(name, ()) if text]) for name, argument in known.items()}


def _value(argument: Argument, texts: Sequence[str]) -> Any:
    name = argument.name
    if argument.needed and not texts:
        raise Refused(422, f"{name} is missing; {argument.about[0].lower()}{argument.about[1:]}", field=name)
    if len(texts) > 1 and not argument.several:
        raise Refused(422, f"{name} is given {len(texts)} times; give it once", field=name)
    try:
        values = [argument.read(text) for text in texts]
    except ConfigError as error:
        raise Refused(422, str(error), field=name) from error
    if argument.several:
        return values
    return values[0] if values else argument.default
