/* Regions: parts of the photo with styles and dials of their own. The stage paints their masks, the server keeps them. */

const { most, ready, dials: PLAIN } = props.regions;
const REGION_COLORS = ["#e6007e", "#0095ff", "#19b34a", "#ff8a00", "#8a4dff", "#00b5ad", "#f03a2e", "#9aa800"];
const FORBIDDEN = "@=,/:";
const NAME_LENGTH = 24;
const rest = { styles: entries(props.value.styles) }; // what lies outside all regions
let regions = (props.value.regions || []).map(region);
let feather = props.value.feather ?? props.regions.feather;
let chosen = rest; // whose styles the gallery, the cards and the pad set
let painted = null; // what is painted on the stage: a region, or a style of which a part is taken
let tool = "brush"; // what it is painted with

function entries(list) {
  return list.map(([id, weight, part]) => ({ id, weight, part: part || null }));
}
function region({ name, mask, styles, dials }) {
  return { name, mask, styles: entries(styles), dials: { ...PLAIN, ...dials } };
}
const put = ({ id, weight, part }) => [id, Number(weight.toFixed(4)), ...(part ? [part] : [])];

/* What the server is told. A region counts once it has a mask. */
function written() {
  const placed = regions.filter((each) => each.mask);
  return {
    content,
    styles: rest.styles.map(put),
    regions: placed.map(({ name, mask, styles, dials }) => ({ name, mask, styles: styles.map(put), dials })),
    feather,
  };
}
function setStyles(list) {
  chosen.styles = styles = list;
}
/* Without regions, a picture needs a style. */
function neverEmpty(instead = []) {
  if (!rest.styles.length && !regions.some((each) => each.mask)) rest.styles = instead.length ? instead : entries(opening);
  styles = chosen.styles;
}
/* Says whether the page has what the server says already. */
const form = ({ content, styles, regions = [], feather }) =>
  JSON.stringify([content, styles, regions.map((each) => [each.name, each.mask, each.styles, { ...PLAIN, ...each.dials }]), feather]);
const same = (value) => form(value) === form(written());
const needsStyle = () => chosen === rest && !regions.some((each) => each.mask);
const tintOf = (owner) => REGION_COLORS[Math.max(0, regions.indexOf(owner)) % REGION_COLORS.length];
const titled = () => (chosen === rest ? "" : chosen.name);

/* ---------------------------------------------------------------- masks, kept by the server */

const shown = new Map(); // pictures of masks, by what they are of
const questions = new Map(); // who waits for an answer
let serial = 0;
let line = Promise.resolve(); // one question at a time: two answers at once would be seen as one

const maskKey = (mask) => (mask.startsWith("ready:") ? `${mask} ${content}` : mask);

function ask(what) {
  const answered = line.then(() => new Promise((resolve) => {
    const number = (serial += 1);
    const timer = setTimeout(() => settle({ error: "The server did not answer. Please try again." }), 60000);
    const settle = (answer) => {
      clearTimeout(timer);
      questions.delete(number);
      resolve(answer);
    };
    questions.set(number, settle);
    trigger("edit", { ...what, serial: number });
  }));
  line = answered;
  return answered.then((answer) => {
    if (answer.error) notify(answer.error);
    return answer.error ? null : answer;
  });
}
document.addEventListener("wct:masks", ({ detail }) => questions.get(detail.serial)?.(detail));

async function pictureOf(mask) {
  if (!mask) return null;
  const key = maskKey(mask);
  if (!shown.has(key)) {
    const answer = await ask({ do: "show", mask, content });
    if (!answer) return null;
    shown.set(key, answer.png);
  }
  return shown.get(key);
}

/* ---------------------------------------------------------------- painting on the stage */

const maskOf = (owner) => (regions.includes(owner) ? owner.mask : owner.part);
const here = (owner) => regions.includes(owner) || [rest, ...regions].some((each) => each.styles.includes(owner));

async function paint(owner, way, subject = null) {
  if (document.querySelector(".wct-beside")) {
    send(); // two results of other photos are on the stage
    await new Promise((resolve) => document.addEventListener("wct:shown", resolve, { once: true }));
  }
  [painted, tool] = [owner, way];
  const png = await pictureOf(maskOf(owner));
  if (painted !== owner || !here(owner)) return;
  const title = subject ? `a part of ${named(owner.id)}` : owner.name;
  document.dispatchEvent(new CustomEvent("wct:paint", { detail: { tool, png, subject, title, color: tintOf(owner) } }));
  drawRegions();
}
function stopPainting() {
  if (painted) document.dispatchEvent(new CustomEvent("wct:paint", { detail: null }));
}

