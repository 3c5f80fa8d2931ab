"""What the page does, without a page: actions as plain functions, sessions and their limits, recipes, the guard."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shlex
import subprocess
import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import tiny_models
from demo_service import SERVICE_FIXTURES, SMALL
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from narrow import picture
from typer.testing import CliRunner

from wctstyle import color, heaps, images, samples
from wctstyle.cli import app
from wctstyle.demo import Limits, actions, choosing, downloads, optimising, pictures, results, sheets, steps
from wctstyle.demo.backend import Backend, Priority, installed
from wctstyle.demo.composition import DEFAULTS, MAX_SCREEN_SIZE, QUALITIES, Composition, compose, read_palette
from wctstyle.demo.guard import Guard, foreign_file
from wctstyle.demo.live_panel import LivePanel
from wctstyle.demo.optimise_panel import OptimisePanel
from wctstyle.demo.page import Page
from wctstyle.demo.recipes import from_recipe, recipe_for
from wctstyle.demo.registry import Sessions
from wctstyle.demo.runs import FAULT, Queue, Run
from wctstyle.demo.server import tidy
from wctstyle.demo.sessions import Session
from wctstyle.demo.steps import DRAG_SECONDS, LATE_SECONDS, MAX_STEPS, Steps
from wctstyle.errors import ConfigError, ImageError, WeightsError
from wctstyle.optimizer import OptimizeSettings
from wctstyle.recipe import Optimisation, Recipe
from wctstyle.settings import STROKE_SCALES, SUGGEST_SIDE, Settings, optimizer_model
from wctstyle.specs import parse_style
from wctstyle.stylizer import Stylizer

LOOK = Composition(size=128)
CAT = Composition("sample:cat", ())


service, session = SERVICE_FIXTURES


def decoded(address, kind="jpeg"):
    head, _, data = address.partition(",")
    assert head == f"data:image/{kind};base64"
    return images.load(base64.b64decode(data)).rgb


def upload(folder, rgb, name="photo.png", recipe=None):
    folder.mkdir(parents=True, exist_ok=True)
    return str(images.save(folder / name, rgb, recipe=recipe))


# ------------------------------------------------------------------------------------------------------- live


def test_live_shows_the_picture_and_the_photo_only_once(service, session):
    first = actions.live(service, session, LOOK)
    assert (first["width"], first["height"]) == (128, 128)
    expected = service.backend.render(session, LOOK).image
    assert np.abs(decoded(first["after"]) - expected).mean() < 0.03
    assert np.abs(decoded(first["before"]) - samples_at("astronaut", 128)).mean() < 0.03
    again = actions.live(service, session, replace(LOOK, settings=Settings(strength=0.5)))
    assert "before" not in again
    assert again["after"] != first["after"]
    assert "before" in actions.live(service, session, replace(LOOK, content="sample:cat"))


def test_the_photo_is_painted_in_one_style_after_the_other_until_that_is_enough(service, session):
    own = session.add(images.load(samples_at("cat", 64)), "mine.png")
    ids = ["sample:marbling", own.id, "upload:gone", "sample:peacock"]
    look = replace(LOOK, settings=Settings(strength=0.7))
    yielded = list(choosing.tried(service, session, look, ids, lambda: False))
    assert [list(made) for made in yielded] == [ids[:1], ids[:2], [*ids[:2], ids[3]]]
    alone = replace(look, styles=((own.id, 1.0),), size=SUGGEST_SIDE, settings=Settings(strength=0.7, look=0))
    expected = service.backend.render(session, alone).image
    assert np.abs(decoded(yielded[-1][own.id]) - expected).mean() < 0.03
    enough = iter((False, False, True))
    assert len(list(choosing.tried(service, session, look, ids, lambda: next(enough)))) == 2


@pytest.mark.parametrize("ids", [None, "sample:marbling", [1], {"a": 1}, ["sample:marbling"] * 99])
def test_styles_to_choose_from_are_few_and_ids(service, ids):
    with pytest.raises(ConfigError, match=r"out of date|99 styles are too many; choose from up to 15"):
        choosing.check_choice(service, ids)


def test_styles_are_ordered_by_their_distance_to_the_photo(service, session):
    photo = session.picture("sample:cat")
    styles = [session.picture(f"sample:{name}") for name in ("peacock", "cat", "marbling")]
    ordered = choosing.nearest(service, photo, styles, "slim")
    assert ordered == sorted(ordered)
    assert ordered[0] == (pytest.approx(0, abs=0.01), 1)
    assert {place for _, place in ordered} == {0, 1, 2}
    assert ordered[1][0] > 0.01


def samples_at(name, side):
    return images.resize(samples.picture(name), long_side=side).rgb


def test_a_weight_moves_the_picture_and_strength_0_is_the_photo(service, session):
    def shown(**weights: float) -> np.ndarray:
        styles = tuple((f"sample:{name}", weight) for name, weight in weights.items())
        return service.backend.render(session, replace(LOOK, styles=styles)).image

    one, two = shown(marbling=1.0, peacock=0.0), shown(marbling=0.0, peacock=1.0)
    assert np.abs(one - two).mean() > 0.01
    none = shown(marbling=0.0)
    np.testing.assert_allclose(none, service.backend.content(session.picture("sample:astronaut"), 128).rgb, atol=1e-6)


def test_strength_goes_beyond_the_style_and_the_limit_is_told(service, session):
    full, beyond = (
        service.backend.render(session, replace(LOOK, settings=Settings(strength=strength))).image
        for strength in (1.0, 1.5)
    )
    assert np.abs(beyond - full).mean() > 0.005
    with pytest.raises(ConfigError, match=r"strength is 1\.6"):
        compose(SMALL, LOOK.palette, size=128, strength=1.6)


def test_color_0_keeps_the_colors_of_the_photo(service, session):
    photo, own, style = (
        color.rgb_to_oklab(service.backend.render(session, replace(LOOK, settings=settings)).image)[..., 1:]
        for settings in (Settings(strength=0), Settings(color=0), Settings())
    )
    assert np.median(np.abs(own - photo)) < 1e-3
    assert np.median(np.abs(style - photo)) > 1e-2


def test_strokes_grow_with_the_result_and_by_the_dial_at_every_size(service, session, monkeypatch):
    measured, style_of = [], Stylizer.style_of

    def seen(self, key, read):
        return style_of(self, key, lambda: measured.append(read().picture.shape) or read())

    service.backend.stylizer("slim").cache.clear()
    monkeypatch.setattr(Stylizer, "style_of", seen)
    for size, scale in ((128, 1), (64, 2), (128, 0.5), (SMALL.max_size, 4)):
        service.backend.render(session, replace(LOOK, size=size, stroke_scale=scale))
    assert [max(shape) for shape in measured[::2]] == [128, 128, 64, 4 * SMALL.max_size]
    small = session.add(images.load(picture(60, 90, seed=3)), "small.png")
    service.backend.render(session, replace(LOOK, content=small.id))  # which is not enlarged
    assert max(measured[-1]) == 90


# ---------------------------------------------------------------------------------------------------- quality


def test_a_model_is_made_when_it_is_first_chosen_and_once(service, session, monkeypatch):
    made = []
    backend = Backend(
        service.backend.stylizer("slim"),
        offered=("slim", "medium"),
        make_stylizer=lambda name, cache: made.append(name) or service.backend.stylizer(name),
        make_optimizer=service.backend.optimizer,
    )
    fast = backend.render(session, LOOK).image
    assert made == []
    better = backend.render(session, replace(LOOK, model="medium")).image
    backend.render(session, replace(LOOK, model="medium", settings=Settings(strength=0.5)))
    assert made == ["medium"]
    assert np.abs(fast - better).mean() > 0.005


def test_what_was_measured_belongs_to_its_model(service, session):
    held = session.picture("sample:cat")
    for code in (
        lambda model: service.backend.stylizer(model).content(service.backend.content(held, 128)),
        lambda model: service.backend.style_code(held, (128, 128), model),
    ):
        fast, better = code("slim"), code("medium")
        assert not np.allclose(fast.moments.mean, better.moments.mean)
        assert code("slim") is fast
        assert code("medium") is better


def test_all_models_keep_what_they_encoded_in_one_bounded_cache(service, session):
    backend = service.backend
    assert backend.stylizer("slim").cache is backend.stylizer("medium").cache
    for model in ("slim", "medium"):
        backend.render(session, replace(LOOK, model=model))
    cache = backend.stylizer("slim").cache
    kinds = {(kind, model) for kind, model, *_ in cache._items}
    assert {(kind, model) for kind in ("content", "style") for model in ("slim", "medium")} <= kinds
    assert cache.total == sum(int(code.nbytes) for code, _ in cache._items.values())


def test_a_quiet_server_that_has_grown_lets_go_of_its_caches(service, session, monkeypatch):
    backend, optimizer = service.backend, service.backend.optimizer("medium")
    before = backend.render(session, LOOK).image
    cache = backend.stylizer("slim").cache
    for grown, quiet, kept in ((300, 5.0, True), (200, 60.0, True), (300, 60.0, False)):
        monkeypatch.setattr(heaps, "resident", lambda grown=grown: grown * 2**20)
        monkeypatch.setattr(backend.priority, "idle", lambda quiet=quiet: quiet)
        tidy(service, 0)
        assert bool(cache.total) is kept, (grown, quiet)
    assert (backend._pixels.total, optimizer.programs._compiled.total) == (0, 0)
    again = backend.render(session, LOOK)
    assert again.first_of_size
    np.testing.assert_allclose(again.image, before, atol=1e-5)


def test_a_server_is_idle_since_its_last_picture():
    priority = Priority()
    with priority.quick():
        time.sleep(0.05)
        assert priority.idle() == 0
    assert 0 <= priority.idle() < 0.05


def test_the_first_picture_of_a_size_is_marked_and_nobody_elses(service, session):
    """Another visitor's new size, compiled meanwhile, is not this picture's."""
    odd = session.add(images.Picture(picture(90, 230, seed=3)), "odd.png").id
    backend, wide = service.backend, replace(LOOK, size=230)
    assert backend.render(session, replace(wide, content=odd)).first_of_size
    begun, release = threading.Event(), threading.Event()
    stylizer = backend.stylizer(LOOK.model)
    plain = stylizer.stylize

    def held_up(*args, **kwargs):
        begun.set()
        release.wait(60)
        return plain(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr(stylizer, "stylize", held_up)
        known = pool.submit(backend.render, session, replace(wide, content=odd))
        begun.wait(60)
        patch.setattr(stylizer, "stylize", plain)
        other = session.add(images.Picture(picture(230, 90, seed=4)), "other.png").id
        assert backend.render(session, replace(wide, content=other)).first_of_size
        release.set()
        assert not known.result().first_of_size


def test_only_what_is_installed_is_offered(monkeypatch, tmp_path):
    tiny_models.install(monkeypatch, tmp_path)
    for config in (tiny_models.SLIM, tiny_models.MEDIUM):
        tiny_models.save_shipped(tmp_path / "shipped", config)
    assert installed() == ("slim", "medium")
    tiny_models.save_vgg19(tmp_path)
    assert installed() == ("slim", "medium", "vgg19")
    assert list(QUALITIES) == ["slim", "medium", "vgg19"]


def test_a_model_that_is_not_offered_is_told(service, session):
    with pytest.raises(ConfigError, match="model is 'vgg19', must be one of slim, medium"):
        service.backend.render(session, replace(LOOK, model="vgg19"))
    with pytest.raises(ConfigError, match="model is 'large'"):
        compose(SMALL, LOOK.palette, size=128, model="large")


def test_a_model_that_cannot_be_loaded_is_told_without_its_path(service, session):
    def broken(name, cache):
        raise WeightsError(["/home/somebody/medium.safetensors: is damaged"])

    backend = Backend(service.backend.stylizer("slim"), offered=("slim", "medium"), make_stylizer=broken)
    with pytest.raises(ConfigError, match="medium cannot be loaded") as caught:
        backend.render(session, replace(LOOK, model="medium"))
    assert "/home" not in str(caught.value)


def test_a_recipe_of_a_model_that_is_not_here_is_made_with_the_one_that_is(service, session):
    recipe = actions.keep(service, session, LOOK).recipe.to_json() | {"model": "vgg19"}
    added = actions.restore_recipe(service, session, recipe, shown=CAT)
    assert added.composition == LOOK
    assert "Best, is not installed here" in added.message


def test_the_best_quality_optimises_with_its_own_network(service, session, monkeypatch):
    assert [optimizer_model(model) for model in QUALITIES] == ["medium", "medium", "vgg19"]
    monkeypatch.setattr(service.backend, "offered", tuple(QUALITIES))
    look = replace(TINY, model="vgg19")
    kept = list(optimising.optimise(service, session, look, 2))[-1].kept
    assert (kept.recipe.model, kept.recipe.optimisation.model) == ("vgg19", "vgg19")
    assert actions.restore_recipe(service, session, kept.recipe.to_json(), shown=CAT).composition == look


def test_no_style_is_told(service, session):
    with pytest.raises(ConfigError, match="no style in the blend"):
        actions.live(service, session, replace(LOOK, styles=()))


def test_a_photo_that_stays_one_is_not_optimised(service, session):
    with pytest.raises(ConfigError, match="Keep it a photo leaves nothing to optimise"):
        optimising.submit(service, session, replace(TINY, settings=Settings(photo=True)), 2, "lbfgs", "fast")


@pytest.mark.parametrize(
    ("palette", "message"),
    [
        (None, "load it again"),
        ({"content": "sample:cat"}, "load it again"),
        ({"content": 3, "styles": []}, "load it again"),
        ({"content": "sample:cat", "styles": [["sample:cat"]]}, "load it again"),
        ({"content": "sample:cat", "styles": [["sample:cat", "1"]]}, "must be a number"),
        ({"content": "sample:cat", "styles": [["sample:cat", -1]]}, "must be a number >= 0"),
        ({"content": "sample:cat", "styles": [["sample:cat", float("nan")]]}, "must be a number >= 0"),
        ({"content": "sample:cat", "styles": [["sample:cat", 1]] * 7}, "takes up to 6"),
    ],
)
def test_what_a_page_sends_is_checked(palette, message):
    with pytest.raises(ConfigError, match=message):
        compose(SMALL, palette)


@pytest.mark.parametrize(
    "values",
    [{"strength": 2}, {"detail": None}, {"color": 1.1}, {"size": 9999}, {"stroke_scale": 5}, {"blend": "x"}],
)
def test_controls_out_of_range_are_told(values):
    with pytest.raises(ConfigError):
        compose(SMALL, LOOK.palette, **{"size": 128, **values})


def test_unknown_pictures_are_told(service, session):
    for id in ("sample:nothing", "upload:gone"):
        with pytest.raises(ConfigError):
            actions.live(service, session, replace(LOOK, content=id))


# ---------------------------------------------------------------------------------------------------- uploads


def test_an_upload_is_held_and_its_file_deleted(service, session, tmp_path):
    path = upload(tmp_path, picture(60, 90, seed=3))
    added = actions.add_upload(service, session, path, str(tmp_path), "C:\\dir\\my photo.png", shown=CAT)
    assert added.held is not None
    assert added.held.name == "my photo.png"
    assert not Path(path).exists()
    assert actions.uploads(session)[added.held.id]["name"] == "my photo.png"
    stage = actions.live(service, session, replace(LOOK, content=added.held.id))
    assert (stage["width"], stage["height"]) == (90, 60)


def test_an_upload_can_be_left_to_others(service, tmp_path):
    path = upload(tmp_path, picture(8, 8))
    assert pictures.take_upload(path, str(tmp_path), service.limits, keep=True) == Path(path).read_bytes()
    pictures.take_upload(path, str(tmp_path), service.limits)
    assert not Path(path).exists()


def test_files_outside_the_upload_folder_are_neither_read_nor_deleted(service, session, tmp_path):
    secret = upload(tmp_path / "home", picture(8, 8))
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "link.png").symlink_to(secret)
    odd = [secret, str(tmp_path / "uploads" / ".." / "home" / "photo.png"), str(tmp_path / "uploads" / "link.png")]
    for path in [*odd, str(tmp_path / "uploads"), "", None, {"path": secret}, "no\0thing"]:
        with pytest.raises((ImageError, ValueError), match=r"not there any more|null"):
            actions.add_upload(service, session, path, str(tmp_path / "uploads"), "x", shown=CAT)
    assert Path(secret).exists()


def test_refusals_are_friendly_and_tell_nothing_of_the_server(service, session, tmp_path):
    cases = {"text.png": b"no picture at all", "empty.jpg": b"", "large.png": b"\x89PNG" + bytes(3 * 2**20)}
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError) as caught:
            actions.add_upload(service, session, str(tmp_path / name), str(tmp_path), name, shown=CAT)
        assert str(caught.value).startswith(f"{name}: This file")
        assert str(tmp_path) not in str(caught.value)
        assert "--" not in str(caught.value)
        assert not (tmp_path / name).exists()
    path = upload(tmp_path, np.zeros((1001, 1000, 3), np.float32))
    with pytest.raises(ImageError, match="more than 1 megapixels"):
        actions.add_upload(service, session, path, str(tmp_path), "big", shown=CAT)


def test_names_are_cut_to_what_is_harmless():
    assert pictures.public_name("../../etc/passwd") == "passwd"
    assert pictures.public_name("<img src=x>.png") == "img src=x.png"
    assert pictures.public_name("a\nb\0.png") == "ab.png"
    assert pictures.public_name("C:\\Tom & Jerry.png") == "Tom & Jerry.png"
    assert pictures.public_name(None) == "picture"
    assert len(pictures.public_name("x" * 500)) == 255


# ---------------------------------------------------------------------------------------------------- history


def test_history_holds_every_result_once_and_its_recipe(service, session):
    kept = actions.keep(service, session, LOOK)
    assert actions.keep(service, session, LOOK) is kept
    other = actions.keep(service, session, replace(LOOK, settings=Settings(strength=0.4, photo=True)))
    assert "kept a photo, strength 0.4" in actions.describe(other)
    assert [entry["id"] for entry in actions.strip(session)] == [other.id, kept.id]
    assert images.read_recipe(other.data) == other.recipe.to_json()
    assert other.recipe.settings.strength == 0.4
    assert "60%" in actions.describe(kept)
    assert "strength 1, Fast, 128 px" in actions.describe(kept)


def test_what_was_just_shown_is_kept_without_rendering_again(service, session, monkeypatch):
    actions.live(service, session, LOOK)
    actions.live(service, session, LOOK)
    monkeypatch.setattr(service.backend, "render", None)
    assert actions.keep(service, session, LOOK).width == 128


def test_a_result_opens_with_its_own_photo(service, session):
    kept = actions.keep(service, session, replace(LOOK, content="sample:coffee"))
    stage = results.reopened(service, session, kept.id)
    assert np.abs(decoded(stage["before"]) - samples_at("coffee", 128)).mean() < 0.03
    with pytest.raises(ConfigError, match="not kept any more"):
        results.reopened(service, session, "r99")


def test_history_and_uploads_are_capped(service, session):
    for step in range(SMALL.history + 3):
        actions.keep(service, session, replace(LOOK, settings=Settings(strength=step / 10)))
    assert [k.recipe.settings.strength for k in session.history] == [0.3, 0.4, 0.5, 0.6]
    for seed in range(SMALL.uploads + 2):
        session.add(images.load(picture(16, 16, seed=seed)), f"{seed}.png")
    assert [held.name for held in session.pictures] == ["2.png", "3.png", "4.png"]


def test_a_session_stays_below_its_bytes(service):
    session = Session("small", replace(SMALL, session_bytes=200_000, uploads=100))
    for seed in range(20):
        session.add(images.load(picture(100, 100, seed=seed)), f"{seed}.png")
        assert session.nbytes <= 200_000
    assert len(session.pictures) >= 2


def test_a_photo_and_six_styles_fit_into_a_session_at_every_size():
    for size in (2048, 4096):
        assert Limits(max_size=size).held_bytes >= 7 * 3 * size**2
    session = Session("large", replace(SMALL, max_size=4096, session_bytes=50_000))
    for seed in range(3):
        session.add(images.load(picture(100, 100, seed=seed)), f"{seed}.png")
    assert len(session.pictures) == 3


def test_sessions_are_bounded_in_number_and_bytes():
    sessions = Sessions(replace(SMALL, sessions=3, total_bytes=300_000))
    first = sessions.get("0")
    for number in range(1, 4):
        sessions.get(str(number))
    assert len(sessions) == 3
    assert first.closed.is_set()
    for number in range(1, 4):
        sessions.get(str(number)).add(images.load(picture(200, 200, seed=number)), "x.png")
        sessions.make_room()
    assert sessions.nbytes <= 300_000
    assert sessions.get("3").pictures
    assert sessions.get("3") is sessions.get("3")
    sessions.close("3")
    assert not sessions.get("3").pictures


def test_who_waits_for_an_optimisation_is_not_forgotten():
    sessions = Sessions(replace(SMALL, sessions=2))
    waiting = sessions.get("0")
    waiting.run = Run(waiting, work=lambda stop: iter(()), state="running")
    for number in range(1, 4):
        sessions.get(str(number))
    assert not waiting.closed.is_set()
    assert len(sessions) == 2
    last = sessions.get("3")
    last.run = Run(last, work=lambda stop: iter(()))
    sessions.get("4")
    assert waiting.closed.is_set()


def test_a_session_that_was_asked_for_is_not_quiet():
    sessions = Sessions(SMALL)
    left = time.monotonic()
    assert sessions.quiet_since("unknown", left)
    sessions.get("0")
    assert not sessions.quiet_since("0", left)
    left = time.monotonic()
    assert sessions.quiet_since("0", left)


def page(service, session):
    """Return a page that is not built, for what its buttons do."""
    bare = Page.__new__(Page)
    bare.service, bare.controls = service, {}
    bare._session = lambda request: session
    bare._composition = lambda palette: TINY
    bare._updates = lambda look: []
    bare.live_panel = LivePanel(bare)
    return bare


def news_of(stream):
    """Collect what an asynchronous stream yields."""

    async def collect():
        return [item async for item in stream]

    return asyncio.run(collect())


def held_work(steps=3):
    """Work that makes a step each time it is let, and counts those that were made."""
    let = threading.Semaphore(0)

    def work(stop):
        for step in range(steps):
            let.acquire()
            yield step
            if stop.is_set():
                return

    return work, let


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_runs_wait_for_their_turn_and_know_their_place(service):
    queue, sessions = Queue(), [Session(str(number), SMALL) for number in range(3)]
    (work, let), runs = held_work(), []
    for session in sessions:
        runs.append(queue.submit(Run(session, work), most=2))
        until(lambda: runs[0].state == "running")
    assert [queue.ahead(run) for run in runs[1:]] == [1, 2]
    with pytest.raises(ConfigError, match="Too many jobs are waiting"):
        queue.submit(Run(Session("late", SMALL), work), most=2)
    seen = runs[2].version
    runs[1].stop()
    assert (runs[1].state, queue.ahead(runs[2])) == ("ended", 1)
    let.release(6)
    until(lambda: runs[2].state == "ended")
    assert runs[2].version > seen
    assert [run.progress for run in runs] == [2, None, 2]
    until(lambda: queue._worker is None)
    again = queue.submit(Run(sessions[0], work), most=2)
    let.release(3)
    until(lambda: again.state == "ended")


def test_a_second_run_of_a_session_takes_the_place_of_one_that_waits_and_not_of_one_that_runs():
    queue, (work, let) = Queue(), held_work()
    first, other = Session("first", SMALL), Session("other", SMALL)
    running = queue.submit(Run(first, work), most=9)
    until(lambda: running.state == "running")
    assert queue.submit(Run(first, work), most=9) is running
    one = queue.submit(Run(other, work), most=9)
    two = queue.submit(Run(other, work), most=9)
    assert (one.state, two.state, other.run) == ("ended", "waiting", two)
    running.stop()
    after = queue.submit(Run(first, work), most=9)  # asked for while the one before is ending
    assert after is not running
    let.release(9)
    until(lambda: after.state == "ended")
    assert (one.progress, two.progress, running.progress) == (None, 2, 0)


def test_what_fails_in_a_run_is_told_and_the_next_one_goes_on(caplog):
    queue, session = Queue(), Session("one", SMALL)

    def refused(stop):
        yield 1
        raise ConfigError("no style")

    def broken(stop):
        raise KeyError("/home/somebody")
        yield

    for work, told in ((refused, "no style"), (broken, FAULT)):
        run = queue.submit(Run(session, work), most=9)
        until(lambda run=run: run.state == "ended")
        assert run.error == told
    assert "a fault in an optimisation" in caplog.text


def test_a_run_ends_in_the_fast_and_the_optimised_picture_of_its_blend_with_figures(service, session):
    panel = OptimisePanel(page(service, session))
    assert "Waiting" in panel._start(None, 3, "adam", "content", None)[0] or session.run.state == "running"
    run = session.run
    news = news_of(panel._follow(None))
    report, bar, stage, strip, pair, sheet = zip(*news, strict=True)
    fast, kept = (session.result(pair[-2][side]) for side in ("a", "b"))
    assert (fast.kind, kept.kind, fast.composition) == ("styled", "optimised", kept.composition)
    assert session.history == [fast, kept]
    assert strip[-2][0]["pair"] == [fast.id, kept.id]
    assert (stage[-2]["labels"], stage[-2]["mode"]) == (["Fast", "Optimised"], "split")
    assert all(f">{name}</th>" in sheet[-1] for name in ("Fast", "Optimised"))  # a column for each
    assert sheet[-1] in report[-1]
    assert "wct-curve" in sheet[-1]
    assert bar[-2]["state"] == ""
    assert run.state == "ended"
    assert news_of(panel._found(None)) == [[gr.skip()] * 6]  # nothing runs, nothing changes


def test_a_run_that_fails_before_its_page_follows_it_is_told_but_not_to_a_page_that_is_loaded_again(service, session):
    panel = OptimisePanel(page(service, session))
    session.run = Run(session, work=lambda stop: iter(()), state="ended", error="no style")
    assert "no style" in news_of(panel._follow(None))[-1][0]
    assert news_of(panel._found(None)) == [[gr.skip()] * 6]


def test_a_run_leaves_the_stage_to_what_was_moved_meanwhile(service, session, monkeypatch):
    panel = OptimisePanel(page(service, session))
    moved = threading.Event()

    def wait(seconds):
        moved.wait(60)

    monkeypatch.setattr(service.backend.priority, "give_way", wait)
    panel._start(None, 2, "adam", "content", None)

    async def follow():
        before, after = [], []
        async for news in panel._follow(None):
            (after if moved.is_set() else before).append(news[2])
            if "Step 1" in news[0]:
                session.moves += 1
                moved.set()
        return before, after

    before, after = asyncio.run(follow())
    assert any("after" in stage for stage in before)
    assert after
    assert not any("after" in stage for stage in after)
    assert session.history[-1].kind == "optimised"


def test_stop_keeps_what_was_reached_and_of_one_that_waits_nothing(service, session):
    panel = OptimisePanel(page(service, session))
    assert panel._stop(None) == gr.skip()
    service_queue, (work, let) = service.queue, held_work(1)
    before = service_queue.submit(Run(Session("before", SMALL), work), most=9)
    until(lambda: before.state == "running")
    panel._start(None, 400, "adam", "content", None)
    assert session.at_work
    assert "Stopped before it began" in panel._stop(None)
    assert (session.at_work, session.history) == (False, [])
    let.release()
    until(lambda: before.state == "ended")
    panel._start(None, 400, "adam", "content", None)
    until(lambda: session.run.progress is not None and session.run.progress.step)
    assert "Stopping" in panel._stop(None)
    until(lambda: not session.at_work)
    assert [kept.kind for kept in session.history] == ["styled", "optimised"]
    assert 0 < session.history[-1].recipe.optimisation.settings.steps < 400


def test_an_estimate_leaves_the_report_of_ones_own_optimisation_in_place(service, session, monkeypatch):
    panel = OptimisePanel(page(service, session))
    optimizer = service.backend.optimizer("medium")
    monkeypatch.setattr(optimizer, "estimate", lambda shape, settings: 1.0)
    assert "About 1 s" in panel._estimate(None, 10, "adam", "fast", None)
    session.run = Run(session, work=lambda stop: iter(()), state="running")
    assert panel._estimate(None, 10, "adam", "fast", None) == panel._report(session.run)
    session.run = None

    def meanwhile(shape, settings):
        session.run = Run(session, work=lambda stop: iter(()))
        return 1.0

    monkeypatch.setattr(optimizer, "estimate", meanwhile)
    assert panel._estimate(None, 10, "adam", "fast", None) == panel._report(session.run)


def test_sessions_do_not_see_each_other(service):
    one, two = Session("one", SMALL), Session("two", SMALL)
    held = one.add(images.load(picture(32, 32, seed=1)), "mine.png")
    with pytest.raises(ConfigError):
        two.picture(held.id)


# ---------------------------------------------------------------------------------------------------- recipes


RICH = Composition(
    content="sample:coffee",
    styles=(("sample:marbling", 0.25), ("sample:peacock", 0.75)),
    settings=Settings(
        strength=1.3,
        detail=0.3,
        colors="match",
        color=0.7,
        photo=True,
        texture=0.2,
        keep_faces=0.8,
        transform="wct",
        blend="mixture",
        look=0,
    ),
    size=128,
    stroke_scale=1.25,
    model="medium",
)


def there_and_back(service, session, look):
    """The recipe of a look, and the look that is read from it, as from a file."""
    recipe = recipe_for(look, session, size=look.size)
    written = json.loads(json.dumps(recipe.to_json()))
    back, read, missing = from_recipe(written, session.find, service.limits, fallback="")
    assert (read, missing) == (recipe, [])
    return recipe, back


def test_every_dial_off_its_default_comes_back_from_the_recipe(service, session):
    values = RICH.dials
    assert [name for name in DEFAULTS if values[name] == DEFAULTS[name]] == []
    assert Composition().dials == DEFAULTS
    recipe, back = there_and_back(service, session, RICH)
    assert back == RICH
    assert there_and_back(service, session, back)[0] == recipe
    assert compose(service.limits, RICH.palette, **values) == RICH


SHARES = st.floats(0, 1)


@hypothesis_settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    strength=st.floats(0, 1.5),
    detail=SHARES,
    colors=st.sampled_from(["style", "photo", "match", "only"]),
    color=SHARES,
    texture=SHARES,
    keep_faces=SHARES,
    transform=st.sampled_from(["mk", "wct", "adain"]),
    blend=st.sampled_from(["barycenter", "linear", "mixture"]),
    size=st.integers(64, SMALL.max_size),
    look=st.sampled_from([0, 128, 512]),
    stroke_scale=st.floats(*STROKE_SCALES),
    model=st.sampled_from(list(QUALITIES)),
)
def test_recipe_and_look_say_the_same(service, session, **dials):
    look = compose(service.limits, RICH.palette, **dials)
    recipe, back = there_and_back(service, session, look)
    assert back == look
    assert there_and_back(service, session, back)[0] == recipe


def test_a_download_restores_everything_when_it_is_dropped_back(service, session, tmp_path):
    (out := tmp_path / "out").mkdir()
    for format in downloads.FORMATS:
        wanted = downloads.target(service, session, RICH, 128)
        path, recipe = downloads.export(service, session, wanted, format=format, quality=90, folder=out)
        assert images.read_recipe(path) == json.loads(json.dumps(recipe.to_json()))
        back = actions.add_upload(service, session, str(path), str(tmp_path), path.name, shown=CAT)
        assert back.held is None
        assert back.composition == RICH
        assert "restored" in back.message


def test_own_pictures_are_found_again_by_their_content_or_named(service, session, tmp_path):
    held = session.add(images.load(picture(48, 48, seed=5)), "painting.png")
    look = replace(LOOK, styles=((held.id, 1.0), ("sample:peacock", 0.5)))
    kept = actions.keep(service, session, look)
    assert actions.restore_recipe(service, session, kept.recipe.to_json(), shown=CAT).composition == look
    stranger = Session("stranger", SMALL)
    added = actions.restore_recipe(service, stranger, kept.recipe.to_json(), shown=CAT)
    assert added.composition is not None
    assert added.composition.styles == (("sample:peacock", 0.5),)
    assert "painting.png" in added.message


def restored(service, stranger, recipe):
    shown = Composition("sample:cat", (("sample:marbling", 1.0),))
    return actions.restore_recipe(service, stranger, recipe.to_json(), shown=shown)


def test_a_picture_that_is_awaited_takes_its_place_and_weight(service, session, tmp_path):
    names = ("photo", "first", "last")
    own = {name: images.encode(picture(48, 48, seed=seed)) for seed, name in enumerate(names)}
    ids = {name: session.add(images.load(data), f"{name}.png").id for name, data in own.items()}
    styles = ((ids["first"], 4.0), ("sample:peacock", 1.0), (ids["last"], 2.0))
    recipe = recipe_for(replace(LOOK, content=ids["photo"], styles=styles), session, size=128)
    stranger = Session("stranger", SMALL)
    added = restored(service, stranger, recipe)
    assert (added.composition.content, added.composition.styles) == ("sample:cat", (("sample:peacock", 0.25),))
    palette, messages = added.composition.palette, []
    for name in ("last", "photo", "first"):
        path = upload(tmp_path, images.load(own[name]).rgb)
        shown = read_palette(palette, SMALL)
        added = actions.add_upload(service, stranger, path, str(tmp_path), f"other-{name}.png", shown=shown)
        palette = added.palette
        messages.append(added.message)
    assert palette["content"] == ids["photo"]
    assert palette["styles"] == [[ids["first"], 1.0], ["sample:peacock", 0.25], [ids["last"], 0.5]]
    assert messages[0] == "other-last.png is in its place in the blend again."
    assert messages[1] == "other-photo.png is the photo again."
    again = actions.add_upload(
        service,
        stranger,
        upload(tmp_path, images.load(own["first"]).rgb),
        str(tmp_path),
        "first.png",
        shown=CAT,
    )
    assert (again.palette, again.kinds) == (None, ())  # it is not awaited any more


def test_a_blend_of_which_nothing_is_here_keeps_what_is_shown_until_something_comes(service, session, tmp_path):
    own = session.add(images.load(images.encode(picture(48, 48, seed=5))), "painting.png")
    recipe = recipe_for(replace(LOOK, styles=((own.id, 0.5),)), session, size=128)
    stranger = Session("stranger", SMALL)
    added = restored(service, stranger, recipe)
    assert added.composition.styles == (("sample:marbling", 1.0),)
    path = upload(tmp_path, picture(48, 48, seed=5))
    added = actions.add_upload(service, stranger, path, str(tmp_path), "x.png", shown=added.composition)
    assert added.palette["styles"] == [[own.id, 0.5]]
    assert added.kinds == ("style",)


def test_another_recipe_ends_the_wait_and_a_full_blend_takes_nothing(service, session, tmp_path):
    own = session.add(images.load(images.encode(picture(48, 48, seed=5))), "painting.png")
    recipe = recipe_for(replace(LOOK, styles=((own.id, 0.5), ("sample:peacock", 1.0))), session, size=128)
    stranger = Session("stranger", SMALL)
    full = tuple((f"sample:{name}", 1.0) for name in samples.names("style")[: SMALL.styles])
    for other, styles in ((True, ()), (False, full)):
        restored(service, stranger, recipe)
        if other:
            restored(service, stranger, recipe_for(LOOK, session, size=128))
        path = upload(tmp_path, picture(48, 48, seed=5))
        added = actions.add_upload(
            service, stranger, path, str(tmp_path), "x.png", shown=Composition("sample:cat", styles)
        )
        assert added.held is not None
        assert added.palette is None


def test_a_result_becomes_a_picture_of_the_session(service, session):
    kept = actions.keep(service, session, LOOK)
    held = actions.use_result(service, session, kept.id)
    assert held.name == "styled-r1.png"
    np.testing.assert_array_equal(held.as_content(128).rgb, images.load(kept.data).rgb)
    actions.live(service, session, replace(LOOK, content=held.id, styles=((held.id, 1.0),)))
    with pytest.raises(ConfigError, match="not kept any more"):
        actions.use_result(service, session, "r99")


def test_a_removed_picture_is_let_go_unless_an_optimisation_needs_it(service, session):
    held = session.add(images.load(picture(16, 16, seed=1)), "mine.png")
    session.run = Run(session, work=lambda stop: iter(()), state="running")
    session.remove(held.id)
    assert session.holds(held.id)
    session.run = None
    session.remove(held.id)
    assert not session.holds(held.id)
    session.remove("upload:gone")
    assert session.holds("sample:cat")
    with pytest.raises(ConfigError, match="not kept here any more"):
        session.picture(held.id)


def test_a_recipe_of_the_command_line_is_understood(service, session):
    stylized = actions.keep(service, session, LOOK).recipe.to_json() | {"size": 500, "stroke_scale": 2.0}
    look = actions.restore_recipe(service, session, stylized, shown=CAT).composition
    assert (look.size, look.stroke_scale) == (SMALL.max_size, 2)
    assert "style_long_side(side, 2.0), result=side)" in Recipe.from_json(stylized).program()
    for own, scale, fitted in ((750, 1.5, ", 750), "), (5000, 4, ", 5000), "), (0, 1, ", 0), ")):
        sized = stylized | {"style_size": own, "stroke_scale": None}
        assert actions.restore_recipe(service, session, sized, shown=CAT).composition.stroke_scale == scale
        assert fitted in Recipe.from_json(sized).program()


def test_an_optimisation_of_the_command_line_is_understood(service, session):
    settings = OptimizeSettings(strength=0.4, blend="mixture", steps=7, init="image", colors="match", color=0.6)
    fast = Settings(strength=0.4, blend="mixture", colors="match", color=0.6)
    plain = replace(actions.keep(service, session, LOOK).recipe, settings=fast, size=96, stroke_scale=0.5)
    recipe = replace(plain, optimisation=Optimisation(settings, "medium", "my.png"))
    added = actions.restore_recipe(service, session, recipe.to_json(), shown=CAT)
    assert added.composition.settings == fast
    assert (added.composition.stroke_scale, added.composition.model) == (0.5, "slim")
    assert "Optimise does that here" in added.message
    program = recipe.program()
    assert (
        "init = images.flatten(images.resize_to(images.load('my.png'), height=photo.height, width=photo.width)).rgb"
        in program
    )
    written = re.search(r"OptimizeSettings\((.*)\)", program)
    assert written is not None
    assert eval(f"OptimizeSettings({written[1]})") == settings
    noise, original = (
        replace(recipe, optimisation=Optimisation(settings, model, init))
        for model, init in (("medium", "noise"), ("vgg19", "fast"))
    )
    assert "Stylizer" not in noise.program().splitlines()[-4]
    assert "Stylizer('slim')" in original.program()
    restored = actions.restore_recipe(service, session, original.to_json(), shown=CAT)
    assert "Best, is not installed here" in restored.message


@pytest.mark.parametrize(
    "damage",
    [
        {"optimize": 3},
        {"optimize": {"settings": {"steps": 0}, "model": "medium", "init": "fast"}},
        {"optimize": {"settings": {}, "model": "large", "init": "fast"}},
        {"optimize": {"settings": {}, "model": "medium", "init": None}},
        {"styles": None},
        {"styles": [{"name": "x.png", "weight": -1}]},
        {"styles": [{"name": "x.png", "weight": True}]},
        {"masks": [{"name": "x.png"}, 4]},
        {"content": {}},
        {"strength": 5},
        {"transform": "mixed"},
        {"stroke_scale": [1]},
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(service, session, damage):
    recipe = actions.keep(service, session, LOOK).recipe.to_json() | damage
    with pytest.raises(ConfigError):
        actions.restore_recipe(service, session, recipe, shown=CAT)


def test_the_command_is_what_the_command_line_reads_back(service, session):
    recipe = recipe_for(RICH, session, size=128)
    words = shlex.split(recipe.command("a picture.png"))
    assert words[:3] == ["wctstyle", "stylize", "sample:coffee"]
    words.remove("--photo")  # a switch, which has no value
    options = list(zip(words[3::2], words[4::2], strict=True))
    styles = [parse_style(value) for name, value in options if name == "--style"]
    assert [(s.source, s.weight) for s in styles] == list(RICH.styles)
    said = {
        "strength": "1.3",
        "detail": "0.3",
        "colors": "match",
        "color": "0.7",
        "texture": "0.2",
        "keep-faces": "0.8",
        "transform": "wct",
    }
    said |= {"blend": "mixture", "look": "0", "refine": "0", "size": "128", "stroke-scale": "1.25", "model": "medium"}
    assert {name: dict(options)[f"--{name}"] for name in said} == said
    assert options[-1] == ("-o", "a picture.png")


def run_program(service, recipe, folder):
    """Run the Python of a recipe with the service's own models; returns the picture it saves."""
    code = recipe.program(str(folder / "out.png"))
    code = code.replace(" Stylizer(", " stylizer(").replace(" Optimizer(", " optimizer(")
    exec(
        compile(code, "recipe", "exec"), {"stylizer": service.backend.stylizer, "optimizer": service.backend.optimizer}
    )
    return images.load(folder / "out.png").rgb


