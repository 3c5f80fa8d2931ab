const list = one("ol");
const menu = one(".wct-menu");
const chosen = { a: null, b: null };
let timer = null;
let opened = null; // the result whose menu is open

const command = (key, label, text, attributes = {}) => make("button", { type: "button", "data-key": key, "aria-label": label, ...attributes }, text);

function choose(side, id) {
  chosen[side] = id;
  draw();
  const known = (id) => (props.value.some((kept) => kept.id === id) ? id : null);
  trigger("select", { id, action: side, a: known(chosen.a), b: known(chosen.b) });
}

function entry(item) {
  const open = command(item.id, `Get back ${item.title}`, make("img", { src: item.thumb, alt: "", draggable: "false" }), { class: "wct-open", title: item.title });
  open.addEventListener("click", () => trigger("select", { id: item.id, action: "open" }));
  const sides = ["a", "b"].map((side) => {
    const name = side.toUpperCase();
    const button = command(`${item.id} ${side}`, `Compare as ${name}: ${item.title}`, name, { "aria-pressed": String(chosen[side] === item.id) });
    button.addEventListener("click", () => choose(side, item.id));
    return button;
  });
  const more = command(`${item.id} more`, `Use as photo or style: ${item.title}`, "⋯", { "aria-haspopup": "true", title: "Use as photo or style" });
  more.addEventListener("click", () => showMenu(item, more));
  return make("li", { "data-id": item.id, class: item.kind === "optimised" ? "wct-optimised" : "" }, open, make("div", {}, ...sides, more));
}

function draw() {
  const items = props.value || [];
  one(".wct-empty").hidden = items.length > 0;
  const at = list.contains(document.activeElement) && document.activeElement.dataset.key;
  list.replaceChildren(...items.map(entry));
  const again = at && list.querySelector(`[data-key="${at}"]`);
  if (again) again.focus({ preventScroll: true });
}

function showMenu(item, button) {
  opened = item;
  menu.showPopover();
  const [box, size] = [button.getBoundingClientRect(), menu.getBoundingClientRect()];
  menu.style.left = `${Math.max(8, Math.min(box.right, innerWidth - 8) - size.width)}px`;
  menu.style.top = `${box.top - size.height - 4 < 8 ? box.bottom + 4 : box.top - size.height - 4}px`;
  menu.querySelector("button").focus();
}
menu.addEventListener("click", (event) => {
  const kind = event.target.dataset.use;
  if (!kind) return;
  menu.hidePopover();
  trigger("upload", { id: opened.id, kind });
});
menu.addEventListener("toggle", (event) => {
  const button = event.newState === "closed" && list.querySelector(`[data-key="${opened.id} more"]`);
  if (button && document.activeElement === document.body) button.focus({ preventScroll: true });
});

document.addEventListener("wct:shown", (event) => {
  clearTimeout(timer);
  if (event.detail.value.milliseconds === undefined) return;
  timer = setTimeout(() => trigger("submit"), props.settle_ms);
});
document.addEventListener("wct:pair", (event) => {
  [chosen.a, chosen.b] = event.detail;
  draw();
});
watch("value", () => {
  const pair = props.value && props.value[0] && props.value[0].pair; // sides that an optimisation chose
  if (pair) [chosen.a, chosen.b] = pair;
  draw();
});
draw();
rove(list);
