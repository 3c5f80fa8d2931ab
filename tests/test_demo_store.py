"""Sessions on disk: everything comes back as it was, damage costs one session, and nothing grows without end."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import platformdirs
import pytest
from demo_service import SERVICE_FIXTURES, SMALL
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from narrow import picture
from typer.testing import CliRunner

from wctstyle import images
from wctstyle.cli import app
from wctstyle.demo import Limits, actions, memory, optimising, registry, server, store
from wctstyle.demo.composition import FIRST_CONTENT, FIRST_STYLES, Composition
from wctstyle.demo.page import Page
from wctstyle.demo.pictures import StoredPicture
from wctstyle.demo.registry import Sessions
from wctstyle.demo.sessions import Session
from wctstyle.demo.store import RECORD, Store
from wctstyle.errors import ConfigError
from wctstyle.settings import Settings

KEY, OTHER = "0123456789abcdef" * 2, "f" * 32
ODD_NAMES = ["Ünïcode 絵 🎨.png", "..", "a\\b'c\"d.jpg", "x" * 255]
SETTINGS = Settings(strength=1.3, detail=0.3, color=0.7, transform="wct", blend="mixture", look=0)


service = SERVICE_FIXTURES[0]


@pytest.fixture
def kept(tmp_path):
    return Store(tmp_path / "sessions", 2**26, 3600)


@pytest.fixture(scope="module")
def full(service):
    """A session with own pictures, results of both kinds, and a blend that is in none of them."""
    session = Session(KEY, SMALL, lasting=True)
    photo = session.add(images.load(picture(60, 90, seed=1)), ODD_NAMES[0])
    style = session.add(images.load(picture(64, 64, seed=2)), ODD_NAMES[2])
    session.put_on_shelf(photo.id, "content")
    session.put_on_shelf(style.id, "style")
    mine = Composition(photo.id, ((style.id, 0.25), ("sample:marbling", 0.5)), SETTINGS, 128, 1.5, "medium")
    actions.keep(service, session, mine)
    list(optimising.optimise(service, session, replace(mine, size=64), 4, "adam"))
    actions.live(service, session, replace(mine, settings=replace(SETTINGS, strength=0.123456789)))
    return session


def place(store):
    (folder,) = store.folder.iterdir()
    return folder


def tree(store):
    return {str(path.relative_to(store.folder)): path.stat().st_mtime_ns for path in store.folder.rglob("*.*")}


def filled(key, count=1, side=64):
    session = Session(key, SMALL, lasting=True)
    for seed in range(count):
        session.add(images.load(picture(side, side, seed=seed)), f"{seed}.png")
    return session


# -------------------------------------------------------------------------------------------------- there and back


def test_everything_comes_back(kept, full):
    kept.save(full)
    back = kept.load(KEY, SMALL)
    assert back is not None
    assert back.lasting
    assert not back.untouched
    assert back.composition == full.composition
    assert back.composition.settings.strength == 0.123456789
    assert back.shelf == full.shelf
    assert back.history == full.history
    assert [entry.kind for entry in back.history] == ["styled", "styled", "optimised"]
    assert [entry.recipe.command() for entry in back.history] == [entry.recipe.command() for entry in full.history]
    assert {held.id for held in back.pictures} == {held.id for held in full.pictures}
    for held in full.pictures:
        again = back.picture(held.id)
        np.testing.assert_array_equal(again.pixels, held.pixels)
        assert (again.name, again.content_hash, again.thumb) == (held.name, held.content_hash, held.thumb)
    assert actions.strip(back) == actions.strip(full)
    assert back.state == full.state


def test_a_session_that_came_back_goes_on(service, kept, full):
    kept.save(full)
    back = kept.load(KEY, SMALL)
    assert back is not None
    new = actions.keep(service, back, replace(back.composition, size=96))
    assert new.id not in {entry.id for entry in full.history}
    written = tree(kept)
    kept.save(back)
    assert written.items() <= tree(kept).items()  # what is there already is not written again
    again = kept.load(KEY, SMALL)
    assert again is not None
    assert again.history == back.history


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_of_uploads_are_no_names_of_files(kept, name):
    session = Session(KEY, SMALL, lasting=True)
    session.add(images.load(picture(32, 32, seed=1)), name)
    kept.save(session)
    back = kept.load(KEY, SMALL)
    assert back is not None
    assert [held.name for held in back.pictures] == [name]
    assert all(store.FILE.fullmatch(path.name) or path.name == RECORD for path in place(kept).iterdir())


def test_pictures_with_more_fields_come_back_too(kept, monkeypatch):
    @dataclass(frozen=True)
    class Richer(StoredPicture):
        alpha: np.ndarray | None = None
        caption: str = ""

    monkeypatch.setattr(store, "StoredPicture", Richer)
    plain = filled(KEY).pictures[0]
    alpha = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    pictures = [Richer(**vars(plain), alpha=alpha, caption="sea"), Richer(**{**vars(plain), "id": "upload:2"})]
    session = Session.remembered(
        KEY, SMALL, composition=None, shelf={"content": [], "style": []}, pictures=pictures, history=[]
    )
    kept.save(session)
    back = kept.load(KEY, SMALL)
    assert back is not None
    first, second = back.pictures
    np.testing.assert_array_equal(first.alpha, alpha)
    assert (first.caption, second.alpha) == ("sea", None)
    monkeypatch.undo()
    back = kept.load(KEY, SMALL)  # a version without these fields leaves them out
    assert back is not None
    assert [type(held) for held in back.pictures] == [StoredPicture] * 2


def test_what_is_not_held_any_more_is_deleted_from_disk(kept):
    session = filled(KEY, 3)
    kept.save(session)
    assert len(list(place(kept).iterdir())) == 4
    session._pictures.popitem(last=False)
    kept.save(session)
    assert len(list(place(kept).iterdir())) == 3


def test_smaller_limits_drop_the_oldest(kept, full):
    kept.save(full)
    back = kept.load(KEY, replace(SMALL, uploads=1, history=2))
    assert back is not None
    assert [entry.id for entry in back.history] == [entry.id for entry in full.history[-2:]]
    assert len(back.pictures) == 1


def test_what_another_server_does_not_have_is_replaced(service, kept, full):
    session = Session.remembered(
        KEY,
        SMALL,
        composition=Composition("upload:gone", (("sample:gone", 1.0),), SETTINGS, 1024, 1.0, "vgg19"),
        shelf={"content": ["upload:gone"], "style": []},
        pictures=[],
        history=full.history,
    )
    kept.save(session)
    back = kept.load(KEY, SMALL)
    assert back is not None
    fitted = memory.resumed(service, back)
    assert fitted == Composition(FIRST_CONTENT, FIRST_STYLES, SETTINGS, SMALL.max_size, 1.0, "slim")
    assert memory.news(back)["shelf"] == {"content": [], "style": []}


def test_a_restored_stage_is_of_the_history_or_rendered(service, kept, full):
    kept.save(full)
    back = kept.load(KEY, SMALL)
    assert back is not None
    left = memory.resumed(service, back)
    assert left == full.composition
    assert memory.stage(service, back, left)["milliseconds"] >= 0
    old = full.history[1].composition
    assert "milliseconds" not in memory.stage(service, back, old)  # it is in the history, so it is not to settle anew
    assert back.composition == old


def test_a_page_resumes_whatever_its_last_load_still_asked_for_but_not_over_its_own_moves(service, full):
    session = Session.remembered(
        KEY, SMALL, composition=full.composition, shelf=full.shelf, pictures=full.pictures, history=full.history
    )
    page = Page.__new__(Page)
    page.service, page.controls = service, dict.fromkeys(full.composition.dials)
    page._session = lambda request: session
    page.live_panel = SimpleNamespace(follow=lambda *_: False)  # nothing is painted live
    before, now = SimpleNamespace(session_hash="before"), SimpleNamespace(session_hash="now")
    news = json.loads(json.dumps(memory.news(session)))
    values = [full.composition.palette, *full.composition.dials.values()]
    page._live(before, *values)
    assert "after" in page._resume(now, news, *values)
    assert page._resume(now, None, *values) == gr.skip()
    page._live(now, *values)
    assert page._resume(now, news, *values) == gr.skip()


def test_a_move_is_remembered_even_if_nobody_waits_for_its_picture(service, monkeypatch):
    session, composition = Session(KEY, SMALL, lasting=True), Composition(size=64)

    def gone(*_):
        raise ConfigError("the page was left")

    monkeypatch.setattr(service.backend, "render", gone)
    with pytest.raises(ConfigError):
        actions.live(service, session, composition)
    assert session.composition == composition


# ---------------------------------------------------------------------------------------------------------- damage


def test_damaged_sessions_are_dropped_with_a_line_in_the_log(kept, full, caplog):
    kept.save(full)
    whole = {path.name: path.read_bytes() for path in place(kept).iterdir()}
    for name, data in whole.items():
        for damage in (None, b"", data[: len(data) // 2], data[:-1] + bytes([data[-1] ^ 1]), b"{}"):
            folder = kept._place(KEY)
            folder.mkdir(exist_ok=True)
            for other, content in whole.items():
                (folder / other).write_bytes(content)
            path = folder / name
            path.unlink() if damage is None else path.write_bytes(damage)
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                assert kept.load(KEY, SMALL) is None
            if not (name == RECORD and damage is None):
                assert "damaged" in caplog.text
                assert not folder.exists()


def record_of(kept, change):
    """Change a record and sign it, as another version of this program would."""
    path = place(kept) / RECORD
    written = json.loads(path.read_bytes().partition(b"\n")[2])
    body = json.dumps(change(written)).encode()
    path.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


@pytest.mark.parametrize(
    "change",
    [
        lambda w: [],
        lambda w: {**w, "version": 1},
        lambda w: {**w, "masks": [{}]},
        lambda w: {**w, "history": None},
        lambda w: {**w, "history": [{}]},
        lambda w: {**w, "shelf": 1},
        lambda w: {**w, "composition": {**w["composition"], "dials": {"strength": 9}}},
        lambda w: {**w, "composition": {**w["composition"], "dials": {**w["composition"]["dials"], "strength": 9}}},
        lambda w: {**w, "pictures": [{**w["pictures"][0], "file": "../../../etc/passwd"}]},
        lambda w: {**w, "pictures": [{**w["pictures"][0], "file": w["history"][0]["file"]}]},
        lambda w: {**w, "history": [{**w["history"][0], "id": "x"}]},
        lambda w: {**w, "history": [{**w["history"][0], "recipe": {}}]},
    ],
)
def test_records_that_make_no_sense_are_dropped(kept, full, change):
    kept.save(full)
    record_of(kept, change)
    assert kept.load(KEY, SMALL) is None
    assert not kept._place(KEY).exists()


def test_a_write_that_fails_is_told_and_leaves_what_was_there(kept, full, monkeypatch, caplog):
    kept.save(full)
    before = kept.load(KEY, SMALL)
    assert before is not None
    session = kept.load(KEY, SMALL)
    session.add(images.load(picture(32, 32, seed=9)), "new.png")

    def full_disk(target: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "replace_file", full_disk)
    kept.save(session)
    assert "No space left" in caplog.text
    after = kept.load(KEY, SMALL)
    assert after is not None
    assert after.state == before.state


def test_a_folder_that_cannot_be_made_costs_nothing_but_a_line(tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    nowhere = Store(tmp_path / "file" / "sessions", 2**20, 60)
    nowhere.save(filled(KEY))
    assert "could not be written" in caplog.text
    assert nowhere.load(KEY, SMALL) is None
    nowhere.sweep()
    nowhere.forget(KEY)


@hypothesis_settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.text(max_size=40), st.from_regex(r"[0-9a-f]{30,34}", fullmatch=True)))
def test_keys_that_are_no_keys_are_none(tmp_path, text):
    if registry.KEY.fullmatch(text):
        return
    store = Store(tmp_path / "sessions", 2**20, 60)
    assert store.load(text, SMALL) is None
    known = Sessions(SMALL, store)
    session = known.get("page", text)
    assert session.key == "page"
    assert not session.lasting
    session.add(images.load(picture(8, 8, seed=1)), "x.png")
    known.write()
    assert not store.folder.exists()


@pytest.mark.parametrize("headers", [None, {}, {"x-wctstyle-page": KEY}])
def test_the_key_comes_in_a_header(headers):
    assert memory.page_key(SimpleNamespace(headers=headers)) == (headers or {}).get(memory.HEADER)
    assert memory.page_key(None) is None


# ---------------------------------------------------------------------------------------------------------- bounds


def age(store, key, seconds):
    moment = time.time() - seconds
    os.utime(store._place(key) / RECORD, (moment, moment))


def test_old_sessions_go(kept):
    for key in (KEY, OTHER):
        kept.save(filled(key))
    age(kept, KEY, 3700)
    kept.sweep()
    assert kept.load(KEY, SMALL) is None
    assert kept.load(OTHER, SMALL) is not None


def test_a_session_that_is_used_stays(kept):
    kept.save(filled(KEY))
    age(kept, KEY, 3500)
    assert kept.load(KEY, SMALL) is not None
    assert time.time() - (place(kept) / RECORD).stat().st_mtime < 1000


def test_the_oldest_go_first_when_there_is_too_much(tmp_path):
    keys = [f"{number:032x}" for number in range(6)]
    kept = Store(tmp_path / "sessions", 2**26, 3600)
    for number, key in enumerate(keys):
        kept.save(filled(key, side=96))
        age(kept, key, 600 - number)
    size = sum(path.stat().st_size for path in kept.folder.rglob("*") if path.is_file())
    kept.max_bytes = size // 2
    kept.sweep()
    assert [kept.load(key, SMALL) is not None for key in keys] == [False] * 3 + [True] * 3


def test_it_is_swept_while_much_is_written(tmp_path):
    kept = Store(tmp_path / "sessions", 300_000, 3600)
    for number in range(30):
        kept.save(filled(f"{number:032x}", side=96))
    assert sum(path.stat().st_size for path in kept.folder.rglob("*") if path.is_file()) < 1.5 * kept.max_bytes


def test_unfinished_sessions_go_and_what_is_not_ours_stays(kept):
    kept.save(filled(KEY))
    for name in ("a" * 40, "b" * 40, "holiday"):
        (kept.folder / name).mkdir()
        (kept.folder / name / "x.npz").write_bytes(b"x")
    os.utime(kept.folder / ("a" * 40), (0, 0))
    os.utime(kept.folder / "holiday", (0, 0))
    kept.max_age = 10**12
    kept.sweep()
    assert {path.name for path in kept.folder.iterdir()} == {kept._place(KEY).name, "b" * 40, "holiday"}


def test_a_session_that_was_swept_is_written_whole_again(kept):
    session = filled(KEY, 2)
    kept.save(session)
    kept.forget(KEY)
    assert kept.load(KEY, SMALL) is None
    kept.save(session)
    back = kept.load(KEY, SMALL)
    assert back is not None
    assert len(back.pictures) == 2


def test_two_servers_with_one_folder_leave_each_other_their_sessions(kept, monkeypatch, caplog):
    """As when one stands in for another behind a proxy: what is written while it is read is read again."""
    other = Store(kept.folder, kept.max_bytes, kept.max_age)
    session = filled(KEY, 3)
    kept.save(session)
    other.save(filled(OTHER))
    for one in (kept, other):
        one.sweep()
        assert [len(one.load(key, SMALL).pictures) for key in (KEY, OTHER)] == [3, 1]
    read = store._read_session

    def beside(*args):
        monkeypatch.setattr(store, "_read_session", read)
        session._pictures.popitem(last=False)
        kept.save(session)
        return read(*args)

    monkeypatch.setattr(store, "_read_session", beside)
    found = other.load(KEY, SMALL)
    assert found is not None
    assert len(found.pictures) == 2
    assert not caplog.records


@pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX")
def test_only_the_user_can_read_it(kept):
    kept.folder.mkdir(parents=True)
    kept.folder.chmod(0o755)
    kept.save(filled(KEY))
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(place(kept).stat().st_mode) == 0o700
    assert KEY not in place(kept).name


# ------------------------------------------------------------------------------------------- in memory and on disk


def test_a_page_finds_its_session_under_another_name_of_gradio(kept):
    known = Sessions(SMALL, kept)
    session = known.get("first-load", KEY)
    assert known.get("second-load", KEY) is session
    assert known.get("third-load") is not session
    known.close("first-load")
    assert not session.closed.is_set()
    assert known.get("second-load", KEY) is session


def test_two_tabs_have_two_sessions(kept):
    known = Sessions(SMALL, kept)
    one, two = known.get("one", KEY), known.get("two", OTHER)
    held = one.add(images.load(picture(32, 32, seed=1)), "mine.png")
    known.write()
    assert two.pictures == []
    assert kept.load(OTHER, SMALL) is None  # nothing was done there
    again = Sessions(SMALL, kept)
    assert [other.id for other in again.get("one", KEY).pictures] == [held.id]
    assert again.get("two", OTHER).pictures == []


def test_a_page_that_tells_its_key_late_leaves_the_session_it_had(kept):
    known = Sessions(SMALL, kept)
    early = known.get("page")
    session = known.get("page", KEY)
    assert session is not early
    assert early.closed.is_set()
    assert len(known) == 1
    known.close("page")
    assert len(known) == 0


def test_a_closed_session_is_written_and_let_go_and_comes_back(kept):
    known = Sessions(SMALL, kept)
    session = known.get("page", KEY)
    session.add(images.load(picture(32, 32, seed=1)), "mine.png")
    known.close("page")
    assert len(known) == 0
    assert known.get("again", KEY) is session  # it was not written yet
    known.close("again")
    known.write()
    assert session.closed.is_set()
    assert known._leaving == {}
    back = known.get("later", KEY)
    assert back is not session
    assert [held.name for held in back.pictures] == ["mine.png"]


def test_sessions_that_had_to_make_room_come_back_too(kept):
    known = Sessions(replace(SMALL, sessions=2), kept)
    keys = [f"{number:032x}" for number in range(4)]
    for key in keys:
        known.get(f"page of {key}", key).add(images.load(picture(32, 32, seed=1)), f"{key}.png")
    known.write()
    assert len(known) == 2
    for key in keys:
        assert [held.name for held in known.get("again", key).pictures] == [f"{key}.png"]


def test_only_what_changed_is_written(kept, monkeypatch):
    known, saved = Sessions(SMALL, kept), []
    save = Store.save
    monkeypatch.setattr(Store, "save", lambda self, session: (saved.append(session.key), save(self, session)))
    session = known.get("page", KEY)
    known.get("other", OTHER)
    known.write()
    assert saved == []
    session.add(images.load(picture(32, 32, seed=1)), "mine.png")
    known.write()
    known.write()
    assert saved == [KEY]
    session.composition = Composition(size=64)
    known.write()
    assert saved == [KEY, KEY]
    again = Sessions(SMALL, kept)
    again.get("page", KEY)
    again.write()
    assert saved == [KEY, KEY]


def test_without_a_store_a_session_lasts_as_long_as_its_pages():
    known = Sessions(SMALL)
    session = known.get("page", KEY)
    known.get("page loaded anew", KEY)
    known.close("page")
    assert known.get("page loaded anew", KEY) is session
    known.close("page loaded anew")
    assert session.closed.is_set()
    known.write()


def test_pages_of_a_session_are_bounded():
    known = Sessions(SMALL)
    for number in range(100):
        known.get(str(number), KEY)
    assert len(known._homes) == len(known.get("99", KEY).pages) == registry.MOST_PAGES


def test_many_threads_find_one_session(kept, full):
    kept.save(full)
    known, found = Sessions(SMALL, kept), []
    threads = [threading.Thread(target=lambda n=n: found.append(known.get(str(n), KEY))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(session) for session in found}) == 1


# -------------------------------------------------------------------------------------------------------- by default


@pytest.mark.parametrize(
    ("arguments", "keep"),
    [
        ([], True),
        (["--no-keep"], False),
        (["--share"], False),
        (["--behind-proxy"], False),
        (["--share", "--keep"], True),
        (["--host", "0.0.0.0"], False),
        (["--host", "0.0.0.0", "--keep"], True),
    ],
)
def test_pictures_are_kept_where_only_this_machine_reaches_the_page_or_where_asked(monkeypatch, arguments, keep):
    asked = []
    monkeypatch.setattr(server, "build", lambda **options: asked.append(options["keep"]))
    monkeypatch.setattr(server, "launch", lambda built, exposure, **options: None)
    monkeypatch.setattr("wctstyle.cli.demo_command.check_address", lambda host, port: None)
    done = CliRunner().invoke(app, ["demo", *arguments])
    assert done.exit_code == 0, done.output
    assert asked == [keep]


def test_the_store_of_the_user_is_in_the_cache_folder_and_within_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    store = Store.of_user(Limits(store_bytes=10, store_seconds=20.0))
    assert (store.folder, store.max_bytes, store.max_age) == (tmp_path / "wctstyle" / "sessions", 10, 20.0)
    assert not store.folder.exists()
    assert (Limits().store_bytes, Limits().store_seconds) == (512 * 2**20, 7 * 24 * 3600)


def test_the_help_says_when_pictures_are_kept():
    done = subprocess.run(
        [sys.executable, "-m", "wctstyle", "demo", "--help"],
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert "--keep" in done.stdout
    assert "--no-keep" in done.stdout