@pytest.mark.parametrize("bad", [{"size": float("inf")}, {"look": float("inf")}])
def test_numbers_of_strangers_recipes_are_checked(service, session, bad):
    recipe = actions.keep(service, session, LOOK).recipe.to_json() | bad
    with pytest.raises(ConfigError):
        actions.restore_recipe(service, session, recipe, shown=CAT)


def test_looks_beyond_the_slider_are_brought_to_its_end(service, session):
    recipe = actions.keep(service, session, LOOK).recipe.to_json() | {"look": 4096}
    assert actions.restore_recipe(service, session, recipe, shown=CAT).composition.settings.look == MAX_SCREEN_SIZE
    with pytest.raises(ConfigError, match="look is nan, must be from 0 to 4096 pixels"):
        compose(service.limits, LOOK.palette, size=128, look=float("nan"))


@pytest.mark.parametrize("damage", [{"content": {}}, {"styles": 3}, {"size": None}, {"stroke_scale": "1 && rm -r ."}])
def test_a_recipe_that_lacks_something_names_it(service, session, damage):
    recipe = actions.keep(service, session, LOOK).recipe.to_json() | damage
    with pytest.raises(ConfigError, match="my.png: its recipe .* cannot be used: .*(name|int|size|stroke_scale)"):
        Recipe.from_json(recipe, source="my.png")


