const stage = one(".wct-stage");
const canvas = one(".wct-canvas");
const frame = one(".wct-frame");
const after = one(".wct-after");
const before = one(".wct-before");
const over = one(".wct-over");
const split = one(".wct-split");
const status = one(".wct-status");
const note = one(".wct-note");
const buttons = [...element.querySelectorAll(".wct-modes button")];
const tools = Object.fromEntries([...element.querySelectorAll(".wct-tools button")].map((node) => [node.dataset.view, node]));
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/* -------------------------------------------------------------- what is shown */

let sizes = { after: [1, 1], before: [1, 1], subject: [1, 1] };
let beside = false; // the two pictures are of different photos
let line = "";

function setMode(mode) {
  if (work) mode = work.subject ? "subject" : mode === "split" ? "after" : mode; // the line would be in the way of the brush
  stage.dataset.mode = mode;
  for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
  fit();
}

/* Sizes are rounded, so that the same photo in two sizes is a little off. */
const alike = ([width, height], [width2, height2]) =>
  Math.abs(width * height2 - width2 * height) <= Math.max(width, height, width2, height2);

function show() {
  const value = props.value;
  if (value && value.live) { // the live picture follows, and lies over this one
    settled();
    document.dispatchEvent(new CustomEvent("wct:shown", { detail: { value } }));
  }
  if (!value || !value.after) return;
  const arrived = performance.now();
  const last = { ...sizes, beside };
  beside = Boolean(value.beside);
  sizes.after = [value.width, value.height];
  if (!beside) sizes.before = sizes.after;
  else if (value.before_width) sizes.before = [value.before_width, value.before_height];
  if (beside !== last.beside || !alike(sizes.after, last.after) || !alike(sizes.before, last.before)) {
    reset();
    if (work && !work.subject) finish(); // the mask is of another shape
  }
  if (value.before) before.src = value.before;
  after.src = value.after;
  const labels = value.labels || ["Photo", "Styled"];
  for (const { node, image, mode } of panes.slice(0, 2)) {
    image.alt = node.querySelector(".wct-tag").textContent = labels[mode === "after" ? 1 : 0];
    node.classList.toggle("wct-alpha", /^data:image\/(png|webp)/.test(image.src));
  }
  buttons[0].textContent = labels[1];
  buttons[1].textContent = beside ? "Both" : "Split";
  buttons[2].textContent = labels[0];
  stage.classList.toggle("wct-beside", beside);
  const parts = [`${value.width} × ${value.height}`];
  const { milliseconds } = value;
  if (milliseconds !== undefined) parts.push(milliseconds < 1000 ? `${milliseconds} ms` : `${(milliseconds / 1000).toFixed(1)} s`);
  if (value.note) parts.push(value.note);
  line = parts.join(" · ");
  setMode(value.mode || stage.dataset.mode);
  if (value.pair) document.dispatchEvent(new CustomEvent("wct:pair", { detail: value.pair }));
  if (note.dataset.kind === "lost") hush();
  const count = Number(stage.dataset.shown || 0) + 1;
  const done = () => {
    stage.dataset.shown = count;
    answered(arrived);
    document.dispatchEvent(new CustomEvent("wct:shown", { detail: { shown: count, value } }));
  };
  after.decode().then(done, done);
}

/* --------------------------------------------------------------- zoom and pan */

/* `zoom` is relative to the size that fits, and `centre` is a place in the picture, both from 0 to 1: they hold when the
   window changes, and for every picture of the same shape. */
const GAP = 8; // pixels between two pictures beside each other
const NARROW = 560; // pixels; on a narrower canvas they lie one above the other
const STEP = Math.SQRT2;
const AXES = [0, 1];
const panes = ["after", "before", "subject"].map((mode) => ({ mode, node: one(`.wct-pane-${mode}`), image: one(`.wct-${mode}`) }));
let zoom = 1;
let centre = [0.5, 0.5];
let at = 50; // where the view is split, in percent of what is seen

