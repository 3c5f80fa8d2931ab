/* Dials of a region. */

/* label, range, step, how a value is written, and the dial of the page that holds where the region says nothing */
const DIALS = {
  strength: { label: "Strength", range: [0, 1.5, 0.01], say: (value) => `× ${value.toFixed(2)}` },
  color: { label: "Color amount", range: [0, 1, 0.01], page: "color" },
  detail: { label: "Detail", range: [0, 1, 0.01], page: "detail" },
  texture: { label: "Texture", range: [0, 1, 0.01], page: "texture" },
  stroke: { label: "Stroke size", range: [...ranges.stroke, 0.05], page: "stroke_scale", slow: true },
};
const COLOR_WAYS = [["As everywhere", ""], ...props.regions.colors];
const SOFT = { label: "Soft border, all regions", range: [...ranges.feather, 0.005], say: (value) => `${(100 * value).toFixed(1)}%` };
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
    fillBar(input);
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
  const select = make("select", { "aria-label": `Colors of ${titled()}` }, ...COLOR_WAYS.map(([text, value]) => make("option", { value }, text)));
  select.value = chosen.dials.colors || "";
  select.addEventListener("change", () => {
    chosen.dials.colors = select.value || null;
    send();
  });
  return make("div", { class: "wct-dial" }, make("header", {}, make("b", {}, "Colors")), select);
}
const dialState = (owner) => JSON.stringify([regions.indexOf(owner), owner.name, owner.dials, feather]);
let dialled = null; // what the dials show, so that they stay while they are moved
function drawDials() {
  dialBox.hidden = chosen === rest;
  const wanted = chosen === rest ? "" : dialState(chosen);
  if (wanted === dialled) return;
  dialled = wanted;
  if (chosen === rest) return;
  const owner = chosen;
  const changed = () => {
    dialled = dialState(owner);
    if (owner.mask) send();
  };
  const nodes = Object.entries(DIALS).map(([name, look]) =>
    dial(look, owner.dials[name], (value) => {
      owner.dials[name] = value;
      changed();
    }));
  nodes.splice(1, 0, colorWays());
  nodes.push(dial(SOFT, feather, (value) => {
    feather = value;
    changed();
  }));
  redraw(dialBox.querySelector("div"), nodes);
}
