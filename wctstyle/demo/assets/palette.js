/* The palette: which photo, which styles, in which blend. */

const gallery = props.gallery;
const limit = props.max_styles;
const known = new Map([...gallery.contents, ...gallery.styles].map((item) => [item.id, item]));
const own = { content: [], style: [] };
const opening = props.value.styles;
const previous = []; // photos that were used before, the latest last
let content = props.value.content;
let styles = chosen.styles;
let solo = 0;

const total = () => styles.reduce((sum, style) => sum + style.weight, 0);
const share = (style) => (total() > 0 ? style.weight / total() : 0);
const percent = (style) => `${Math.round(100 * share(style))}%`;
const named = (id) => known.get(id)?.name || "picture";
const full = () => `a blend takes up to ${limit} styles. Remove one first.`;
const isOpening = () => chosen === rest && styles.map((style) => style.id).join() === opening.map(([id]) => id).join();

function send() {
  if (!styled()) return; // until it is known whether the region with the styles is in this photo
  props.value = written();
  trigger("input");
  document.dispatchEvent(new CustomEvent("wct:moved"));
  allow(true, false);
}

document.addEventListener("wct:again", send);

/* Dials that are slow to follow: the picture follows once they are let go, by the pointer or a key, or a number is
   entered. Browsers tell that by `change`; Gradio tells only of the pointer. */
const SLOW_DIALS = props.slow_dials.map((name) => `#wct-${name} input`).join();
document.addEventListener("change", ({ target }) => {
  if (!target.matches(SLOW_DIALS)) return;
  const within = Math.min(Number(target.max), Math.max(Number(target.min), Number(target.value)));
  if (Number(target.value) !== within) {
    target.value = within;
    target.dispatchEvent(new Event("input", { bubbles: true }));
  }
  send();
});

function setContent(id, chosenHere = true) {
  if (content === id) return;
  previous.push(content);
  content = id;
  if (!chosenHere) return;
  stopPainting();
  findAgain();
}

/* ------------------------------------------------------------------ thumbnails */

function thumb(item, kind, pressed, onclick) {
  const attributes = { type: "button", class: "wct-thumb", title: item.text || item.name, "aria-label": item.name, "data-id": item.id };
  const button = make("button", { ...attributes, "aria-pressed": String(pressed) });
  button.append(make("img", { src: item.thumb, alt: "", loading: "lazy", draggable: "false" }), make("span", {}, item.name));
  button.addEventListener("click", onclick);
  if (!own[kind].includes(item)) return button;
  const remove = make("button", { type: "button", class: "wct-delete", "aria-label": `Delete ${item.name}`, title: "Delete" }, "×");
  remove.addEventListener("click", () => forget(item, kind));
  return make("div", { class: "wct-own" }, button, remove);
}

function adder(label, kind, icon) {
  const input = make("input", { type: "file", accept: "image/*,.heic,.heif,.avif,.json", multiple: "", "aria-label": label, "aria-describedby": "wct-limits" });
  input.addEventListener("change", () => {
    add([...input.files], kind);
    input.value = "";
  });
  const title = `${label}: ${FORMATS}, ${mostBytes}`;
  return make("label", { class: "wct-thumb wct-add", title }, make("i", { "aria-hidden": "true" }, icon), make("span", {}, label), input);
}

function drawPhotos() {
  const row = one(".wct-photos");
  forgetChoices();
  const nodes = [...own.content, ...gallery.contents].map((item) =>
    thumb(item, "content", item.id === content, () => {
      setContent(item.id);
      drawPhotos();
      send();
    }),
  );
  const camera = make("button", { type: "button", class: "wct-thumb wct-add", "aria-label": "Camera" }, make("i", { "aria-hidden": "true" }, "◉"), make("span", {}, "Camera"));
  camera.addEventListener("click", showCamera);
  redraw(row, [adder("Your photo", "content", "+"), camera, ...nodes]);
  const chosen = row.querySelector("[aria-pressed=true]");
  if (!chosen) return;
  const [box, seen] = [chosen.getBoundingClientRect(), row.getBoundingClientRect()];
  if (box.left < seen.left || box.right > seen.right) row.scrollLeft += box.left - seen.left - (seen.width - box.width) / 2;
}

function drawGallery() {
  const chosen = new Set(styles.map((style) => style.id));
  const nodes = choices().map((item) => thumb(item, "style", chosen.has(item.id), () => toggle(item.id)));
  redraw(one(".wct-styles"), [adder("Your style", "style", "+"), ...nodes]);
  drawTries();
}

