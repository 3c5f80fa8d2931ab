const one = (selector) => element.querySelector(selector);

const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

function notify(text, kind = "error", pictures = []) {
  document.dispatchEvent(new CustomEvent("wct:note", { detail: { text, kind, pictures } }));
}

/* Colours a slider up to its knob. */
const fillBar = (input) => input.style.setProperty("--fill", `${(100 * (input.value - input.min)) / (input.max - input.min)}%`);

/* Draws anew without taking the keyboard away from where it is. */
function redraw(container, nodes) {
  const at = container.contains(document.activeElement) && document.activeElement;
  const controls = (selector) => [...container.querySelectorAll(selector)];
  const place = at ? controls(at.localName).indexOf(at) : -1;
  container.replaceChildren(...nodes);
  if (!at) return;
  const name = at.getAttribute("aria-label");
  const again = controls(at.localName);
  const to = again.find((node) => node.getAttribute("aria-label") === name) || again[Math.min(place, again.length - 1)];
  if (to) to.focus({ preventScroll: true });
}

/* One Tab stop for a whole row of controls; the arrow keys, Home and End move within it. */
function rove(row) {
  const controls = () => [...row.querySelectorAll("button, input")];
  const key = (node) => node.dataset.key || node.getAttribute("aria-label") || node.textContent;
  let last = null;
  const settle = () => {
    const all = controls();
    const stops = all.filter((node) => !node.dataset.choose); // what scrolls has to keep a stop of its own
    const at = stops.find((node) => key(node) === last) || stops.find((node) => node.matches("[aria-pressed=true], [aria-selected=true]")) || stops[0];
    for (const node of all) node.tabIndex = node === at ? 0 : -1;
  };
  /* The nearest control above or below, where a row has several lines. */
  const across = (all, from, direction) => {
    const here = from.getBoundingClientRect();
    const far = (node) => {
      const box = node.getBoundingClientRect();
      const [x, y] = [Math.abs(box.left - here.left), direction * (box.top - here.top)];
      return y > 12 ? x + 10 * y : Infinity;
    };
    const [nearest] = all.map((node) => [far(node), node]).sort(([a], [b]) => a - b);
    return nearest[0] < Infinity ? nearest[1] : null;
  };
  row.addEventListener("focusin", (event) => {
    last = key(event.target);
    settle();
  });
  row.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const all = controls();
    const at = all.indexOf(event.target);
    const to = {
      ArrowLeft: () => all[at - 1],
      ArrowRight: () => all[at + 1],
      ArrowUp: () => across(all, event.target, -1),
      ArrowDown: () => across(all, event.target, 1),
      Home: () => all[0],
      End: () => all[all.length - 1],
    }[event.key];
    const node = at >= 0 && to && to();
    if (!node) return;
    event.preventDefault();
    node.focus();
  });
  new MutationObserver(settle).observe(row, { childList: true, subtree: true });
  settle();
}