const both = () => beside && stage.dataset.mode === "split";
const main = () => panes.find(({ mode }) => mode === stage.dataset.mode) || panes[0];
const level = () => (main().size ? (main().size[0] / sizes[main().mode][0]) * devicePixelRatio : 1); // 1: pixel by pixel
const most = () => Math.max((8 * zoom) / level(), 4);

/* Say where each picture may be: left and top, width and height. */
function cells([width, height]) {
  const whole = [[0, 0], [width, height]];
  if (!both()) return panes.map(() => whole);
  const stacked = width < Math.max(NARROW, height);
  const [wide, high] = stacked ? [width, (height - GAP) / 2] : [(width - GAP) / 2, height];
  return [[stacked ? [0, high + GAP] : [wide + GAP, 0], [wide, high]], [[0, 0], [wide, high]], whole];
}

function fit() {
  const box = [canvas.clientWidth, canvas.clientHeight];
  if (!box[0] || !box[1]) return;
  cells(box).forEach(([corner, room], index) => {
    const pane = panes[index];
    const size = sizes[pane.mode];
    const scale = zoom * Math.min(room[0] / size[0], room[1] / size[1]);
    pane.size = size.map((side) => side * scale);
    pane.seen = AXES.map((axis) => Math.min(pane.size[axis], room[axis]));
    pane.middle = AXES.map((axis) => corner[axis] + room[axis] / 2);
    pane.margin = AXES.map((axis) => pane.seen[axis] / pane.size[axis] / 2);
  });
  const margins = (both() ? panes : [main()]).map((pane) => pane.margin);
  for (const axis of AXES) {
    const margin = Math.min(...margins.map((each) => each[axis]));
    centre[axis] = clamp(centre[axis], margin, 1 - margin);
  }
  panes.forEach(draw);
  Object.assign(over.style, panes[0].box);
  stage.classList.toggle("wct-zoomed", zoom > 1);
  stage.classList.toggle("wct-pixels", zoom > 1 && level() > 2);
  tools.out.setAttribute("aria-disabled", String(zoom <= 1));
  tools.in.setAttribute("aria-disabled", String(zoom >= most()));
  tell();
  paintTint();
}

function draw(pane) {
  // On whole pixels of the screen, so that at 100% none is smeared over two.
  const whole = (value) => Math.round(value * devicePixelRatio) / devicePixelRatio;
  const px = (value) => `${value}px`;
  const { size, seen, middle, margin } = pane;
  pane.start = AXES.map((axis) => whole(middle[axis] - seen[axis] / 2));
  const [left, top] = AXES.map((axis) => whole((margin[axis] - clamp(centre[axis], margin[axis], 1 - margin[axis])) * size[axis]));
  pane.corner = [left, top];
  pane.box = { left: px(pane.start[0]), top: px(pane.start[1]), width: px(seen[0]), height: px(seen[1]) };
  Object.assign(pane.node.style, pane.box);
  pane.image.style.cssText = `left: ${px(left)}; top: ${px(top)}; width: ${px(size[0])} !important; height: ${px(size[1])} !important`;
}

/* Zoom so that what is at a place of the canvas stays there. The line between the pictures stays where it is as well. */
function zoomTo(wanted, place = main().middle) {
  const inside = (pane) => AXES.every((axis) => Math.abs(place[axis] - pane.middle[axis]) <= pane.seen[axis] / 2);
  const pane = (both() && panes.find(inside)) || main();
  const cut = pane.start[0] + (at / 100) * pane.seen[0];
  for (const axis of AXES) centre[axis] += ((place[axis] - pane.middle[axis]) / pane.size[axis]) * (1 - zoom / wanted);
  zoom = Math.abs(wanted - 1) < 0.005 ? 1 : wanted;
  fit();
  splitAt(cut);
}
const zoomBy = (ratio, place) => zoomTo(clamp(zoom * ratio, Math.min(1, zoom), Math.max(most(), zoom)), place);

function pan(...by) {
  for (const axis of AXES) centre[axis] -= by[axis] / main().size[axis];
  fit();
}

function reset() {
  zoom = 1;
  centre = [0.5, 0.5];
}

