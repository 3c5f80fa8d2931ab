const list = element.querySelector("ol");
const chosen = { a: null, b: null };
let timer = null;

function draw() {
  const items = props.value || [];
  element.querySelector(".wct-empty").hidden = items.length > 0;
  const nodes = items.map((item) => {
    const node = document.createElement("li");
    node.dataset.id = item.id;
    node.className = item.kind === "optimised" ? "wct-optimised" : "";
    const open = document.createElement("button");
    open.type = "button";
    open.className = "wct-open";
    open.dataset.key = item.id;
    open.title = item.title;
    open.setAttribute("aria-label", `Get back ${item.title}`);
    const image = document.createElement("img");
    image.src = item.thumb;
    image.alt = "";
    open.append(image);
    open.addEventListener("click", () => trigger("select", { id: item.id, action: "open" }));
    const sides = document.createElement("div");
    for (const side of ["a", "b"]) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.key = `${item.id} ${side}`;
      button.textContent = side.toUpperCase();
      button.setAttribute("aria-label", `Compare as ${side.toUpperCase()}: ${item.title}`);
      button.setAttribute("aria-pressed", String(chosen[side] === item.id));
      button.addEventListener("click", () => {
        chosen[side] = item.id;
        draw();
        const known = (id) => (props.value.some((kept) => kept.id === id) ? id : null);
        trigger("select", { id: item.id, action: side, a: known(chosen.a), b: known(chosen.b) });
      });
      sides.append(button);
    }
    node.append(open, sides);
    return node;
  });
  const at = list.contains(document.activeElement) && document.activeElement.dataset.key;
  list.replaceChildren(...nodes);
  const again = at && list.querySelector(`[data-key="${at}"]`);
  if (again) again.focus({ preventScroll: true });
}

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
