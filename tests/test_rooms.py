"""Who may import whom, and who alone may use what: the rooms of docs/design.md, read from the sources."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import wctstyle

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "wctstyle"

ORDER = (
    "app",
    "cli __main__",
    "demo",
    "service",
    "web",
    "jobs",
    "recipe_kinds",
    "dreams",
    "video",
    "batch optimization",
    "looks",
    "textures",
    "analogies",
    "recipe",
    "sources",
    "spelling",
    "stylizer",
    "large",
    "refining",
    "repainting",
    "grading",
    "rendering measuring",
    "programs codes",
    "optimizer",
    "training",
    "weights",
    "tiles",
    "plan",
    "model sizes",
    "encoder decoder",
    "convolution winograd",
    "moments transforms losses feature_metrics pixel_metrics",
    "specs",
    "inputs",
    "fitting",
    "masks",
    "cutout",
    "samples",
    "regions",
    "places",
    "faces texture look finding photoreal lut",
    "guided",
    "images color",
    "settings errors types threads compilation files recent laps heaps",
)
"""Rooms from the top down; a room may import those on lines below its own. A folder is one room."""

BESIDE = {
    ("__main__", "cli"),
    ("compilation", "errors"),
    ("decoder", "encoder"),
    ("convolution", "winograd"),
    ("transforms", "moments"),
    ("feature_metrics", "losses"),
    ("feature_metrics", "moments"),
    ("settings", "errors"),
}
"""Imports along a line of `ORDER` that are allowed as well: (who, whom)."""

LIBRARY_OWNERS = {
    "PIL": {"images", "color", "faces", "texture", "samples"},
    "pillow_heif": {"images", "color", "samples"},
    "optax": {"training", "optimizer"},
    "gradio": {"demo", "app"},
    "fastapi": {"service"},
    "uvicorn": {"service"},
    "typer": {"cli"},
    "click": {"cli"},
    "rich": {"cli"},
    "safetensors": {"weights"},
    "h5py": {"weights"},
    "urllib": {"weights"},
    "requests": set(),
    "threadpoolctl": {"threads"},
    "av": {"video"},
    "cv2": {"faces", "finding", "video"},
    "ray": {"jobs"},
    "fsspec": {"places"},
    "pickle": set(),
    "torch": set(),
    "tensorflow": set(),
}
"""The rooms that may import a library. An empty set means none."""

CALL_OWNERS = {
    "print": {"cli"},
    "jax.jit": {"programs", "optimizer", "training"},
    "jax.pmap": set(),
    "flax.nnx.jit": {"training"},
    "sys.exit": {"cli"},
    "os._exit": {"cli"},
}
"""The rooms that may name a function."""

DEVICES = re.compile(r"(cpu|gpu|cuda|tpu|rocm|metal|mps)(:\d+)?", re.IGNORECASE)
DEVICE_SETTINGS = {"jax_platforms", "jax_platform_name", "jax_default_device", "JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES"}

DEVICE_NAMERS = {"compilation", "jobs.cluster"}
"""The modules that may name a device: to ask whether there is one, so that others need not, or how many Ray has."""

LAYER = {room: len(ORDER) - line for line, rooms in enumerate(ORDER) for room in rooms.split()}


# -------------------------------------------------------------------------------------------------- the checker


@dataclass(frozen=True)
class Source:
    """One file: its dotted name without the package's (\"training.loop\"; \"\" for the package itself) and text."""

    name: str
    text: str
    is_package: bool = False

    @property
    def room(self) -> str:
        return self.name.split(".")[0]


IMPORTERS = {"importlib.import_module", "import_module", "__import__"}


def room_names(sources: list[Source]) -> set[str]:
    return {source.room for source in sources} - {""}


def imports(source: Source, modules: set[str]) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of all that a file imports, wherever it stands, also by importlib."""
    package = [PACKAGE, *source.name.split(".")] if source.name else [PACKAGE]
    if not source.is_package:
        package = package[:-1]
    for node in ast.walk(ast.parse(source.text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{origin}.{alias.name}"
                yield node.lineno, full if full in modules or full.count(".") == 1 else origin
        elif isinstance(node, ast.Call) and dotted(node.func) in IMPORTERS and isinstance(node.args[0], ast.Constant):
            yield node.lineno, str(node.args[0].value)


def typing_lines(source: Source) -> set[int]:
    """The lines that only type checkers read."""
    tests = (node for node in ast.walk(ast.parse(source.text)) if isinstance(node, ast.If))
    blocks = [node.body for node in tests if dotted(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")]
    return {line for body in blocks for line in range(body[0].lineno, (body[-1].end_lineno or 0) + 1)}


def dotted(node: ast.AST) -> str:
    """The dotted name of an expression, or "" if it is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def names_used(source: Source) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of every name read, with the file's imports resolved."""
    tree = ast.parse(source.text)
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {
                a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0] for a in node.names
            }
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            known |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and (name := dotted(node)):
            first, _, rest = name.partition(".")
            yield node.lineno, ".".join(filter(None, (known.get(first, first), rest)))


