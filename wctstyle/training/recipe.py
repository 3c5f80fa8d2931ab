"""Recipes: one TOML file per model says every stage; the same command makes the same weights again."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wctstyle import __version__, weights
from wctstyle.decoder import Decoder
from wctstyle.encoder import MODELS, Encoder
from wctstyle.errors import ConfigError
from wctstyle.model import build, extract, fill
from wctstyle.training import encoders, painters, pictures
from wctstyle.training.data import Crops
from wctstyle.training.loop import Report, Stage
from wctstyle.training.pictures import Pictures

OPTIONS: dict[str, tuple[str, ...]] = {
    "encoder": tuple(encoders.DEFAULTS),
    "painter": tuple(painters.DEFAULTS),
    "average": ("back", "share"),
}
"""The kinds of stages and what each may be told beside its steps."""

KINDS = tuple(OPTIONS)

PICTURES_DEFAULTS: dict[str, int] = {"count": 2000, "photos": 600, "paintings": 600, "size": 256}
"""What the teacher paints once for all stages `painter`: pictures, different photos and paintings, and their side."""


@dataclass(frozen=True)
class Recipe:
    """What to train: a model of the table, a seed, the teacher's pictures and the stages in order."""

    name: str
    model: str
    seed: int
    stages: tuple[Stage, ...]
    pictures: dict[str, int]


def load_recipe(source: str | Path) -> Recipe:
    """Read a recipe from a TOML file, or a shipped one by name ("slim").

    Raises:
        ConfigError: no such recipe, or a key or value in it that makes no sense.
    """
    shipped = resources.files("wctstyle.training") / "recipes"
    path = shipped / f"{source}.toml"
    if not path.is_file():
        path = Path(source)
    if not path.is_file():
        known = ", ".join(sorted(p.name[:-5] for p in shipped.iterdir() if p.name.endswith(".toml")))
        raise ConfigError(f"recipe {str(source)!r}: no such file, and not one of the shipped recipes ({known})")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        stages = tuple(Stage(**row) for row in data["stages"])
        painted = PICTURES_DEFAULTS | data.get("pictures", {})
        recipe = Recipe(Path(str(source)).stem, data["model"], int(data["seed"]), stages, painted)
    except KeyError as error:
        raise ConfigError(f"recipe {source}: has no {error.args[0]}") from error
    except (tomllib.TOMLDecodeError, TypeError, ValueError, UnicodeDecodeError) as error:
        raise ConfigError(f"recipe {source}: cannot be used: {error}") from error
    if recipe.model not in MODELS:
        raise ConfigError(f"recipe {source}: model {recipe.model!r} is not one of {', '.join(MODELS)}")
    for name, value in recipe.pictures.items():
        least, multiple = {"size": (32, 16), "count": (2, 1)}.get(name, (1, 1))
        whole = isinstance(value, int) and not isinstance(value, bool)
        if name not in PICTURES_DEFAULTS or not whole or value < least or value % multiple:
            raise ConfigError(
                f"recipe {source}: pictures has {name} = {value!r}, wanted whole numbers for "
                f"{', '.join(PICTURES_DEFAULTS)} (count: at least 2, size: a multiple of 16 from 32 up)"
            )
    for number, stage in enumerate(recipe.stages):
        if stage.kind not in KINDS:
            raise ConfigError(f"recipe {source}: stage {stage.kind!r} is not one of {', '.join(KINDS)}")
        if stage.steps < 1 or stage.batch < 1 or stage.size % 16 or stage.size < 32:
            raise ConfigError(
                f"recipe {source}: stage {stage.kind}: steps and batch must be at least 1 and size a multiple of 16 "
                f"from 32 up; got steps={stage.steps} batch={stage.batch} size={stage.size}"
            )
        if unknown := sorted(stage.options.keys() - OPTIONS[stage.kind]):
            raise ConfigError(
                f"recipe {source}: stage {stage.kind} has no option {unknown[0]!r}, only "
                f"{', '.join(OPTIONS[stage.kind])}"
            )
        judge = stage.options.get("judge", painters.DEFAULTS["judge"])
        if stage.kind == "painter" and judge not in MODELS:
            raise ConfigError(f"recipe {source}: judge {judge!r} is not one of {', '.join(MODELS)}")
        if stage.kind == "average":
            back, share = stage.options.get("back"), stage.options.get("share")
            if not isinstance(back, int) or not 1 <= back < number or not isinstance(share, float) or not 0 < share < 1:
                raise ConfigError(
                    f"recipe {source}: stage average: back must be a number of stages, no more than there are, and "
                    f"share between 0 and 1; got back={back} share={share}"
                )
    return recipe


def average(encoder: Encoder, decoder: Decoder, earlier: dict[str, np.ndarray], *, share: float) -> None:
    """Leave `share` of the weights as they are and take the rest from `earlier`, in place.

    Weights between those before and after a fine tuning are often better than either (Wortsman et al. 2022, "Robust
    fine-tuning of zero-shot models"): here they keep much of what a stage won and give back much of what it lost.
    """
    now = extract(encoder, "encoder") | extract(decoder, "decoder")
    mixed = {name: share * value + (1 - share) * earlier[name].astype(np.float32) for name, value in now.items()}
    fill(encoder, mixed, "encoder")
    fill(decoder, mixed, "decoder")


