/* Undo and redo. The server keeps the steps of this page, with all dials; the page only asks. */

const can = { undo: false, redo: false };
function allow(undo, redo) {
  Object.assign(can, { undo, redo });
  for (const button of element.querySelectorAll("[data-step]")) button.setAttribute("aria-disabled", String(!can[button.dataset.step]));
}
/* One after the other: a step starts from the dials that the one before has set. */
const pressed = [];
const go = () => trigger("undo", { redo: pressed[0] === "redo" });
function step(which) {
  if (!can[which]) return;
  if (pressed.push(which) === 1) go();
  document.dispatchEvent(new CustomEvent("wct:moved"));
}
document.addEventListener("wct:stepped", () => {
  pressed.shift();
  if (pressed.length) go();
});

const TEXT = "textarea, [contenteditable], input:not([type=range], [type=radio], [type=checkbox], [type=file], [type=button])";
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || event.target.closest?.(TEXT)) return; // text has its own undo
  const key = event.key.toLowerCase();
  const which = key === "z" ? (event.shiftKey ? "redo" : "undo") : key === "y" && event.ctrlKey ? "redo" : "";
  if (!which) return;
  event.preventDefault();
  step(which);
});
for (const button of element.querySelectorAll("[data-step]")) button.addEventListener("click", () => step(button.dataset.step));
document.addEventListener("input", (event) => event.target.closest?.("#wct-dials, #wct-more") && allow(true, false));
document.addEventListener("wct:shown", (event) => {
  const { steps } = event.detail.value;
  if (steps) allow(steps.undo, steps.redo);
});

/* Who leaves while an optimisation or a video runs or waits loses it, so the browser asks first. */
document.addEventListener("wct:working", (event) => {
  window.onbeforeunload = event.detail ? (leaving) => leaving.preventDefault() : null;
}, true);