def test_the_python_makes_the_same_picture(service, session, tmp_path):
    wanted = service.backend.render(session, RICH).image
    made = run_program(service, recipe_for(RICH, session, size=128), tmp_path)
    assert made.shape == wanted.shape
    assert np.abs(made - wanted).mean() < 0.02


def test_the_command_makes_the_same_picture(service, session, tmp_path, monkeypatch):
    monkeypatch.setattr("wctstyle.stylizer.Stylizer", service.backend.stylizer)
    wanted = service.backend.render(session, RICH).image
    recipe = recipe_for(RICH, session, size=128)
    words = shlex.split(recipe.command(str(tmp_path / "out.png")))
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, done.output
    assert np.abs(images.load(tmp_path / "out.png").rgb - wanted).mean() < 0.02
    assert images.read_recipe(tmp_path / "out.png") == json.loads(json.dumps(recipe.to_json()))


def test_results_of_the_history_are_made_again_while_their_pictures_are_held(service, session, tmp_path):
    own = session.add(images.load(picture(60, 90, seed=3)), "mine.png")
    kept = actions.keep(service, session, replace(LOOK, content=own.id))
    path = exported(service, session, kept.id, tmp_path)
    made = service.backend.render(session, kept.composition).image
    np.testing.assert_allclose(images.load(path).rgb, made, atol=0.51 / 255)
    assert images.read_recipe(path) == kept.recipe.to_json()
    session._pictures.clear()
    path = exported(service, session, kept.id, tmp_path)
    np.testing.assert_array_equal(images.load(path).rgb, images.load(kept.data).rgb)
    with pytest.raises(ConfigError, match="format"):
        exported(service, session, kept.id, tmp_path, format="BMP")


