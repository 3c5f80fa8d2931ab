/* Help with choosing a style: the photo in every style, and the styles that are most like the photo first. */

const tries = one(".wct-tries");
const sheet = tries.querySelector(".wct-row-of-tries");
const bar = tries.querySelector(".wct-bar");
const chooser = (name) => one(`[data-choose="${name}"]`);
let turn = 0; // number of the sheet that is open, or of the last that was closed
let tried = null; // the open sheet: the photo it is of, its styles and what is painted so far
let order = null; // ids, those most like the photo first; and the photo

/* The styles to choose from, in the order that they are shown in. */
function choices() {
  const all = [...own.style, ...gallery.styles];
  const place = (item) => order.ids.indexOf(item.id); // -1, so first, are those that came later
  return order ? all.sort((a, b) => place(a) - place(b)) : all;
}
const ids = () => choices().map((item) => item.id);
const nextTurn = () => (turn = Math.max(turn + 1, Date.now()));

/* The buttons stay what they are while pictures come: the keyboard keeps its place. */
function drawTries() {
  if (!tried) return;
  const alone = styles.length === 1 && styles[0].id;
  const items = choices().filter((item) => tried.ids.includes(item.id));
  redraw(sheet, items.map((item) => {
    const image = make("img", { src: tried.made[item.id] || item.thumb, alt: "", draggable: "false" });
    const attributes = { type: "button", class: "wct-thumb", title: item.text || item.name, "aria-label": item.name, "data-id": item.id };
    const button = make("button", { ...attributes, "aria-pressed": String(item.id === alone) }, image, make("span", {}, item.name));
    button.classList.toggle("wct-waiting", !(item.id in tried.made));
    button.addEventListener("click", () => {
      setStyles([{ id: item.id, weight: 1, part: null }]);
      drawBlend();
      send();
    });
    return button;
  }));
}

function arrived({ made, done }) {
  Object.assign(tried.made, made);
  for (const button of sheet.children) {
    const source = made[button.dataset.id];
    if (!source || !button.classList.contains("wct-waiting")) continue;
    button.querySelector("img").src = source;
    button.classList.remove("wct-waiting");
  }
  const [count, all] = [Object.keys(tried.made).length, tried.ids.length];
  bar.setAttribute("aria-valuenow", String(Math.round((100 * count) / all)));
  bar.firstElementChild.style.width = `${(100 * count) / all}%`;
  bar.hidden = done;
  if (done) tell(`${titled() || "The photo"} in ${count} styles, small. Choose one to use it alone.`);
}
function tell(text) {
  tries.querySelector("[role=status]").textContent = text;
}

function openTries() {
  tried = { content, region: titled(), ids: ids(), made: {} };
  tries.hidden = bar.hidden = false;
  chooser("try").setAttribute("aria-expanded", "true");
  tell(`Painting ${titled() || "the photo"} in ${tried.ids.length} styles …`);
  arrived({ made: {}, done: false });
  drawTries();
  const shape = new Image();
  shape.onload = () => sheet.style.setProperty("--shape", shape.naturalWidth / shape.naturalHeight);
  shape.src = known.get(content)?.thumb || "";
  trigger("play", { turn: nextTurn(), styles: tried.ids, region: tried.region });
}
function closeTries() {
  if (!tried) return;
  const inside = tries.contains(document.activeElement);
  tried = null;
  tries.hidden = true;
  chooser("try").setAttribute("aria-expanded", "false");
  trigger("stop", { turn: nextTurn() });
  if (inside) chooser("try").focus({ preventScroll: true });
}

function arrange(ids) {
  order = ids && { ids, content };
  chooser("suggest").setAttribute("aria-pressed", String(Boolean(order)));
  drawGallery();
  drawTries();
}

/* Both are of one photo, the sheet also of one region. */
function forgetChoices() {
  if (tried && (tried.content !== content || tried.region !== titled())) closeTries();
  if (order && order.content !== content) arrange(null);
}

document.addEventListener("wct:choices", ({ detail }) => {
  if (detail.failed) closeTries();
  else if (detail.order) detail.content === content && arrange(detail.order);
  else if (tried && detail.turn === turn) arrived(detail);
});
one(".wct-choose").addEventListener("click", ({ target }) => {
  const { choose } = target.dataset;
  if (choose === "try") tried ? closeTries() : openTries();
  if (choose === "suggest") order ? arrange(null) : trigger("apply", { styles: ids() });
});
chooser("close").addEventListener("click", closeTries);
tries.addEventListener("keydown", (event) => event.key === "Escape" && closeTries());