let stroke = null; // the latest that was not sent yet
let sendingStroke = false;
async function sendStrokes() {
  if (sendingStroke) return;
  sendingStroke = true;
  while (stroke) {
    const { owner, detail } = stroke;
    stroke = null;
    const { scribble, png, plain } = detail;
    const isRegion = regions.includes(owner);
    if (!isRegion && plain) {
      owner.part = null; // all of a picture, or none of it, is no part
      drawBlend();
      send();
      continue;
    }
    const answer = scribble
      ? await working("Finding the edges …", () => ask({ do: "scribble", png, content }))
      : await ask({ do: "draw", of: isRegion ? "content" : owner.id, png });
    if (!answer || !here(owner)) continue;
    shown.set(maskKey(answer.mask), answer.png || png);
    if (scribble && owner === painted && !stroke) document.dispatchEvent(new CustomEvent("wct:found", { detail: answer.png }));
    if (maskOf(owner) === answer.mask) continue;
    if (isRegion) owner.mask = answer.mask;
    else owner.part = answer.mask;
    drawRegions();
    drawBlend();
    send();
  }
  sendingStroke = false;
}
document.addEventListener("wct:stroke", ({ detail }) => {
  stroke = { owner: painted, detail };
  sendStrokes();
});
document.addEventListener("wct:painted", async () => {
  const owner = painted;
  painted = null;
  drawRegions();
  if (document.activeElement === document.body) toChip();
  while (sendingStroke) await line;
  if (regions.includes(owner) && !owner.mask) removeRegion(owner);
});

/* ---------------------------------------------------------------- making, choosing, deleting */

const chips = one(".wct-chips");
const maker = one(".wct-maker");
const panel = one(".wct-region");
const nameBox = panel.querySelector("input");

function nameFault(name, owner) {
  if (!name) return "A region needs a name.";
  if (name.length > NAME_LENGTH) return `${name}: a name has up to ${NAME_LENGTH} characters.`;
  const bad = [...name].find((letter) => FORBIDDEN.includes(letter) || !/^[^\p{C}\p{Z}]$|^ $/u.test(letter));
  if (bad) return `${name}: a name cannot have “${bad}”.`;
  if (regions.some((each) => each !== owner && each.name === name)) return `${name}: another region has this name.`;
  return "";
}
/* A name that is free, like a wanted one. */
function freeName(wanted) {
  const clean = [...wanted].filter((letter) => !FORBIDDEN.includes(letter)).join("").trim().slice(0, NAME_LENGTH - 3);
  if (clean && !nameFault(clean)) return clean;
  for (let number = clean ? 2 : 1; ; number += 1) {
    const name = `${clean || "Region"} ${number}`;
    if (!nameFault(name)) return name;
  }
}
const roomFor = () => regions.length < most || (notify(`A photo takes up to ${most} regions. Delete one first.`), false);

function addRegion(name, mask = null) {
  const made = region({ name: freeName(name), mask, styles: [], dials: {} });
  regions.push(made);
  choose(made);
  return made;
}
function choose(owner) {
  if (painted && painted !== owner) stopPainting();
  chosen = owner;
  styles = owner.styles;
  openMaker(false);
  drawBlend();
  flash(owner);
}
async function flash(owner) {
  const png = owner.mask && !painted && (await pictureOf(owner.mask));
  if (png && chosen === owner && !painted) document.dispatchEvent(new CustomEvent("wct:flash", { detail: { png, color: tintOf(owner) } }));
}
function removeRegion(owner) {
  const at = regions.indexOf(owner);
  if (at < 0) return;
  if (painted === owner) stopPainting();
  regions.splice(at, 1);
  neverEmpty(owner.styles);
  choose(rest);
  if (owner.mask) send();
}

