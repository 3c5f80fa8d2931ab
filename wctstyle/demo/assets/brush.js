/* Painting a mask on the picture: brush, scribbles, and the tint that shows them. */

const LONG = 512; // pixels of a mask's long side
const STROKES = 40; // that can be undone
const LINGER = 700; // milliseconds that the tint stays after a stroke of a finger
const FLASH = 1400;
const HALF = 128; // from here a pixel is inside
const TINT = 0.5;
const INSIDE = [40, 200, 90];
const OUTSIDE = [235, 60, 50];
const WIDTHS = { brush: 44, scribble: 14 }; // pixels of the screen
const HANDS = { brush: ["paint", "erase"], scribble: ["inside", "outside", "rub"] };
const brushBar = one(".wct-brush");
const tint = one(".wct-tint");
const ring = one(".wct-ring");
const sizer = one(".wct-size input");
const softener = one(".wct-soft input");
const brushButton = (name) => one(`[data-brush="${name}"]`);
let work = null; // what is painted now
let seen = null; // a mask that is only shown for a moment

const rgbOf = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));

/* An image of a mask: `pixel(place, data, to)` writes RGBA. */
class Plane {
  constructor(width, height, pixel) {
    this.canvas = Object.assign(document.createElement("canvas"), { width, height });
    this.context = this.canvas.getContext("2d");
    this.pixel = pixel;
  }
  draw([left, top, right, bottom]) {
    if (right <= left || bottom <= top) return;
    const image = this.context.createImageData(right - left, bottom - top);
    for (let y = top, to = 0; y < bottom; y += 1) {
      for (let x = left; x < right; x += 1, to += 4) this.pixel(y * this.canvas.width + x, image.data, to);
    }
    this.context.putImageData(image, left, top);
  }
  address() {
    this.draw([0, 0, this.canvas.width, this.canvas.height]);
    return this.canvas.toDataURL("image/png");
  }
}

function write(data, to, [red, green, blue], alpha) {
  data[to] = red;
  data[to + 1] = green;
  data[to + 2] = blue;
  data[to + 3] = alpha;
}