def direction_problems(sources: list[Source]) -> Iterator[str]:
    modules = {f"{PACKAGE}.{s.name}" if s.name else PACKAGE for s in sources}
    for source in sources:
        if source.room and source.room not in LAYER:
            yield f"{source.name}: the room {source.room!r} has no place in ORDER (tests/test_rooms.py) yet"
            continue
        for line, name in imports(source, modules):
            where = f"{source.name or PACKAGE}:{line}"
            if name.split(".")[0] == "app" and source.room != "app":
                yield f"{where}: imports app"
            if name.split(".")[0] != PACKAGE or name == f"{PACKAGE}.__version__":
                continue
            target = name.removeprefix(PACKAGE).removeprefix(".").split(".")[0]
            if not target or target not in room_names(sources) | set(LAYER):
                yield f"{where}: imports {name}, which is no module: import from the room that defines it"
            elif source.room == target:
                continue
            elif source.name == "":
                if line in typing_lines(source):
                    continue  # there it says what its lazy names are
                yield f"{where}: the package imports {target} at once: `import {PACKAGE}` has to stay light"
            elif LAYER.get(target, 0) > LAYER[source.room]:
                yield f"{where}: {source.room} imports {target}, which lies above it"
            elif LAYER.get(target, 0) == LAYER[source.room] and (source.room, target) not in BESIDE:
                yield f"{where}: {source.room} imports {target}, which lies beside it and is not listed in BESIDE"


def cycle_problems(sources: list[Source]) -> Iterator[str]:
    """Cycles inside folders, where the order of modules is free; a folder's own __init__ counts as a module."""
    modules = {f"{PACKAGE}.{s.name}" if s.name else PACKAGE for s in sources}
    graph = {
        s.name: {n.removeprefix(f"{PACKAGE}.") for _, n in imports(s, modules) if n in modules} - {s.name, PACKAGE}
        for s in sources
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        yield f"modules import each other: {' -> '.join(error.args[1])}"


def owner_problems(sources: list[Source]) -> Iterator[str]:
    for source in sources:
        for line, name in imports(source, set()):
            library = name.split(".")[0]
            if source.room not in LIBRARY_OWNERS.get(library, {source.room}):
                yield f"{source.name}:{line}: imports {library}, which belongs to {LIBRARY_OWNERS[library] or 'nobody'}"
        for line, name in names_used(source):
            if source.room not in CALL_OWNERS.get(name, {source.room}):
                yield f"{source.name}:{line}: uses {name}, which belongs to {CALL_OWNERS[name] or 'nobody'}"


def device_problems(sources: list[Source]) -> Iterator[str]:
    """JAX places: no device is named, asked for by kind, or set."""
    for source in sources:
        tree = ast.parse(source.text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and source.name not in DEVICE_NAMERS:
                if DEVICES.fullmatch(node.value) or node.value in DEVICE_SETTINGS:
                    yield f"{source.name}:{node.lineno}: names the device or setting {node.value!r}"
            elif isinstance(node, ast.Call):
                name, words = dotted(node.func), {word.arg for word in node.keywords}
                if name in ("jax.devices", "jax.local_devices") and (node.args or words):
                    yield f"{source.name}:{node.lineno}: asks {name} for a kind of device"
                if name.startswith("jax.") and words & {"device", "backend"}:
                    yield f"{source.name}:{node.lineno}: tells {name} where to run"
                placed = name == "jax.device_put" and (len(node.args) > 1 or words)  # alone it copies, no more
                if placed or name == "jax.default_device":
                    yield f"{source.name}:{node.lineno}: places by {name}"


CHECKS = (direction_problems, cycle_problems, owner_problems, device_problems)


def package_sources() -> list[Source]:
    folder = ROOT / PACKAGE
    sources = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        sources.append(Source(name, path.read_text(encoding="utf-8"), is_package))
    if (app := ROOT / "app.py").exists():
        sources.append(Source("app", app.read_text(encoding="utf-8")))
    return sources


# -------------------------------------------------------------------------------------------------- the package


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removesuffix("_problems"))
def test_the_package_keeps_to_its_rooms(check):
    sources = package_sources()
    assert {"", "cli", "stylizer", "weights", "training.loop", "errors"} <= {source.name for source in sources}
    problems = list(check(sources))
    assert not problems, "\n" + "\n".join(problems)


def test_the_order_is_that_of_the_design_notes():
    """Each line of the tree at the top of docs/design.md lies above the next, and names rooms that exist."""
    tree = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").split("\n## ")[0]
    lines = [
        re.findall(r"([a-z_]+)(?:\.py|/(?=\s))", line.strip().removeprefix(f"{PACKAGE}/"))
        for line in tree.splitlines()
        if line.startswith(f"    {PACKAGE}/")
    ]
    assert len(lines) >= 10
    for line in lines:
        assert line
        assert {*line} <= LAYER.keys(), line
    heights = [[LAYER[room] for room in line] for line in lines]
    for upper, lower in zip(heights, heights[1:], strict=False):
        assert min(upper) > max(lower), (upper, lower)
    described = {room for line in lines for room in line}
    assert room_names(package_sources()) - {"__main__", "app"} <= described


def test_a_plan_is_made_of_little():
    """What is planned is measured on the encoder; planning knows no pictures, weights or caches."""
    sources = package_sources()
    modules = {f"{PACKAGE}.{s.name}" for s in sources if s.name}
    (plan,) = (source for source in sources if source.name == "plan")
    used = {name.split(".")[1] for _, name in imports(plan, modules) if name.startswith(f"{PACKAGE}.")}
    assert used <= {"encoder", "decoder", "moments", "transforms", "settings", "types"}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [("wctstyle", "jax|flax|numpy|PIL|optax|skimage"), ("wctstyle.settings", "jax|flax|PIL|optax|skimage")],
)
def test_importing_stays_light(module, heavy):
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if re.fullmatch(heavy, name)}
    assert module in done.stdout.split()
    assert not loaded