/* A picture smaller than the screen is not made smaller by a double tap: it goes to twice its fitting size. */
function toggle(place) {
  const exact = zoom / level();
  zoomTo(zoom !== 1 ? 1 : exact > 1.1 ? exact : 2, place);
}

function splitAt(x) {
  const { start, seen } = panes[0];
  setSplit(((x - start[0]) / seen[0]) * 100);
}
function setSplit(percent) {
  at = clamp(percent, 0, 100);
  split.value = at;
  frame.style.setProperty("--split", `${at}%`);
}
split.addEventListener("input", () => setSplit(Number(split.value)));

/* The wheel belongs to what it was first turned over: a page that is being scrolled goes on when the picture comes under
   the pointer, and does not start to move when the picture has been zoomed out. */
let wheel = { time: -1000, ours: false };
document.addEventListener("wheel", ({ target, timeStamp }) => {
  if (!canvas.contains(target)) wheel = { time: timeStamp, ours: false };
}, { passive: true });
canvas.addEventListener("wheel", (event) => {
  const pinch = event.ctrlKey || event.metaKey; // browsers report a pinch on a trackpad with ctrl
  const goesOn = event.timeStamp - wheel.time < 250;
  wheel = { time: event.timeStamp, ours: pinch || (goesOn ? wheel.ours : zoom > 1 || full) };
  if (!wheel.ours) return;
  event.preventDefault();
  const turned = event.deltaY * (event.deltaMode ? 16 : 1) * (pinch ? 1 : 0.2);
  zoomBy(Math.exp(-clamp(turned, -25, 25) / 100), inCanvas(event));
}, { passive: false });

function inCanvas(event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}
const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

/* Pointers: one pans or moves the line, two pinch, two taps toggle. */
const down = new Map();
let press = null;
let tapped = { time: -1000 };
canvas.addEventListener("pointerdown", (event) => {
  if (event.button || event.target.closest(".wct-note")) return;
  canvas.setPointerCapture(event.pointerId);
  const place = inCanvas(event);
  down.set(event.pointerId, place);
  const onLine = !work && stage.dataset.mode === "split" && !beside && (zoom <= 1 || event.target.closest(".wct-line"));
  if (down.size === 1) press = { place, onLine, at, moved: false, paints: beginStroke(place) };
  else {
    if (press.paints) dropStroke();
    Object.assign(press, { moved: true, onLine: false, paints: false });
  }
});
canvas.addEventListener("pointermove", (event) => {
  const [last, now] = [down.get(event.pointerId), inCanvas(event)];
  if (work) moveRing(event, now);
  if (last && press.paints) return moveStroke(event);
  if (!last || (!press.moved && apart(now, press.place) < 5)) return;
  press.moved = true;
  const [a, b] = down.values();
  down.set(event.pointerId, now);
  if (b) {
    const [c, d] = down.values();
    const middle = AXES.map((axis) => (c[axis] + d[axis]) / 2);
    pan(...AXES.map((axis) => middle[axis] - (a[axis] + b[axis]) / 2));
    zoomBy(apart(c, d) / Math.max(1, apart(a, b)), middle);
  } else if (press.onLine) splitAt(now[0]);
  else if (zoom > 1) pan(now[0] - last[0], now[1] - last[1]);
  stage.classList.toggle("wct-panning", zoom > 1 && !press.onLine);
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => {
    if (!down.delete(event.pointerId) || down.size) return;
    stage.classList.remove("wct-panning");
    if (press.paints) return name === "pointercancel" ? dropStroke() : endStroke();
    if (name === "pointercancel") return press.onLine && setSplit(press.at); // the page was scrolled instead
    if (press.moved) return;
    const again = event.timeStamp - tapped.time < 350 && apart(press.place, tapped.place) < 30;
    if (again) {
      setSplit(tapped.at);
      toggle(press.place);
    } else if (press.onLine) splitAt(press.place[0]);
    tapped = again ? { time: -1000 } : { time: event.timeStamp, place: press.place, at: press.at };
  });
}
for (const name of ["touchstart", "touchmove"]) {
  canvas.addEventListener(name, (event) => event.touches.length > 1 && event.cancelable && event.preventDefault(), { passive: false });
}
/* Safari on a Mac tells of a pinch on the trackpad in its own way. */
let pinched = 1;
for (const name of ["gesturestart", "gesturechange"]) {
  canvas.addEventListener(name, (event) => {
    event.preventDefault();
    if (name === "gesturechange" && !down.size) zoomBy(event.scale / pinched, inCanvas(event));
    pinched = event.scale;
  });
}
canvas.addEventListener("dragstart", (event) => event.preventDefault());