let replacing = null; // the region whose mask the maker replaces; null makes a new one
function openMaker(open, owner = null) {
  const inside = maker.contains(document.activeElement);
  replacing = owner;
  maker.hidden = !open;
  drawRegions();
  if (inside && !open) toChip();
  if (open) maker.scrollIntoView({ block: "nearest" });
}
const WAYS = {
  brush: () => paint(replacing || addRegion(""), "brush"),
  scribble: () => paint(replacing || addRegion(""), "scribble"),
};
function begin(way) {
  if (!replacing && !roomFor()) return;
  if (Object.hasOwn(WAYS, way)) WAYS[way]();
  else readyMade(way);
  openMaker(false);
}
function place(owner, { mask, png }, name) {
  shown.set(maskKey(mask), png);
  if (owner && regions.includes(owner)) owner.mask = mask;
  const used = owner && regions.includes(owner) ? owner : addRegion(name, mask);
  choose(used);
}
async function working(text, work) {
  document.dispatchEvent(new CustomEvent("wct:busy", { detail: text }));
  try {
    return await work();
  } finally {
    document.dispatchEvent(new CustomEvent("wct:busy", { detail: false }));
  }
}
async function readyMade(kind) {
  const owner = replacing;
  const [, label] = ready.find(([known]) => known === kind);
  stopPainting();
  const answer = await working(`Finding ${label.toLowerCase()} …`, () => ask({ do: "ready", kind, content }));
  if (!answer) return;
  place(owner, answer, label);
  send();
}
async function maskFile(file) {
  const owner = replacing;
  if (!owner && !roomFor()) return;
  openMaker(false);
  if (file.size > props.max_bytes) return notify(`${file.name}: too large, ${megabytes(file.size)} MB. Files may have ${mostBytes}.`);
  stopPainting();
  const answer = await working(`Reading ${file.name} …`, async () => {
    const { path } = await upload(file);
    return ask({ do: "file", path, name: file.name });
  }).catch(() => notify(`${file.name}: could not be sent. Is it a picture of ${mostBytes}?`));
  if (!answer) return;
  if (owner) place(owner, answer.masks[0], "");
  else {
    const fitting = answer.masks.slice(0, most - regions.length);
    for (const found of fitting) place(null, found, found.name || "");
    if (fitting.length < answer.masks.length) notify(`${file.name} has ${answer.masks.length} regions. The first ${fitting.length} are used.`);
  }
  send();
}

/* ---------------------------------------------------------------- the zone of regions */

/* The keyboard goes on from here where what it was on is gone. */
const toChip = () => (chips.querySelector("[aria-pressed=true]") || chips.querySelector("button")).focus({ preventScroll: true });

const dot = (owner) => {
  const mark = make("i", { class: "wct-dot", "aria-hidden": "true" });
  mark.style.background = tintOf(owner);
  return mark;
};
function chip(owner, text, ...marks) {
  const button = make("button", { type: "button", "aria-pressed": String(owner === chosen), "aria-label": text }, ...marks, text);
  button.addEventListener("click", () => choose(owner));
  return button;
}
function drawRegions() {
  const some = regions.length > 0;
  const plus = make("button", { type: "button", class: "wct-plus", "aria-expanded": String(!maker.hidden && !replacing), "aria-controls": "wct-maker", "aria-label": "Add a region" }, "+ Region");
  plus.addEventListener("click", () => openMaker(maker.hidden || Boolean(replacing)));
  const nodes = some ? [chip(rest, "Everything else"), ...regions.map((owner) => chip(owner, owner.name, dot(owner)))] : [];
  redraw(chips, [...nodes, plus]);
  one(".wct-regions").classList.toggle("wct-none", !some);
  panel.hidden = chosen === rest || !(maker.hidden || replacing);
  for (const node of element.querySelectorAll(".wct-for")) node.textContent = titled() && ` of ${titled()}`;
  maker.querySelector("p").textContent = replacing ? `Another mask for ${replacing.name}` : "Mark a part of the photo";
  if (chosen !== rest) {
    if (document.activeElement !== nameBox) nameBox.value = chosen.name;
    for (const button of panel.querySelectorAll("[data-way]")) {
      const on = button.dataset.way === "other" ? Boolean(replacing) && !maker.hidden : painted === chosen && tool === button.dataset.way;
      button.setAttribute(button.dataset.way === "other" ? "aria-expanded" : "aria-pressed", String(on));
    }
  }
  drawDials();
}

const picker = make("input", { type: "file", accept: "image/*", "aria-label": "Upload a mask", title: "White inside and black outside, or a color for each region" });
const uploader = make("label", { class: "wct-upload" }, "Upload a mask", picker);
maker.querySelector(".wct-ready").append(...ready.map(([kind, label, text]) => make("button", { type: "button", "data-way": kind, title: text || label }, label)), uploader);
maker.addEventListener("click", ({ target }) => {
  const way = target.closest("[data-way]")?.dataset.way;
  if (way) begin(way);
});
maker.addEventListener("keydown", (event) => event.key === "Escape" && openMaker(false));
picker.addEventListener("change", () => {
  const [file] = picker.files;
  picker.value = "";
  if (file) maskFile(file);
});
panel.addEventListener("click", ({ target }) => {
  const { way } = target.dataset;
  if (way === "other") return openMaker(maker.hidden || replacing !== chosen, chosen);
  if (way === "delete") {
    const { name } = chosen;
    removeRegion(chosen);
    toChip();
    notify(`${name} was deleted. Undo brings it back.`, "good");
  } else if (way) painted === chosen && tool === way ? stopPainting() : paint(chosen, way);
});
nameBox.addEventListener("change", () => {
  const name = nameBox.value.trim();
  const fault = nameFault(name, chosen);
  if (fault) notify(fault);
  else chosen.name = name;
  nameBox.value = chosen.name;
  drawRegions();
  if (!fault && chosen.mask) send();
});
nameBox.addEventListener("keydown", ({ key }) => key === "Enter" && nameBox.blur());