async function read(png, width, height) {
  const mask = new Uint8ClampedArray(width * height);
  if (!png) return mask;
  const image = new Image();
  image.src = png;
  await image.decode();
  const { context } = new Plane(width, height);
  context.drawImage(image, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  for (let at = 0; at < mask.length; at += 1) mask[at] = data[4 * at];
  return mask;
}
function sidesOf([width, height]) {
  const scale = LONG / Math.max(width, height);
  return [width, height].map((side) => Math.max(1, Math.round(side * scale)));
}
/* The mask as it lies over the picture: tinted in its color, with a line where it begins. */
function colored([width, height], { mask, marks = null, color }) {
  const rgb = rgbOf(color);
  return new Plane(width, height, (at, data, to) => {
    const mark = marks && marks[at];
    const border = mask[at] >= HALF && [at - 1, at + 1, at - width, at + width].some((next) => mask[next] < HALF);
    write(data, to, mark ? (mark > 0 ? INSIDE : OUTSIDE) : rgb, mark || border ? 255 : TINT * mask[at]);
  });
}
const all = () => [0, 0, work.width, work.height];

/* ---------------------------------------------------------------- begin and end */

let opening = 0;
async function openBrush(detail) {
  const number = (opening += 1);
  if (detail.subject) {
    const image = one(".wct-subject");
    image.src = detail.subject;
    await image.decode();
    sizes.subject = [image.naturalWidth, image.naturalHeight];
  }
  const [width, height] = sidesOf(detail.subject ? sizes.subject : sizes.after);
  const mask = await read(detail.png, width, height);
  if (number !== opening) return;
  const again = work;
  const back = again ? again.back : { mode: stage.dataset.mode, focus: document.activeElement };
  const fresh = again?.tool !== detail.tool;
  work = { ...detail, width, height, mask, back, marks: new Int8Array(width * height), past: [], hand: fresh ? HANDS[detail.tool][0] : again.hand, see: Boolean(again && again.see) };
  work.over = colored([width, height], work);
  work.dirty = all();
  if (fresh) setSize(WIDTHS[detail.tool]);
  seen = null;
  brushBar.hidden = false;
  brushBar.dataset.tool = detail.tool;
  brushBar.setAttribute("aria-label", `${detail.tool === "scribble" ? "Scribble" : "Brush"}: ${detail.title}`);
  stage.classList.add("wct-painting");
  if (work.subject) reset();
  const box = stage.getBoundingClientRect();
  if (box.bottom < 0 || box.top > innerHeight) stage.scrollIntoView(); // where it scrolls away with the rest
  takeHand(work.hand, !again);
  brushButton("undo").setAttribute("aria-disabled", "true");
  brushButton("see").setAttribute("aria-pressed", String(work.see));
  setMode(stage.dataset.mode);
  wake();
}
function finish() {
  opening += 1; // what was being opened is not
  if (!work) return;
  if (work.stroking) endStroke();
  const { back, subject } = work;
  const inside = brushBar.contains(document.activeElement);
  work = null;
  brushBar.hidden = ring.hidden = true;
  stage.classList.remove("wct-painting");
  if (subject) reset();
  setMode(subject ? back.mode : stage.dataset.mode);
  if (inside) document.activeElement.blur();
  if (inside && back.focus.isConnected) back.focus.focus({ preventScroll: true });
  document.dispatchEvent(new CustomEvent("wct:painted"));
}
document.addEventListener("wct:paint", ({ detail }) => (detail ? openBrush(detail) : finish()));

/* A mask that the server found from the scribbles. */
document.addEventListener("wct:found", async ({ detail }) => {
  const painted = work;
  if (!painted || painted.tool !== "scribble") return;
  const mask = await read(detail, painted.width, painted.height);
  if (painted !== work || work.stroking) return;
  work.mask.set(mask);
  refreshTint(all());
  wake();
});

/* ---------------------------------------------------------------- strokes */

function takeHand(hand, focus = false) {
  work.hand = hand;
  for (const button of brushBar.querySelectorAll("[data-hand]")) {
    button.hidden = !HANDS[work.tool].includes(button.dataset.hand);
    button.setAttribute("aria-pressed", String(button.dataset.hand === hand));
    if (focus && button.dataset.hand === hand) button.focus({ preventScroll: true });
  }
  ring.dataset.hand = hand;
}

/* From a place of the stage to one of the mask, and pixels of the mask by those of the stage. */
function onMask(place) {
  const pane = main();
  return AXES.map((axis) => ((place[axis] - pane.start[axis] - pane.corner[axis]) / pane.size[axis]) * (axis ? work.height : work.width));
}
const radius = () => ((Number(sizer.value) / 2) * work.width) / main().size[0];

function remember() {
  work.past.push({ mask: work.mask.slice(), marks: work.marks.slice() });
  if (work.past.length > STROKES) work.past.shift();
  brushButton("undo").setAttribute("aria-disabled", "false");
}
function beginStroke(place) {
  if (!work) return false;
  remember();
  work.base = work.mask.slice();
  work.touched = new Uint8Array(work.mask.length); // how much of this stroke each pixel has
  work.last = onMask(place);
  work.stroking = true;
  segment(work.last, work.last);
  wake();
  return true;
}
function moveStroke(event) {
  const moves = (event.getCoalescedEvents && event.getCoalescedEvents()) || [];
  for (const move of moves.length ? moves : [event]) {
    const place = onMask(inCanvas(move));
    segment(work.last, place);
    work.last = place;
  }
}
function endStroke() {
  if (!work) return;
  work.stroking = false;
  wake();
  tellStroke();
}
/* The stroke was the first finger of two, or the page took it. */
function dropStroke() {
  if (!work) return;
  work.stroking = false;
  restore(work.past.pop());
}
function restore({ mask, marks }) {
  work.mask.set(mask);
  work.marks.set(marks);
  brushButton("undo").setAttribute("aria-disabled", String(!work.past.length));
  refreshTint(all());
}

/* Paint from one place to another: at each pixel the stroke is as strong as where it came nearest. */
function segment([x1, y1], [x2, y2]) {
  const { width, height, mask, marks, base, touched, hand } = work;
  const reach = Math.max(radius(), 0.6);
  const band = Math.max(work.tool === "brush" ? reach * Number(softener.value) : 0, 1);
  const [dx, dy] = [x2 - x1, y2 - y1];
  const long = dx * dx + dy * dy || 1;
  const box = [Math.min(x1, x2) - reach - 1, Math.min(y1, y2) - reach - 1, Math.max(x1, x2) + reach + 2, Math.max(y1, y2) + reach + 2];
  const [left, top, right, bottom] = box.map((side, index) => clamp(Math.floor(side), 0, index % 2 ? height : width));
  for (let y = top; y < bottom; y += 1) {
    for (let x = left; x < right; x += 1) {
      const along = clamp(((x + 0.5 - x1) * dx + (y + 0.5 - y1) * dy) / long, 0, 1);
      const far = Math.hypot(x + 0.5 - x1 - along * dx, y + 0.5 - y1 - along * dy);
      const part = clamp((reach + 0.5 - far) / band, 0, 1);
      if (!part) continue;
      const at = y * width + x;
      if (hand === "inside" || hand === "outside" || hand === "rub") {
        if (part >= 0.5) marks[at] = { inside: 1, outside: -1, rub: 0 }[hand];
        continue;
      }
      const strong = 255 * part * part * (3 - 2 * part);
      if (strong <= touched[at]) continue;
      touched[at] = strong;
      mask[at] = hand === "erase" ? (base[at] * (255 - strong)) / 255 : base[at] + ((255 - base[at]) * strong) / 255;
    }
  }
  refreshTint([Math.max(0, left - 1), Math.max(0, top - 1), Math.min(width, right + 1), Math.min(height, bottom + 1)]);
}

function tellStroke() {
  const { width, height, mask, marks, tool } = work;
  const scribble = tool === "scribble" && marks.includes(1);
  if (tool === "scribble" && !scribble && marks.includes(-1)) return say("Mark a bit inside as well.", "good");
  const plane = new Plane(width, height, scribble
    ? (at, data, to) => write(data, to, marks[at] > 0 ? [0, 255, 0] : [255, 0, 0], marks[at] ? 255 : 0)
    : (at, data, to) => write(data, to, [mask[at], mask[at], mask[at]], 255));
  const plain = mask.every((value) => value === mask[0]);
  document.dispatchEvent(new CustomEvent("wct:stroke", { detail: { scribble, png: plane.address(), plain } }));
}
function undoStroke() {
  if (!work.past.length) return false;
  restore(work.past.pop());
  wake();
  tellStroke();
  return true;
}
/* Change the whole mask at once. */
function whole(change) {
  remember();
  work.mask.forEach((value, at) => (work.mask[at] = change(value)));
  work.marks.fill(0);
  refreshTint(all());
  wake();
  tellStroke();
}

/* ---------------------------------------------------------------- what is seen of it */

/* The tint lies over the picture while the brush is over it, and for a moment after a stroke: then the result is seen. */
let waking = 0;
let awake = false;
let hovering = false;
let drawing = 0;
function wake(time = LINGER) {
  awake = true;
  clearTimeout(waking);
  waking = setTimeout(() => ((awake = false), paintTint()), time);
  paintTint();
}
/* However many moves there are between two frames, what they changed is drawn once. */
function refreshTint([left, top, right, bottom]) {
  const { dirty } = work;
  work.dirty = dirty
    ? [Math.min(left, dirty[0]), Math.min(top, dirty[1]), Math.max(right, dirty[2]), Math.max(bottom, dirty[3])]
    : [left, top, right, bottom];
  if (!drawing) drawing = requestAnimationFrame(paintTint);
}
function paintTint() {
  cancelAnimationFrame(drawing);
  drawing = 0;
  if (work && work.dirty) work.over.draw(work.dirty);
  if (work) work.dirty = null;
  const over = work ? work.over : seen;
  const shown = over && (awake || (work && (work.see || work.stroking || hovering)));
  tint.classList.toggle("wct-seen", Boolean(shown));
  const pane = main();
  if (!shown || !pane.box) return;
  Object.assign(tint.style, pane.box);
  const context = tint.getContext("2d");
  const [width, height] = pane.seen.map((side) => Math.max(1, Math.round(side * devicePixelRatio)));
  if (tint.width !== width || tint.height !== height) Object.assign(tint, { width, height });
  context.clearRect(0, 0, width, height);
  context.drawImage(over.canvas, ...[...pane.corner, ...pane.size].map((side) => side * devicePixelRatio));
}
document.addEventListener("wct:flash", async ({ detail: { png, color } }) => {
  if (beside) return; // other photos than that of the mask
  const sides = sidesOf(sizes.after);
  const mask = await read(png, ...sides);
  if (work) return;
  seen = colored(sides, { mask, color });
  seen.draw([0, 0, ...sides]);
  wake(FLASH);
});

function moveRing(event, place) {
  hovering = event.pointerType !== "touch";
  const side = Number(sizer.value);
  ring.hidden = false;
  ring.style.cssText = `width: ${side}px; height: ${side}px; left: ${place[0]}px; top: ${place[1]}px`;
  if (hovering) paintTint();
}
one(".wct-canvas").addEventListener("pointerleave", () => {
  ring.hidden = true;
  hovering = false;
  paintTint();
});

const KEYS_OF = matchMedia("(hover: hover)").matches ? " Keys: [\u00a0] size, E\u00a0erase, Esc\u00a0done." : "";
const hint = () => (work.tool === "brush" ? `Paint over ${work.title}.${KEYS_OF}` : `Mark ${work.title}: a bit inside, a bit outside. The edges are found.`);

/* ---------------------------------------------------------------- its buttons and keys */

const acts = {
  undo: () => undoStroke(),
  invert: () => whole((value) => 255 - value),
  fill: () => whole(() => 255),
  clear: () => whole(() => 0),
  see: () => {
    work.see = !work.see;
    brushButton("see").setAttribute("aria-pressed", String(work.see));
    paintTint();
  },
  done: finish,
};
function setSize(side) {
  sizer.value = side;
  WIDTHS[work.tool] = Number(sizer.value);
  fillBar(sizer);
  ring.style.width = ring.style.height = `${sizer.value}px`;
}
const resize = (by) => setSize(Number(sizer.value) * by + Math.sign(by - 1));
const other = () => takeHand({ paint: "erase", erase: "paint", inside: "rub", outside: "rub", rub: "inside" }[work.hand]);

brushBar.addEventListener("click", ({ target }) => {
  const { hand, brush } = target.dataset;
  if (hand) takeHand(hand);
  if (brush) acts[brush]();
});
sizer.addEventListener("input", () => setSize(sizer.value));
softener.addEventListener("input", () => fillBar(softener));
fillBar(softener);
window.addEventListener("keydown", (event) => {
  if (!work || event.target.closest?.("dialog, textarea, [contenteditable], input[type=text], input[type=number], select")) return;
  const key = event.key.toLowerCase();
  const control = event.ctrlKey || event.metaKey;
  if (control && key === "z" && !event.shiftKey && !event.altKey) {
    if (!undoStroke()) return; // then the page undoes
  } else if (control || event.altKey) return;
  else if (key === "[" || key === "]") resize(key === "]" ? 1.15 : 1 / 1.15);
  else if (key === "e" && !event.repeat) other();
  else if (key === "escape") finish();
  else return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);