function toggle(id) {
  const at = styles.findIndex((style) => style.id === id);
  if (at >= 0) {
    if (styles.length === 1 && !styled(chosen)) return notify("Keep at least one style.");
    styles.splice(at, 1);
    if (styles.length && !total()) styles[0].weight = 1;
  } else {
    if (styles.length >= limit) return notify(`${named(id)}: ${full()}`);
    styles.push({ id, weight: styles.length ? total() / styles.length || 0.5 : 1, part: null });
  }
  drawBlend();
  send();
}

/* ----------------------------------------------------------------------- blend */

function slider(style) {
  if (styles.length === 1) return make("small", { class: "wct-only" }, "The only style. Add another to blend.");
  const range = { type: "range", class: "wct-range", min: "0", max: "1", step: "0.01", "aria-label": `Weight of ${named(style.id)}` };
  const input = make("input", { ...range, value: String(Math.min(1, style.weight)) });
  input.addEventListener("input", () => {
    style.weight = Number(input.value);
    refresh();
    send();
  });
  return input;
}

function drawBlend() {
  const cards = styles.map((style) => {
    const name = named(style.id);
    const remove = make("button", { type: "button", class: "wct-remove", "aria-label": `Remove ${name}`, title: "Remove" }, "×");
    remove.addEventListener("click", () => toggle(style.id));
    const header = make("header", {}, make("b", {}, name), make("output", {}));
    const image = make("img", { src: known.get(style.id)?.thumb || "", alt: "", draggable: "false" });
    return make("li", { class: "wct-card", "data-id": style.id }, image, make("div", {}, header, slider(style)), partOf(style), remove);
  });
  redraw(one(".wct-cards"), cards);
  one(".wct-blend").dataset.count = styles.length;
  one(".wct-empty").hidden = styles.length > 0;
  one(".wct-empty").textContent = styled() ? "The photo stays here as it is. Choose a style above." : "No style yet. Choose one above, or add your own.";
  drawPad();
  forgetChoices();
  drawGallery();
  drawRegions();
  refresh();
}

function refresh() {
  [...one(".wct-cards").children].forEach((card, index) => {
    const style = styles[index];
    const slider = card.querySelector("input");
    card.querySelector("output").textContent = percent(style);
    card.classList.toggle("wct-silent", style.weight === 0);
    if (!slider) return;
    if (document.activeElement !== slider || Number(slider.value) !== style.weight) slider.value = Math.min(1, style.weight);
    slider.style.setProperty("--fill", `${100 * Math.min(1, style.weight)}%`);
    slider.setAttribute("aria-valuetext", `${percent(style)} of the blend`);
  });
  placeKnob();
}

/* --------------------------------------------------------------------- presets */

one(".wct-presets").addEventListener("click", (event) => {
  const { preset } = event.target.dataset;
  if (!preset || !styles.length) return;
  if (preset === "even") for (const style of styles) style.weight = 1 / styles.length;
  if (preset === "solo") {
    solo = (styles.findIndex((style) => share(style) > 0.999) + 1) % styles.length;
    styles.forEach((style, index) => (style.weight = index === solo ? 1 : 0));
  }
  if (preset === "random") {
    const pool = [...own.style, ...gallery.styles].map((item) => item.id);
    const count = 2 + Math.floor(Math.random() * 3);
    const picked = [];
    while (picked.length < Math.min(count, pool.length)) {
      const id = pool[Math.floor(Math.random() * pool.length)];
      if (!picked.includes(id)) picked.push(id);
    }
    setStyles(picked.map((id) => ({ id, weight: 0.15 + 0.85 * Math.random(), part: null })));
    drawBlend();
  }
  refresh();
  send();
});

/* ---------------------------------------------------------------- part of a style */

function partOf(style) {
  const attributes = { type: "button", class: "wct-part", "aria-pressed": String(Boolean(style.part)), "aria-label": `Part of ${named(style.id)}` };
  const button = make("button", { ...attributes, title: "Use only a part of this style: paint it on the style" }, "Part");
  button.addEventListener("click", () => (painted === style ? stopPainting() : paint(style, "brush")));
  return button;
}

/* ------------------------------------------------------------ settings that come from the server */

watch("value", () => {
  const value = props.value;
  if (same(value)) return;
  setContent(value.content, false);
  takeRegions(value);
  drawPhotos();
  drawBlend();
});

drawPhotos();
drawBlend();
allow(false, false);
const tabs = document.querySelector("#wct-right [role=tablist]");
for (const row of [one(".wct-photos"), one(".wct-picker"), sheet, one(".wct-looks"), chips, tabs]) if (row) rove(row);