/* ---------------------------------------------------------------- dials of a region */

/* label, range, step, how a value is written, and the dial of the page that holds where the region says nothing */
const DIALS = {
  strength: { label: "Strength", range: [0, 1.5, 0.01], say: (value) => `× ${value.toFixed(2)}` },
  detail: { label: "Detail", range: [0, 1, 0.01], page: "detail" },
  texture: { label: "Texture", range: [0, 1, 0.01], page: "texture" },
  stroke: { label: "Stroke size", range: [0.25, 4, 0.05], page: "stroke_scale", slow: true },
  color: { label: "Color amount", range: [0, 1, 0.01], page: "color" },
};
const COLOR_WAYS = [["", "As everywhere"], ["style", "Style"], ["photo", "Photo"], ["match", "Matched"], ["only", "Colors only"]];
const SOFT = { label: "Soft border, all regions", range: [0, 0.1, 0.005], say: (value) => `${(100 * value).toFixed(1)}%` };
const dialBox = one(".wct-region-dials");

/* A dial; `set(null)` goes back to that of the page. */
function dial({ label, range: [min, max, step], say = (value) => value.toFixed(2), page, slow }, value, set) {
  const whole = () => Number(document.querySelector(`#wct-${page} input[type=range]`)?.value ?? min);
  const input = make("input", { type: "range", class: "wct-range", min, max, step, "aria-label": `${label} of ${titled()}` });
  const output = make("output");
  const back = make("button", { type: "button", class: "wct-back", "aria-label": `${label} as everywhere`, title: "As everywhere" }, "×");
  const tell = () => {
    const own = value !== null;
    input.value = own ? value : whole();
    input.style.setProperty("--fill", `${(100 * (input.value - min)) / (max - min)}%`);
    output.textContent = own ? say(value) : "as everywhere";
    input.setAttribute("aria-valuetext", output.textContent);
    back.hidden = !own || !page;
  };
  input.addEventListener("input", () => {
    value = Number(input.value);
    tell();
    if (!slow) set(value);
  });
  if (slow) input.addEventListener("change", () => set(value));
  back.addEventListener("click", () => {
    value = null;
    tell();
    input.focus({ preventScroll: true });
    set(null);
  });
  tell();
  return make("div", { class: "wct-dial" }, make("header", {}, make("b", {}, label), output, back), input);
}
function colorWays() {
  const select = make("select", { "aria-label": `Colors of ${titled()}` }, ...COLOR_WAYS.map(([value, text]) => make("option", { value }, text)));
  select.value = chosen.dials.colors || "";
  select.addEventListener("change", () => {
    chosen.dials.colors = select.value || null;
    send();
  });
  return make("div", { class: "wct-dial" }, make("header", {}, make("b", {}, "Colors")), select);
}
let dialled = null; // what the dials show, so that they stay while they are moved
function drawDials() {
  dialBox.hidden = chosen === rest;
  const wanted = chosen === rest ? "" : JSON.stringify([regions.indexOf(chosen), chosen.name, chosen.dials, feather]);
  if (wanted === dialled) return;
  dialled = wanted;
  if (chosen === rest) return;
  const owner = chosen;
  const changed = () => {
    dialled = JSON.stringify([regions.indexOf(owner), owner.name, owner.dials, feather]);
    if (owner.mask) send();
  };
  const nodes = Object.entries(DIALS).filter(([name]) => name in PLAIN).map(([name, look]) =>
    dial(look, owner.dials[name], (value) => {
      owner.dials[name] = value;
      changed();
    }));
  if ("colors" in PLAIN) nodes.push(colorWays());
  nodes.push(dial(SOFT, feather, (value) => {
    feather = value;
    changed();
  }));
  redraw(dialBox.querySelector("div"), nodes);
}

/* Takes what the server sets: a step back, a result of the history, a page that came back. */
function takeRegions(value) {
  const at = regions.indexOf(chosen);
  const kept = painted && regions.includes(painted) ? { at: regions.indexOf(painted), mask: painted.mask } : null;
  rest.styles = entries(value.styles);
  regions = (value.regions || []).map(region);
  feather = value.feather ?? feather;
  for (const owner of [rest, ...regions]) {
    const largest = Math.max(1, ...owner.styles.map((style) => style.weight));
    for (const style of owner.styles) style.weight /= largest;
  }
  chosen = regions[at] || rest;
  styles = chosen.styles;
  if (!painted) return;
  const again = kept && regions[kept.at];
  if (!again) stopPainting();
  else if (again.mask !== kept.mask) paint(again, tool);
  else painted = again;
}