/* ------------------------------------------------------- full screen and keys */

let full = false;
let inert = []; // what lies behind, out of reach of the keyboard
function setFull(on) {
  full = on;
  stage.classList.toggle("wct-full", on);
  tools.full.setAttribute("aria-label", on ? "Leave full screen" : "Full screen");
  tools.full.title = on ? "Leave full screen (Esc)" : "Full screen (F)";
  for (const node of inert) node.inert = false;
  inert = [];
  for (let node = stage; on && node !== document.body; node = node.parentElement) {
    inert.push(...[...node.parentElement.children].filter((other) => other !== node && !other.inert));
  }
  for (const node of inert) node.inert = true;
  fit();
}
async function enterFull() {
  try {
    await stage.requestFullscreen();
  } catch (error) {
    // Not on an iPhone, nor in a frame of another page: then the stage covers the page, which looks the same.
  }
  setFull(true);
}
function leaveFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  setFull(false);
}
document.addEventListener("fullscreenchange", () => full && !document.fullscreenElement && setFull(false));

const views = {
  in: () => zoomBy(STEP),
  out: () => zoomBy(1 / STEP),
  fit: () => zoomTo(1),
  full: () => (full ? leaveFull() : enterFull()),
};
for (const [name, button] of Object.entries(tools)) button.addEventListener("click", views[name]);
for (const button of buttons) button.addEventListener("click", () => setMode(button.dataset.mode));

const KEYS = { "+": views.in, "=": views.in, "-": views.out, _: views.out, 0: views.fit, 1: () => zoomTo(zoom / level()) };
const ARROWS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
document.addEventListener("keydown", (event) => {
  const focus = document.activeElement;
  if (event.ctrlKey || event.metaKey || event.altKey || !(full || stage.contains(focus))) return;
  const act = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : null;
  const arrow = zoom > 1 && focus !== split && ARROWS[event.key];
  if (act) act();
  else if (arrow) pan(...arrow);
  else if (event.key.toLowerCase() === "f" && !event.repeat) views.full();
  else if (event.key === "Escape" && full) leaveFull();
  else return;
  event.preventDefault();
});
new ResizeObserver(fit).observe(canvas);

/* ------------------------------------------------------------- dropping a file */

for (const name of ["dragenter", "dragover"]) {
  canvas.addEventListener(name, (event) => {
    event.preventDefault();
    stage.classList.add("wct-dropping");
  });
}
canvas.addEventListener("dragleave", () => stage.classList.remove("wct-dropping"));
for (const name of ["dragover", "drop"]) {
  /* A file dropped beside a target would be opened in place of the page, and everything on it be gone. */
  document.addEventListener(name, (event) => event.dataTransfer.types.includes("Files") && event.preventDefault());
}
canvas.addEventListener("drop", (event) => {
  event.preventDefault();
  stage.classList.remove("wct-dropping");
  const file = event.dataTransfer.files[0];
  if (file) document.dispatchEvent(new CustomEvent("wct:file", { detail: { file, kind: "content" } }));
});

/* ---------------------------------------------------------------- work going on */

const LIVE = "#wct-dials, #wct-more";
const SLOW = "Preparing this size and quality. Only the first picture is slow.";
let live = false; // a picture is awaited
let slow = false; // and has been for long
let due = false; // the latest move is not sent yet
let open = false; // the latest that was sent is not answered yet
let sent = -1000; // when that was
let told = false; // others are at work: true, or a text that says on what
let waits = [];
let limit = 0;

