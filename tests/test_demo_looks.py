"""Looks on the page, in a real Chromium, and in the API."""

from __future__ import annotations

import json

import pytest
from demo_service import SERVICE_FIXTURES
from visitor import FIXTURES, MARKS, PHONE, expect

from wctstyle import looks
from wctstyle.demo import actions
from wctstyle.demo.api import Endpoints
from wctstyle.demo.composition import DEFAULTS, Composition, compose
from wctstyle.demo.sessions import Session
from wctstyle.errors import ConfigError
from wctstyle.looks import Look

pytestmark = MARKS

served, browser, visit = FIXTURES

BUTTONS = ".wct-looks button"
STRENGTH = "#wct-strength input[type=range]"


def dials(page):
    """What the sliders say."""
    names = ("strength", "color", "detail", "texture", "keep_faces", "stroke_scale")
    return {name: float(page.locator(f"#wct-{name} input[type=range]").input_value()) for name in names}


def blend(page):
    cards = page.locator(".wct-card")
    return list(zip(cards.locator("b").all_inner_texts(), cards.locator("output").all_inner_texts(), strict=True))


def chosen(look):
    """What the sliders say once a look is on."""
    written = look.to_json()
    return {name: written[name] for name in ("strength", "color", "detail", "texture", "keep_faces", "stroke_scale")}


def test_a_tap_puts_a_look_on_and_one_undo_takes_it_off(visit):
    somebody = visit()
    page, look = somebody.page, looks.find("engraving")
    somebody.after(page.get_by_role("button", name="cat", exact=True).click)
    before = somebody.source, dials(page), blend(page)
    expect(page.locator(BUTTONS)).to_have_count(len(looks.shipped()) + 1)
    page.get_by_role("button", name="engraving", exact=True).click()
    expect(page.locator(".wct-note")).to_contain_text("The look engraving is on")
    page.wait_for_function("before => document.querySelector('.wct-after').src !== before", arg=before[0])
    assert dials(page) == chosen(look)
    assert blend(page) == [("woodcut wave", "80%"), ("ink mountains", "20%")]
    expect(somebody.chosen()).to_have_text("cat")
    somebody.after(lambda: page.keyboard.press("Control+z"))
    assert (somebody.source, dials(page), blend(page)) == before
    somebody.after(page.get_by_role("button", name="Redo").click)
    assert dials(page) == chosen(look)


def test_a_look_is_saved_as_a_file_and_the_file_puts_it_on_elsewhere(visit, tmp_path):
    one, other = visit(), visit()
    one.after(lambda: one.slide(STRENGTH, 0.7))
    one.after(one.page.get_by_role("button", name="marbling", exact=True).click)
    with one.page.expect_download() as download:
        one.page.get_by_role("button", name="Save look").click()
    assert download.value.suggested_filename == "impasto-night and stained-glass and marbling.json"
    download.value.save_as(tmp_path / "saved.json")
    look = looks.read(tmp_path / "saved.json")
    assert look.settings.strength == 0.7
    assert [style.name for style in look.styles] == ["sample:impasto-night", "sample:stained-glass", "sample:marbling"]
    other.after(other.page.get_by_role("button", name="cat", exact=True).click)
    before = other.source
    other.after(lambda: other.page.locator(".wct-photos input[type=file]").set_input_files(tmp_path / "saved.json"))
    expect(other.chosen()).to_have_text("cat")
    assert (dials(other.page), blend(other.page)) == (dials(one.page), blend(one.page))
    other.after(other.page.get_by_role("button", name="Undo").click)
    assert other.source == before


def test_a_style_that_a_look_lacks_is_named_and_takes_its_place(visit, tmp_path):
    from narrow import picture

    from wctstyle import images

    somebody = visit()
    paint = images.save(tmp_path / "paint.png", picture(48, 64, seed=5))
    look = looks.find("engraving").to_json()
    look["styles"][1] |= {"name": "paint.png", "hash": images.load(paint).content_hash}
    (tmp_path / "mine.json").write_text(json.dumps(look))
    files = somebody.page.locator(".wct-styles input[type=file]")
    somebody.after(lambda: files.set_input_files(tmp_path / "mine.json"))
    expect(somebody.page.locator(".wct-note")).to_contain_text("Not here: paint.png. Add it to complete it")
    somebody.after(lambda: files.set_input_files(paint))
    assert blend(somebody.page) == [("woodcut wave", "80%"), ("paint.png", "20%")]


def test_a_file_that_is_no_look_is_refused_by_name(visit, tmp_path):
    somebody = visit()
    (tmp_path / "odd.json").write_text(json.dumps(looks.find("engraving").to_json() | {"strength": 7}))
    (tmp_path / "other.json").write_text("{}")
    somebody.page.locator(".wct-photos input[type=file]").set_input_files(
        [tmp_path / "odd.json", tmp_path / "other.json"]
    )
    note = somebody.page.locator(".wct-note")
    expect(note).to_contain_text("odd.json: this look: its recipe")
    expect(note).to_contain_text("strength is 7, must be between 0 and 1.5")
    expect(note).to_contain_text("other.json: This file could not be read as a picture")


@pytest.mark.parametrize("viewport", [None, PHONE])
def test_looks_are_one_tab_stop_after_the_blend(visit, viewport):
    somebody = visit(viewport) if viewport else visit()
    page = somebody.page
    expect(page.locator(f"{BUTTONS}[tabindex='0']")).to_have_count(1)
    page.locator(f"{BUTTONS}[tabindex='0']").focus()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Save look"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    somebody.after(lambda: page.keyboard.press("Enter"))
    assert dials(page) == chosen(looks.find(looks.shipped()[1]))
    below = "document.querySelector('.wct-looks').compareDocumentPosition(document.querySelector('.wct-cards')) & 2"
    assert page.evaluate(below)
    somebody.shot(f"looks-{'phone' if viewport else 'desk'}")


# ---------------------------------------------------------------------------------------------- without a browser


service = SERVICE_FIXTURES[0]


@pytest.mark.parametrize("name", ["gone", "../evil.json", "/etc/hostname", None, 3])
def test_only_looks_that_come_along_are_read_on_the_page(service, name):
    session = Session("somebody", service.limits)
    with pytest.raises(ConfigError, match="The page is out of date"):
        actions.wear(service, session, name, shown=Composition("sample:cat", ()))


@pytest.mark.parametrize("name", looks.shipped())
def test_the_page_and_the_file_mean_the_same(service, name):
    session = Session("somebody", service.limits)
    look = looks.find(name)
    worn = actions.wear(service, session, name, shown=Composition("sample:cat", ())).composition
    assert (worn.content, worn.settings, worn.stroke_scale) == ("sample:cat", look.settings, look.stroke_scale)
    again = Look.from_json(actions.look_of(session, worn))
    assert (again.styles, again.settings, again.stroke_scale) == (look.styles, look.settings, look.stroke_scale)


def test_the_api_lists_looks_as_arguments_of_stylize(service, tmp_path):
    listed = Endpoints(service, str(tmp_path), tmp_path).looks()
    assert [entry["name"] for entry in listed] == [*looks.shipped()]
    for entry in listed:
        assert entry["dials"].keys() == DEFAULTS.keys() - {"size"}
        palette = {"content": "sample:cat", "styles": list(zip(entry["styles"], entry["weights"], strict=True))}
        composition = compose(service.limits, palette, size=128, **entry["dials"])
        look = looks.find(entry["name"])
        assert (composition.settings, composition.stroke_scale) == (look.settings, look.stroke_scale)
