/* The pad: up to four styles in its corners, and a knob whose place says the share of each. */

const corners = () =>
  ({ 2: [[0, 0.5], [1, 0.5]], 3: [[0, 0], [1, 0], [0.5, 1]], 4: [[0, 0], [1, 0], [0, 1], [1, 1]] })[styles.length];

function drawPad() {
  const places = corners();
  pad.hidden = !places;
  for (const image of pad.querySelectorAll("img")) image.remove();
  if (!places) return;
  pad.dataset.corners = styles.length;
  styles.forEach((style, index) => {
    const [x, y] = places[index];
    const image = make("img", { src: known.get(style.id)?.thumb || "", alt: "", draggable: "false" });
    image.style.left = `${100 * x}%`;
    image.style.top = `${100 * y}%`;
    image.style.transform = `translate(${-100 * x}%, ${-100 * y}%)`;
    pad.prepend(image);
  });
}

function weightsAt(x, y) {
  if (styles.length === 2) return [1 - x, x];
  if (styles.length === 3) return [(1 - x) * (1 - y), x * (1 - y), y];
  return [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y];
}

function padPoint() {
  const s = styles.map(share);
  if (styles.length === 2) return [s[1], 0.5];
  if (styles.length === 3) return [s[0] + s[1] > 0 ? s[1] / (s[0] + s[1]) : 0.5, s[2]];
  return [s[1] + s[3], s[2] + s[3]];
}

let held = null;
function placeKnob() {
  const knob = one(".wct-knob");
  if (!corners()) return;
  const [x, y] = held || padPoint();
  const means = weightsAt(x, y);
  /* Four sliders can say more than two directions: then no place means these shares, and the knob does not claim one. */
  const off = styles.some((style, index) => Math.abs(means[index] - share(style)) > 0.006);
  const shares = styles.map((style) => `${named(style.id)} ${percent(style)}`).join(", ");
  pad.classList.toggle("wct-off", off);
  pad.title = off ? "The pad cannot show these shares. Drag to set new ones." : "";
  knob.style.left = `${100 * x}%`;
  knob.style.top = `${100 * y}%`;
  knob.setAttribute("aria-valuenow", String(Math.round(100 * share(styles[styles.length - 1]))));
  knob.setAttribute("aria-valuetext", off ? `${shares}, set by the sliders` : shares);
}

function moveTo(x, y) {
  const clamp = (v) => Math.min(1, Math.max(0, v));
  held = [clamp(x), styles.length === 2 ? 0.5 : clamp(y)];
  weightsAt(...held).forEach((weight, index) => (styles[index].weight = weight));
  refresh();
  send();
}

const pad = one(".wct-pad");
const pointed = (event) => {
  const box = pad.getBoundingClientRect();
  moveTo((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
};
pad.addEventListener("pointerdown", (event) => {
  pad.setPointerCapture(event.pointerId);
  pad.classList.add("wct-held");
  pointed(event);
});
pad.addEventListener("pointermove", (event) => pad.hasPointerCapture(event.pointerId) && pointed(event));
for (const name of ["pointerup", "pointercancel"]) {
  pad.addEventListener(name, () => {
    held = null;
    pad.classList.remove("wct-held");
  });
}
one(".wct-knob").addEventListener("keydown", (event) => {
  const step = event.shiftKey ? 0.1 : 0.03;
  const [dx, dy] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key] || [0, 0];
  if (!dx && !dy) return;
  event.preventDefault();
  const [x, y] = padPoint();
  moveTo(x + dx, y + dy);
  held = null;
});