HEAVY = re.compile(r"jax|jaxlib|flax|optax|scipy|skimage|gradio|matplotlib|cv2|av|ray")
"""What nothing imports before it is needed: each takes a tenth of a second or more."""

LIGHT = """
import sys, wctstyle
from wctstyle import Region, Settings, WctStyleError, images
from wctstyle.cli import main
assert "Stylizer" in dir(wctstyle) and not hasattr(wctstyle, "stylist")
for options in (["--version"], ["--help"], ["stylize", "--help"], ["stylize", "no.jpg", "--style", "sample:marbling"]):
    sys.argv[1:] = options
    try:
        main()
    except SystemExit as ended:
        print(ended.code)
print("modules:", *sys.modules)
"""


def test_commands_that_paint_nothing_stay_light(tmp_path):
    """One process for all: what one of them imports the others would not hide."""
    done = subprocess.run([sys.executable, "-c", LIGHT], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text, _, modules = done.stdout.partition("modules:")
    assert re.findall(r"^\d$", text, re.MULTILINE) == ["0", "0", "0", "2"]
    assert {"typer", "PIL"} <= set(modules.split())
    assert {name for name in modules.split() if HEAVY.fullmatch(name)} == set()


@pytest.mark.parametrize("name", wctstyle.__all__)
def test_lazy_names_are_what_they_say(name):
    """Each is defined where the package says, under the same name."""
    found = getattr(wctstyle, name)
    assert getattr(found, "__name__").rpartition(".")[2] == name  # noqa: B009 (modules and classes both have it)
    assert found is getattr(wctstyle, name)
    assert found.__doc__


# ----------------------------------------------------------------------------------------------- the checker itself


def found(check, *sources: Source) -> list[str]:
    """What a check finds in made-up files beside the rooms they may import."""
    names = {source.name for source in sources}
    rest = [
        Source(name, "") for name in ("", "errors", "images", "moments", "weights", "stylizer") if name not in names
    ]
    return list(check([*sources, *rest]))


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("moments", "from wctstyle.stylizer import Stylizer", "moments:1: moments imports stylizer, which lies above"),
        ("moments", "from wctstyle import stylizer", "moments imports stylizer, which lies above"),
        ("moments", "from wctstyle import stylizer as s", "moments imports stylizer, which lies above"),
        ("moments", "import wctstyle.stylizer", "moments imports stylizer, which lies above"),
        ("moments", "from .stylizer import Stylizer", "moments imports stylizer, which lies above"),
        ("moments", "from . import stylizer", "moments imports stylizer, which lies above"),
        ("moments", "def f():\n    from wctstyle import cli", "moments:2: moments imports cli, which lies above"),
        ("moments", "if TYPE_CHECKING:\n    import wctstyle.plan", "moments imports plan, which lies above"),
        (
            "moments",
            "import importlib\nimportlib.import_module('wctstyle.cli')",
            "moments imports cli, which lies above",
        ),
        ("training.loop", "from ..stylizer import Stylizer", "training imports stylizer, which lies above"),
        (
            "plan",
            "from wctstyle.model import build\nfrom wctstyle import weights",
            "plan imports weights, which lies above",
        ),
        ("moments", "from wctstyle.transforms import affine", "which lies beside it and is not listed"),
        ("encoder", "from wctstyle.decoder import Decoder", "which lies beside it and is not listed"),
        ("cli", "from wctstyle import Stylizer", "which is no module"),
        ("cli", "import wctstyle", "which is no module"),
        ("cli", "import app", "imports app"),
        ("errors", "from wctstyle.settings import LEVELS", "which lies beside it and is not listed"),
        ("", "from wctstyle.stylizer import Stylizer", "has to stay light"),
        ("attic", "", "'attic' has no place in ORDER"),
    ],
)
def test_imports_against_the_order_are_found(name, text, problem):
    problems = found(direction_problems, Source(name, text))
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("stylizer", "from wctstyle.moments import Moments\nfrom wctstyle import weights as files"),
        ("transforms", "from wctstyle.moments import Moments"),
        ("cli", "from wctstyle import __version__, images\nimport numpy as np\nfrom rich.table import Table"),
        ("training.recipe", "from wctstyle.training.loop import run\nfrom .data import Crops"),
        ("training.painters", "from wctstyle.plan import moved"),
        ("", "if TYPE_CHECKING:\n    from wctstyle.stylizer import Stylizer"),
        ("moments", '"""from wctstyle.stylizer import Stylizer"""\n# import wctstyle.cli'),
    ],
)
def test_imports_along_the_order_are_fine(name, text):
    assert found(direction_problems, Source(name, text)) == []