def train(
    recipe: Recipe,
    *,
    content: Path,
    style: Path,
    teacher: dict[str, np.ndarray],
    painter: dict[str, np.ndarray] | None = None,
    out: Path,
    report: Report,
) -> Path:
    """Run every stage of `recipe` (finished ones are skipped, a broken-off one resumes) and write the weights.

    `teacher` are the tensors of the full VGG-19 encoder, `painter` those of a teacher with a painting decoder, whose
    pictures are made into `out/pictures` first. Where the model's encoder is shipped already and no stage trains one,
    it is taken as it is. Returns the path of the finished weights file, which for `vgg19` holds the decoder alone and
    is named so.

    Raises:
        ConfigError: a stage paints and there is no `painter`.
    """
    out.mkdir(parents=True, exist_ok=True)
    full, _ = build(MODELS["vgg19"], teacher)
    encoder, decoder = build(MODELS[recipe.model], _encoder_of(recipe, teacher))
    shown = _teachers_pictures(recipe, out / "pictures", content, style, painter, report)
    history: list[dict[str, Any]] = []
    finished = [out / f"{number}-{stage.kind}-done.safetensors" for number, stage in enumerate(recipe.stages)]
    for number, stage in enumerate(recipe.stages):
        if finished[number].exists():
            tensors, about = weights.load_file(finished[number])
            fill(encoder, tensors, "encoder")
            fill(decoder, tensors, "decoder")
            history.append(about)
            continue
        last: dict[str, Any] = {}

        def remember(row: dict[str, Any], last: dict[str, Any] = last) -> None:
            last.update(row)
            report(row)

        about: dict[str, Any] = {
            "seed": recipe.seed + 100 * number, "checkpoint": out / f"{number}-{stage.kind}.safetensors",
            "initialize": stage.kind not in [before.kind for before in recipe.stages[:number]], "report": remember,
        }  # fmt: skip
        if stage.kind == "average":
            earlier, _ = weights.load_file(finished[number - 1 - stage.options["back"]])
            average(encoder, decoder, earlier, share=stage.options["share"])
            remember({"stage": stage.kind, **stage.options})
        elif stage.kind == "encoder":
            encoders.train_encoder(encoder, full, stage, content=content, style=style, **about)
        else:
            eye = _judge(recipe, stage, full, encoder)
            painters.train_painter(encoder, decoder, eye, stage, pictures=shown, painter=painter or {}, **about)
        history.append(last)
        weights.save(finished[number], extract(encoder, "encoder") | extract(decoder, "decoder"), last)
    return _write(recipe, encoder, decoder, history, content=content, style=style, out=out)


def _teachers_pictures(
    recipe: Recipe, out: Path, content: Path, style: Path, painter: dict[str, np.ndarray] | None, report: Report
) -> list[Pictures]:
    """Have the teacher paint, where a stage needs it."""
    if all(stage.kind != "painter" for stage in recipe.stages):
        return []
    if painter is None:
        raise ConfigError(f"recipe {recipe.name}: has a stage painter and needs a teacher that paints (--painter)")

    def painted(done: int, count: int) -> None:
        report({"stage": "pictures", "step": done, "steps": count})

    pictures.make(
        out, painter=painter, content=content, style=style, seed=recipe.seed, report=painted, **recipe.pictures
    )
    return [Pictures.load(out)]


def _write(
    recipe: Recipe, encoder: Encoder, decoder: Decoder, history: list[Any], *, content: Path, style: Path, out: Path
) -> Path:
    """Write the finished weights, with where they come from."""
    metadata = {
        "config": {"name": recipe.model, "channels": MODELS[recipe.model].channels},
        "recipe": asdict(recipe),
        "history": history,
        "data": {
            "content": f"{len(Crops(content, size=16, seed=0).paths)} pictures",
            "style": f"{len(Crops(style, size=16, seed=0).paths)} pictures",
        },
        "version": __version__,
        "device": jax.devices()[0].device_kind,
        "source": "trained by `wctstyle train`; distilled from VGG-19 (Simonyan & Zisserman, Oxford, CC BY 4.0)",
        "licence": "CC BY 4.0",
    }
    name, tensors = recipe.name, extract(decoder, "decoder")
    if recipe.model == "vgg19":
        name += "_decoder"
    else:
        tensors |= extract(encoder, "encoder")
    return weights.save(out / f"{name}.safetensors", tensors, metadata, dtype="float16")


def _encoder_of(recipe: Recipe, teacher: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors of the encoder that training starts from: the teacher's, the shipped ones, or none."""
    if recipe.model == "vgg19":
        return teacher
    if any(stage.kind == "encoder" for stage in recipe.stages):
        return {}
    return weights.load(recipe.model, parts=("encoder",))[0]


def _judge(recipe: Recipe, stage: Stage, full: Encoder, encoder: Encoder) -> Encoder:
    """Return the encoder that looks at a painter's pictures: the full one, the one in training, or a shipped one."""
    name = stage.options.get("judge", painters.DEFAULTS["judge"])
    if name == "vgg19":
        return full
    return encoder if name == recipe.model else build(MODELS[name], weights.load(name, parts=("encoder",))[0])[0]