def exported(service, session, chosen, folder, size=downloads.AS_SHOWN, format="PNG"):
    """Write what was chosen into a folder, after its preview; returns the path."""
    wanted = downloads.target(service, session, chosen, size)
    said = downloads.preview(service, session, wanted, format, 92)
    path, recipe = downloads.export(service, session, wanted, format=format, quality=92, folder=folder)
    made = images.load(path)
    assert said.startswith(f"{path.name}: {made.width} × {made.height} pixels, {format}")
    assert images.read_recipe(path) == json.loads(json.dumps(recipe.to_json()))
    assert downloads.recipe_for(session, wanted) == recipe
    return path


def test_a_file_that_cannot_be_written_is_told_without_its_path(service, session, tmp_path):
    kept = actions.keep(service, session, LOOK)
    told = []
    for chosen in (LOOK, kept.id):
        with pytest.raises(ImageError) as caught:
            exported(service, session, chosen, tmp_path / "gone")
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert str(tmp_path) not in told[0]


def test_export_refuses_what_is_not_offered(service, session, tmp_path):
    with pytest.raises(ConfigError, match="format"):
        exported(service, session, LOOK, tmp_path, format="BMP")
    with pytest.raises(ConfigError, match="size"):
        exported(service, session, LOOK, tmp_path, size=5000)