def test_cycles_inside_a_folder_are_found():
    loop = Source("training.loop", "from wctstyle.training.data import Crops")
    data = Source("training.data", "from wctstyle.training import loop")
    assert len(found(cycle_problems, loop, data)) == 1
    assert found(cycle_problems, loop, Source("training.data", "")) == []


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("plan", "import optax", "plan:1: imports optax"),
        ("stylizer", "from PIL import Image", "imports PIL"),
        ("stylizer", "def f():\n    import pillow_heif", "stylizer:2: imports pillow_heif"),
        ("stylizer", "from gradio.themes import Base", "imports gradio"),
        ("samples", "from safetensors.numpy import load", "imports safetensors"),
        ("samples", "import urllib.request", "imports urllib"),
        ("training.recipe", "import h5py", "imports h5py"),
        ("weights.files", "import pickle", "imports pickle, which belongs to nobody"),
        ("demo.callbacks", "from rich import print as show", "imports rich"),
        ("training.loop", "print('step')", "uses print"),
        ("training.loop", "map(print, losses)", "uses print"),
        ("plan", "import jax\nf = jax.jit(g)", "plan:2: uses jax.jit"),
        ("plan", "import jax as j\n@j.jit\ndef f(x): ...", "uses jax.jit"),
        ("plan", "from jax import jit as compiled\nf = compiled(g)", "uses jax.jit"),
        (
            "plan",
            "from functools import partial\nimport jax\n@partial(jax.jit, static_argnums=1)\ndef f(x): ...",
            "uses jax.jit",
        ),
        ("decoder", "from flax import nnx\nf = nnx.jit(g)", "uses flax.nnx.jit"),
        ("stylizer", "import sys\nsys.exit(1)", "uses sys.exit"),
    ],
)
def test_uses_of_what_belongs_to_others_are_found(name, text, problem):
    problems = found(owner_problems, Source(name, text))
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("training.loop", "import optax, jax\nf = jax.jit(g)"),
        ("programs", "import jax\nf = jax.jit(g)\nobject.jit(g)\nlog.print('x')"),
        ("cli", "import typer\nprint('done')"),
        ("weights.download", "import urllib.request, h5py, safetensors"),
        ("plan", '"""Never calls jax.jit and does not print()."""'),
    ],
)
def test_uses_by_the_owner_are_fine(name, text):
    assert found(owner_problems, Source(name, text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "jax.devices('gpu')",
        "x = jax.devices(kind)",
        "jax.local_devices(backend=name)",
        "f = jax.jit(g, backend=where)",
        "with jax.default_device(d):\n    pass",
        "place = 'cuda:0'",
        "jax.config.update('jax_platforms', value)",
        "os.environ['JAX_PLATFORMS'] = value",
        "x = jax.device_put(x, where)",
    ],
)
def test_named_devices_are_found(text):
    assert found(device_problems, Source("stylizer", text))


def test_asking_what_device_there_is_is_fine():
    text = (
        "kind = jax.devices()[0].device_kind\nx = jax.device_put(x)\n"
        "message = 'is a device or socket; the GPU is not needed'"
    )
    assert found(device_problems, Source("stylizer", text)) == []
