/* Regions: parts of the photo with styles and dials of their own. */

const { most, ready, dials: PLAIN, ranges, names: NAMES } = props.regions;
const REGION_COLORS = ["#e6007e", "#0095ff", "#19b34a", "#ff8a00", "#8a4dff", "#00b5ad", "#f03a2e", "#9aa800"];
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

/* A region counts once it has a mask; one that is ready-made may be missing in this photo. */
const placed = (each) => Boolean(each.mask) && !each.absent;
function written() {
  return {
    content,
    styles: rest.styles.map(put),
    regions: regions.filter(placed).map(({ name, mask, styles, dials }) => ({ name, mask, styles: styles.map(put), dials })),
    feather,
  };
}
function setStyles(list) {
  chosen.styles = styles = list;
}
/* A picture needs a style somewhere. */
const styled = (but = null) => [rest, ...regions.filter(placed)].some((owner) => owner !== but && owner.styles.length);
function neverEmpty(instead = []) {
  if (!styled()) rest.styles = instead.length ? instead : entries(opening);
  styles = chosen.styles;
}
/* Says whether the page has what the server says already. */
const form = ({ content, styles, regions = [], feather }) =>
  JSON.stringify([content, styles, regions.map((each) => [each.name, each.mask, each.styles, { ...PLAIN, ...each.dials }]), feather]);
const same = (value) => form(value) === form(written());
const tintOf = (owner) => REGION_COLORS[Math.max(0, regions.indexOf(owner)) % REGION_COLORS.length];
const titled = () => (chosen === rest ? "" : chosen.name);

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
  if (!again) return stopPainting();
  painted = again;
  if (again.mask !== kept.mask) paint(again, tool);
}

/* ---------------------------------------------------------------- making, choosing, deleting */

const chips = one(".wct-chips");
const maker = one(".wct-maker");
const panel = one(".wct-region");
const nameBox = panel.querySelector("input");
nameBox.maxLength = NAMES.length;

function nameFault(name, owner) {
  if (!name) return "A region needs a name.";
  if ([...name].length > NAMES.length) return `${name}: a name has up to ${NAMES.length} characters.`;
  const bad = [...name].find((letter) => NAMES.without.includes(letter) || !/^[^\p{C}\p{Z}]$|^ $/u.test(letter));
  if (bad) return `${name}: a name cannot have “${bad}”.`;
  if (Object.hasOwn(NAMES.built_in, name) && !owner?.mask?.endsWith(`:${name}`)) return `${name}: that is the name of ${NAMES.built_in[name]}.`;
  if (regions.some((each) => each !== owner && each.name === name)) return `${name}: another region has this name.`;
  return "";
}
/* A name that is free, like a wanted one. */
function freeName(wanted) {
  const clean = [...wanted].filter((letter) => !NAMES.without.includes(letter)).join("").trim().slice(0, NAMES.length - 3);
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
  const png = owner !== rest && placed(owner) && !painted && (await pictureOf(owner.mask));
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
function begin(way) {
  if (!replacing && !roomFor()) return;
  if (way === "brush" || way === "scribble") paint(replacing || addRegion(""), way);
  else readyMade(way);
  openMaker(false);
}
function place(owner, { mask, png }, name) {
  shown.set(maskKey(mask), png);
  const kept = regions.includes(owner);
  if (kept) setMask(owner, mask);
  if (kept) choose(owner);
  askForStyle(kept ? owner : addRegion(name, mask)); // which chooses it
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
  if (owner.absent) Object.assign(button, { className: "wct-absent", title: "Not found in this photo" });
  button.addEventListener("click", () => choose(owner));
  return button;
}
function drawRegions() {
  if (painted && !here(painted)) stopPainting();
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