def test_a_download_is_the_picture_on_screen_and_larger_on_request(service, session, tmp_path):
    shown = actions.live(service, session, LOOK)
    path = exported(service, session, LOOK, tmp_path)
    assert (images.load(path).width, session.on_screen) == (shown["width"], None)
    assert np.abs(images.load(path).rgb - decoded(shown["after"])).mean() < 0.03
    larger = images.read_recipe(exported(service, session, LOOK, tmp_path, size=192))
    assert (larger["size"], larger["stroke_scale"]) == (192, LOOK.stroke_scale)  # so strokes grow along
    wide = replace(LOOK, content="sample:coffee")
    assert images.load(exported(service, session, wide, tmp_path, size=256)).width == 256


def test_an_optimised_result_is_downloaded_as_it_is(service, session, tmp_path):
    kept = list(optimising.optimise(service, session, TINY, 2, "adam", "fast"))[-1].kept
    path = exported(service, session, kept.id, tmp_path)
    assert path.name == "astronaut-optimised.png"
    np.testing.assert_array_equal(images.load(path).rgb, images.load(kept.data).rgb)
    assert (
        "wctstyle optimize" in downloads.recipe_for(session, downloads.target(service, session, kept.id, 0)).command()
    )
    with pytest.raises(ConfigError, match="keeps its size, 64 × 64"):
        downloads.target(service, session, kept.id, 128)
    assert downloads.target(service, session, kept.id, 64).entry is kept