/* The status says what is going on, or else what is shown. */
function tell() {
  const shown = zoom === 1 ? line : `${line} · zoom\u00a0${Math.round(100 * level())}%`;
  const text = typeof told === "string" ? told : live && slow ? SLOW : work ? hint() : shown;
  if (status.textContent !== text) status.textContent = text; // whatever is put there is read aloud
}
function report() {
  stage.classList.toggle("wct-busy", Boolean(live || told));
  frame.setAttribute("aria-busy", String(Boolean(live || told)));
  tell();
}
function begin() {
  waits.forEach(clearTimeout);
  waits = [setTimeout(() => ((slow = true), tell()), 4000), setTimeout(settled, 120000)];
  [live, slow] = [true, false];
  report();
}
function settled() {
  waits.forEach(clearTimeout);
  live = due = open = false;
  report();
}
/* Some dials send nothing before they are let go; nothing is going on until that. */
const idle = () => due && !open && ((live = false), report());
function moved() {
  begin();
  due = true;
  waits.push(setTimeout(idle, 1000));
}
/* What the dials and the palette ask for is the one thing that is asked at every input. */
const ours = (((window.gradio_config || {}).dependencies || []).find(({ targets }) => targets.some(([, event]) => event === "input")) || {}).id;
function asked(event) {
  if (!due || event.detail !== ours) return;
  sent = performance.now();
  due = false;
  open = true;
  begin();
}
/* Moves made while a picture is awaited are sent as one when it has come: then the wait goes on. */
function answered(arrived) {
  if (sent > arrived) return;
  open = false;
  if (due) waits.push(setTimeout(idle, 1000));
  else settled();
}
/* If a picture fails, Gradio forgets the moves that waited for it, so they are sent again. */
function failed() {
  const missed = due && open;
  settled();
  if (missed) document.dispatchEvent(new CustomEvent("wct:again"));
}
function busy(event) {
  clearTimeout(limit);
  told = event.detail || false;
  if (told) limit = setTimeout(busy, 600000, {});
  report();
}
document.addEventListener("input", (event) => event.target.closest && event.target.closest(LIVE) && moved());
document.addEventListener("wct:moved", moved);
document.addEventListener("wct:busy", busy);
document.addEventListener("wct:failed", failed);
document.addEventListener("wct:asked", asked);

/* Notes lie over the picture: nothing below them moves, and they go by themselves. */
let reading = 0;
function hush() {
  note.hidden = true;
  note.textContent = "";
}
function say(text, kind = "error", pictures = []) {
  clearTimeout(reading);
  note.dataset.kind = kind;
  note.hidden = false;
  note.textContent = text;
  for (const { name, thumb } of pictures) note.append(Object.assign(new Image(), { src: thumb, alt: name, title: name }));
  if (kind !== "lost") reading = setTimeout(hush, 4000 + 60 * text.length);
}
note.addEventListener("click", hush);
document.addEventListener("wct:note", (event) => say(event.detail.text || event.detail, event.detail.kind, event.detail.pictures));

/* While the network is away, what was asked waits and is sent when it is back: Gradio would load the page anew then, and
   all that was set and made be gone. */
const LOST = "No connection to the server. What you changed is sent as soon as it is back.";
const asking = ({ body } = {}) => Number((/"fn_index":(\d+)/.exec(body) || [])[1]);
if (!window.wctFetch) {
  window.wctFetch = window.fetch.bind(window);
  window.fetch = async (address, options) => {
    const asked = /\/gradio_api\/(queue\/join|run\/)/.test(String(address));
    if (asked) document.dispatchEvent(new CustomEvent("wct:asked", { detail: asking(options) }));
    for (;;) {
      try {
        const answer = await window.wctFetch(address, options);
        if (asked && note.dataset.kind === "lost") hush();
        return answer;
      } catch (error) {
        if (!asked || !(error instanceof TypeError)) throw error;
      }
      settled();
      document.dispatchEvent(new CustomEvent("wct:note", { detail: { text: LOST, kind: "lost" } }));
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  };
}

watch("value", show);
show();