def cut_out(height, width, seed=0):
    """A picture that is seen in its middle alone, with noise in what is hidden."""
    rng = np.random.default_rng(seed)
    planes = np.full((height, width, 4), 255, np.uint8)
    planes[..., :3] = rng.integers(0, 256, size=(height, width, 3))
    planes[..., 3] = 0
    planes[height // 4 : -height // 4, width // 4 : -width // 4, 3] = 255
    return images.load(planes)


def test_small_pictures_are_white_where_the_photo_is_transparent(service, session):
    planes = np.full((64, 64, 4), 90, np.uint8)
    planes[..., 3] = np.kron([[255, 0], [0, 255]], np.ones((32, 32)))  # the corners, so that nothing is cut off
    composition = replace(TINY, content=session.add(images.load(planes), "cut.png").id)
    *steps, last = optimising.optimise(service, session, composition, 2, "adam", "fast")
    for thumb in (steps[-1].thumb, last.fast.thumb, last.kept.thumb):
        rgb = images.load(base64.b64decode(thumb.partition(",")[2])).rgb
        assert rgb[: rgb.shape[0] // 2 - 4, rgb.shape[1] // 2 + 4 :].min() > 0.9
        assert rgb[: rgb.shape[0] // 2 - 4, : rgb.shape[1] // 2 - 4].min() < 0.8


def test_what_is_transparent_in_the_photo_is_in_every_result(service, session, tmp_path):
    photo = cut_out(64, 96)
    composition = replace(TINY, size=96, content=session.add(photo, "cut.png").id)
    stage = actions.live(service, session, composition)
    for side in ("before", "after"):
        assert images.load(base64.b64decode(stage[side].partition(",")[2])).alpha is not None
    kept = list(optimising.optimise(service, session, composition, 2, "adam", "fast"))[-1]
    found = [images.load(entry.data).alpha for entry in (kept.fast, kept.kept)]
    found += [images.load(exported(service, session, composition, tmp_path, format=f)).alpha for f in ("PNG", "WebP")]
    small = images.resize(photo, long_side=64).alpha
    for alpha, wanted in zip(found, (small, small, photo.alpha, photo.alpha), strict=True):
        np.testing.assert_allclose(alpha, wanted, atol=2 / 255)
    assert images.load(exported(service, session, composition, tmp_path, format="JPEG")).alpha is None
    wanted = downloads.target(service, session, composition, 0)
    assert downloads.preview(service, session, wanted, "JPEG", 90).endswith("quality 90, transparency is lost")
    assert downloads.preview(service, session, wanted, "PNG", 90).endswith("lossless, with transparency")


def test_hidden_pixels_of_the_photo_do_not_show(service, session):
    one, two = (cut_out(64, 64, seed) for seed in (1, 2))
    both = one.alpha > 0
    rgb = np.where(both[..., None], one.rgb, two.rgb).astype(np.float32)
    made = [
        service.backend.render(session, replace(TINY, content=session.add(p, "cut.png").id)).image
        for p in (one, images.Picture(rgb, one.alpha))
    ]
    np.testing.assert_allclose(*made, atol=1e-5)


# ---------------------------------------------------------------------------------------------------- compare


def test_figures_are_zero_for_the_photo_itself_and_for_the_style_itself(service, session):
    held = session.add(images.load(samples_at("peacock", 128)), "style.png")
    look = replace(LOOK, content="sample:cat", styles=((held.id, 1.0),))
    photo = service.backend.content(session.picture("sample:cat"), 128).rgb
    own = service.backend.figures(session, look, photo)
    assert own["content"] == pytest.approx(0, abs=1e-5)
    assert own["ssim"] == pytest.approx(1)
    assert min(own["style_by_level"]) > 0.02
    style = held.as_style((128, 128)).picture
    painted = service.backend.figures(session, look, style)
    assert max(painted["style_by_level"]) < 1e-3
    assert painted["ssim"] is None or painted["ssim"] < 0.9


def test_figures_of_another_size_than_the_photo_leave_out_what_compares_them(service, session):
    wide = np.ascontiguousarray(samples_at("cat", 128)[:40])
    measured = service.backend.figures(session, replace(LOOK, content="sample:cat"), wide)
    assert (measured["content"], measured["ssim"]) == (None, None)
    assert len(measured["style_by_level"]) == 5
    silent = replace(LOOK, content="sample:cat", styles=(("sample:peacock", 0.0),))
    measured = service.backend.figures(session, silent, samples_at("cat", 128))
    assert (measured["style"], measured["style_by_level"]) == (None, [])
    assert measured["content"] == pytest.approx(0, abs=1e-5)


def test_two_results_are_compared_on_the_stage_and_in_a_table(service, session):
    a = actions.keep(service, session, LOOK)
    b = actions.keep(service, session, replace(LOOK, settings=Settings(strength=0.3)))
    assert results.latest_pair(session) == (a.id, b.id)
    stage = results.pair(session, a.id, b.id)
    assert stage["mode"] == "split"
    np.testing.assert_array_equal(decoded(stage["before"]), images.load(a.data).rgb)
    rows = results.figures(service, session, [a.id, b.id])
    assert rows[1]["ssim"] > rows[0]["ssim"]
    html = sheets.figures(rows, ["A", "B"])
    assert html.count("<tr>") == 1 + len(("seconds", "style", *sheets.LEVELS, "content", "SSIM"))
    assert '<th scope="row" title="relu1_1">finest</th>' in html
    assert f"{rows[0]['ssim']:.3f}" in html


def test_one_result_cannot_be_compared(session):
    with pytest.raises(ConfigError, match="only one result"):
        results.latest_pair(session)


def test_sizes_of_files_are_in_units_that_say_something(tmp_path):
    for held, told in ((0, "0 kB"), (1, "1 kB"), (24_000, "24 kB"), (2**20, "1.0 MB"), (3_670_016, "3.5 MB")):
        (tmp_path / "file").write_bytes(bytes(held))
        assert sheets.size(tmp_path / "file") == told


def test_sheets_escape_and_draw():
    row = {"kind": "<b>", "seconds": 1, "content": 0.1, "ssim": None, "title": "<i>x"}
    html = sheets.figures([{**row, "style": None, "style_by_level": [], "losses": [(1, 10.0, 1), (2, 1.0, 1)]}], ["A"])
    assert "<b>" not in html.replace("<b>A</b>", "")
    assert "<i>x" not in html
    points = re.search(r'points="([^"]+)"', html)
    assert points is not None
    assert points[1].split() == ["0.0,4.0", "300.0,96.0"]
    assert sheets.curve(((1, 1.0, 1),)) == ""
    assert sheets.curve(((1, float("nan"), 1), (2, -1.0, 1))) == ""
    assert "restarts" not in html
    assert "restarts at each larger size" in sheets.curve(((1, 10.0, 1), (2, 1.0, 2)))
    assert html.count("</i>") == 2
    assert 'role="img" aria-label="Loss from 10 to 1 in 2 steps"' in html
    assert [sheets.duration(s) for s in (0.2, 60, 600)] == ["1 s", "60 s", "10 min"]


@given(
    st.floats(1e-6, 1e6),
    st.one_of(st.floats(1.0001, 1.01), st.floats(1.01, 10), st.floats(10, 1e9)),
)
def test_axes_have_two_to_four_round_labels_in_their_range(low, ratio):
    for values in (sheets.round_values(low, low * ratio), sheets.round_powers(low, low * ratio)):
        assert 2 <= len(values) <= 4
        assert values == sorted(set(values))
        assert low * (1 - 1e-6) <= values[0]
        assert values[-1] <= low * ratio * (1 + 1e-6)


def test_axes_are_labelled_as_people_would():
    assert sheets.round_powers(0.028, 0.192) == [0.03, 0.1]
    assert sheets.round_powers(0.02, 2e5) == [0.1, 10, 1000, 1e5]
    assert sheets.round_powers(1.31, 1.84) == [1.4, 1.6, 1.8]
    assert sheets.round_values(1, 60) == [20, 40, 60]
    assert sheets.round_values(1, 400) == [100, 200, 300, 400]
    assert sheets.round_values(5.1, 14.9) == [6, 10, 14]
    assert sheets.round_values(3, 3) == sheets.round_powers(3, 3) == [3]


# --------------------------------------------------------------------------------------------------- optimise

TINY = replace(LOOK, size=64)


def test_optimising_streams_previews_and_keeps_the_result(service, session, tmp_path):
    seen = list(optimising.optimise(service, session, TINY, 12, "lbfgs", "fast"))
    assert [p.kept is not None for p in seen] == [False] * (len(seen) - 1) + [True]
    last = seen[-1]
    assert last.step == 12
    assert last.losses[-1][1] < last.losses[0][1]
    assert session.history == [last.fast, last.kept]
    assert last.kept is not None
    wanted = service.backend.render(session, TINY).image
    assert np.abs(images.load(last.fast.data).rgb - wanted).mean() < 0.03
    recipe = last.kept.recipe
    assert recipe.optimisation is not None
    words = shlex.split(recipe.command())  # one command: the picture to start from is what `optimize` paints by itself
    assert (words[1], words[words.index("--model") + 1], "--init=fast" in words) == ("optimize", "medium", True)
    assert words[words.index("--steps") + 1] == "12"
    made = run_program(service, recipe, tmp_path)
    assert np.abs(made - images.load(last.kept.data).rgb).mean() < 0.02
    assert actions.restore_recipe(service, session, recipe.to_json(), shown=CAT).composition == TINY
    shown = results.reopened(service, session, last.kept.id)
    np.testing.assert_array_equal(decoded(shown["after"], "png"), images.load(last.kept.data).rgb)
    assert np.abs(decoded(last.stage["after"]) - images.load(last.kept.data).rgb).mean() < 0.06


def test_optimising_goes_as_far_as_the_style_and_in_the_colors_of_the_blend(service, session):
    mixed = replace(TINY, settings=Settings(colors="match", color=0.4))
    chosen = optimising.optimise_settings(service, mixed, 5, "adam", "content")
    assert (chosen.strength, chosen.colors, chosen.color) == (1, "match", 0.4)
    only = replace(TINY, settings=Settings(colors="only"))
    with pytest.raises(ConfigError, match="paints nothing to optimise; choose style, photo or match"):
        optimising.submit(service, session, only, 5, "adam", "fast")
    beyond = replace(TINY, settings=Settings(strength=1.5, colors="photo"))
    kept = list(optimising.optimise(service, session, beyond, 2, "adam", "content"))[-1].kept
    photo = service.backend.content(session.picture(beyond.content), 64).rgb
    made, own = (color.rgb_to_oklab(rgb)[..., 1:] for rgb in (images.load(kept.data).rgb, photo))
    assert np.median(np.abs(made - own)) < 0.01
    assert "--colors photo" in kept.recipe.command()
    assert actions.restore_recipe(service, session, kept.recipe.to_json(), shown=CAT).composition == beyond


def test_detail_acts_on_an_optimisation(service, session):
    weights = [
        optimising.optimise_settings(service, replace(TINY, settings=Settings(detail=d)), 5, "adam", "fast")
        for d in (0.0, 0.5, 1.0)
    ]
    assert [w.content_weight for w in weights] == [0.03, 0.06, 0.12]


def test_stopping_keeps_the_best_so_far(service, session):
    stop = threading.Event()
    run = optimising.optimise(service, session, TINY, 400, "adam", "content", stop)
    next(run)
    next(run)
    stop.set()
    last = list(run)[-1]
    assert last.kept is not None
    assert 0 < last.step < 400
    assert "stopped" in last.text.lower()


def test_a_closed_session_stops_its_optimisation_and_keeps_nothing(service):
    session = Session("gone", SMALL)
    run = optimising.optimise(service, session, TINY, 400, "adam", "content")
    next(run)
    next(run)
    session.close()
    assert list(run) == []
    assert session.history == []


def test_optimising_is_limited(service, session):
    with pytest.raises(ConfigError, match="steps is 401"):
        next(optimising.optimise(service, session, TINY, 401))
    with pytest.raises(ConfigError, match="optimizer"):
        next(optimising.optimise(service, session, TINY, 5, "sgd"))
    first = next(optimising.optimise(service, session, LOOK, 5))
    assert first.stage["width"] == SMALL.optimise_size


def test_an_estimate_is_said_before(service, session):
    text = optimising.estimate(service, session, TINY, 100, "lbfgs", "fast")
    assert re.match(r"About \d+ (s|min) for 100 steps at 64 × 64", text)


def test_slow_work_gives_way_to_quick_work():
    gate, order = Priority(), []
    with gate.quick():
        waiting = threading.Thread(target=lambda: (gate.give_way(60), order.append("slow")))
        waiting.start()
        time.sleep(0.05)
        order.append("quick")
    waiting.join(60)
    assert order == ["quick", "slow"]
    start = time.perf_counter()
    with gate.quick():
        gate.give_way(0.05)
    assert time.perf_counter() - start > 0.04


# ------------------------------------------------------------------------------------------------- undo and redo


@pytest.fixture
def clock(monkeypatch):
    """The time of the steps; it stands still until it is set."""
    now = types.SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(steps.time, "monotonic", lambda: now.seconds)
    return now


def strong(strength):
    return replace(LOOK, settings=Settings(strength=strength))


def as_it_is(step):
    return step


def test_steps_go_back_and_forth_and_a_move_ends_the_way_forth(clock):
    steps = Steps()
    looks = [LOOK, replace(LOOK, content="sample:cat"), replace(LOOK, content="sample:cat", model="medium")]
    for look in looks:
        steps.record(look)
    assert steps.offered == {"undo": True, "redo": False}
    assert [steps.undo(look, as_it_is) for look in reversed(looks)] == [looks[1], looks[0], None]
    assert steps.offered == {"undo": False, "redo": True}
    assert [steps.redo(look, as_it_is) for look in looks] == [looks[1], looks[2], None]
    assert steps.undo(looks[2], as_it_is) == looks[1]
    steps.record(strong(0.5))
    assert steps.redo(strong(0.5), as_it_is) is None
    assert steps.undo(strong(0.5), as_it_is) == looks[1]


def test_a_drag_is_one_step_and_other_sliders_and_choices_are_others(clock):
    steps = Steps()
    steps.record(LOOK)
    for strength in (0.9, 0.8, 0.7):
        steps.record(strong(strength))
        clock.seconds += 10  # which the picture takes
        steps.rest()
    assert len(steps.past) == 1
    weighed = replace(strong(0.7), styles=((LOOK.styles[0][0], 0.1), LOOK.styles[1]))
    steps.record(weighed)
    steps.record(replace(weighed, styles=(weighed.styles[0], (LOOK.styles[1][0], 0.2))))
    assert len(steps.past) == 3
    clock.seconds += DRAG_SECONDS
    steps.record(replace(weighed, styles=(weighed.styles[0], (LOOK.styles[1][0], 0.3))))
    assert len(steps.past) == 4
    for content in ("cat", "coffee"):  # not a drag, however quick
        steps.record(replace(LOOK, content=f"sample:{content}"))
    assert len(steps.past) == 6


def test_what_is_on_the_page_but_not_yet_recorded_is_undone(clock):
    steps = Steps()
    steps.record(LOOK)
    assert steps.undo(strong(0.5), as_it_is) == LOOK
    assert steps.redo(LOOK, as_it_is) == strong(0.5)


def test_a_move_that_arrives_after_its_undo_is_passed_over(clock):
    steps = Steps()
    steps.record(LOOK)
    assert steps.undo(strong(0.5), as_it_is) == LOOK
    steps.record(strong(0.5))
    assert (steps.now, steps.offered) == (LOOK, {"undo": False, "redo": True})
    clock.seconds += LATE_SECONDS
    steps.record(strong(0.5))
    assert steps.now == strong(0.5)


def test_steps_are_bounded(clock):
    steps = Steps()
    for number in range(MAX_STEPS + 20):
        clock.seconds += DRAG_SECONDS
        steps.record(replace(LOOK, size=64 + number))
    assert len(steps.past) == MAX_STEPS
    assert steps.past[-1].size == 64 + MAX_STEPS + 18


def test_steps_of_pictures_that_are_gone_are_repaired_or_passed_over(service, session):
    held = [session.add(images.load(picture(16, 16, seed=seed)), f"{seed}.png") for seed in range(2)]
    photo = replace(LOOK, content=held[0].id)
    both = replace(LOOK, styles=((held[1].id, 1.0), ("sample:peacock", 0.5)))
    only = replace(LOOK, styles=((held[1].id, 1.0),))
    for look in (strong(0.5), photo, both, only, LOOK):
        session.steps.record(look)
    for picture_ in held:
        session.remove(picture_.id)
    seen, shown = [], LOOK
    while (
        step := session.steps.undo(shown, lambda step, shown=shown: actions.repaired(session, step, shown))
    ) is not None:
        seen.append(step)
        shown = step
    alone = replace(LOOK, styles=(("sample:peacock", 0.5),))
    assert seen == [alone, replace(LOOK, styles=LOOK.styles), strong(0.5)]
    for step in seen:
        actions.live(service, session, step)


def test_undo_sets_palette_and_controls_and_live_moves_are_its_steps(service, session):
    shown = page(service, session)
    shown.controls = dict.fromkeys(DEFAULTS)
    shown._updates = partial(Page._updates, shown)
    shown._composition = partial(Page._composition, shown)
    event = partial(types.SimpleNamespace, _data={"redo": False})
    for look in (LOOK, RICH):
        told = shown._live(None, look.palette, *look.dials.values())
    assert told["steps"] == {"undo": True, "redo": False}
    assert shown._step(None, event(), RICH.palette, *RICH.dials.values()) == [LOOK.palette, *LOOK.dials.values()]
    assert shown._step(None, event(), LOOK.palette, *LOOK.dials.values()) == [gr.skip()] * (1 + len(DEFAULTS))
    redo = event(_data={"redo": True})
    assert shown._step(None, redo, LOOK.palette, *LOOK.dials.values()) == [RICH.palette, *RICH.dials.values()]


# ------------------------------------------------------------------------------------------------------ guard


def asked(method="POST", path="/gradio_api/queue/join", body=b"{}", kinds=(b"application/json",)):
    """Send one request through the guard; returns status, and the body that arrived behind it."""
    arrived, sent = [], []

    async def app(scope, receive, send):
        message = await receive()
        arrived.append(message["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def run():
        parts = [{"type": "http.request", "body": body[:3], "more_body": True}]
        parts += [{"type": "http.request", "body": body[3:], "more_body": False}]

        async def receive():
            return parts.pop(0)

        async def send(message):
            sent.append(message)

        headers = [(b"content-type", kind) for kind in kinds]
        scope = {"type": "http", "method": method, "path": path, "headers": headers}
        await Guard(app, UPLOADS, {})(scope, receive, send)

    asyncio.run(run())
    assert any(name == b"content-security-policy" for name, _ in sent[0]["headers"])
    return sent[0]["status"], arrived


UPLOADS = Path("/tmp/gradio")
FOREIGN = b'{"data": [{"path": "http://169.254.169.254/x"}]}'
FORM = b"multipart/form-data; boundary=x"


def test_the_guard_passes_what_is_plain():
    body = json.dumps({"data": [{"path": "/tmp/gradio/x.png", "url": "http://host/x.png"}, 1, "http://text"]}).encode()
    assert asked(body=body) == (200, [body])
    assert asked(method="GET", path="/gradio_api/file=/tmp/x.png")[0] == 200
    assert asked(path="/gradio_api/upload", kinds=[FORM], body=b"--x")[0] == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"body": FOREIGN}, 400),
        ({"body": FOREIGN, "kinds": [b"application/json", FORM]}, 400),
        ({"body": FOREIGN, "kinds": [FORM, b"application/json"], "path": "/gradio_api/upload"}, 400),
        ({"body": FOREIGN, "kinds": [FORM]}, 400),
        ({"body": b'{"data": [{"a": [{"path": " HTTPS://x"}]}]}'}, 400),
        ({"body": b'{"data": [{"path": "\\u0068ttp://x"}]}'}, 400),
        ({"body": b"[" * 100_000}, 400),
        ({"body": b"no json"}, 400),
        ({"body": b"Infinity", "path": "/gradio_api/reset"}, 400),
        ({"body": b'{"data": [NaN, 1e999]}'}, 400),
        ({"body": b'"' + b"x" * 2**20 + b'"'}, 413),
        ({"method": "GET", "path": "/gradio_api/file=http://127.0.0.1/"}, 403),
        ({"method": "GET", "path": "/gradio_api/file= HTTPS://x"}, 403),
        ({"method": "GET", "path": "/gradio_api/proxy=https://x.hf.space/"}, 403),
        ({"method": "GET", "path": "/gradio_api/proxy=\0"}, 403),
        ({"method": "GET", "path": "/static/" + "a" * 256}, 404),
        ({"method": "GET", "path": "/gradio_api/file=a\nb"}, 404),
        ({"method": "GET", "path": "/a" * 1001}, 404),
    ],
)
def test_the_guard_refuses(request_, status):
    code, arrived = asked(**request_)
    assert code == status
    assert arrived == []


def test_files_of_elsewhere_are_found_wherever_they_stand():
    def file(path):
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    assert foreign_file({"path": "C"}, UPLOADS) is None
    assert foreign_file([{"x": {"path": "ftp://x"}}], UPLOADS) == "ftp://x"
    assert foreign_file({"x": [file("/tmp/gradio/a/b.png")]}, UPLOADS) is None
    for path in ("/etc/passwd", "/tmp/gradio", "/tmp/gradio/../x", "", "\0", 5, None):
        assert foreign_file({"x": [file(path)]}, UPLOADS) == str(path)


# ----------------------------------------------------------------------------------------------- command line


def test_the_command_checks_its_options_before_anything_is_loaded():
    run = [sys.executable, "-X", "importtime", "-m", "wctstyle", "demo", "--max-size", "99999"]
    done = subprocess.run(run, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False, timeout=60)
    assert done.returncode == 2
    assert "--max-size is 99999" in done.stderr
    assert not re.search(r"\| +(jax|gradio)$", done.stderr, re.MULTILINE)


@pytest.mark.parametrize("limits", [{"max_size": 1}, {"max_size": 10**6}, {"queue_size": 0}])
def test_limits_that_leave_nothing_are_refused(limits):
    with pytest.raises(ConfigError):
        Limits(**limits)
