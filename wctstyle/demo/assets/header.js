element.querySelector("button").addEventListener("click", () => document.body.classList.toggle("dark"));

const tabs = () => [...document.querySelectorAll('#wct-tabs [role="tab"]')];

/* The blend is on a tab of its own, which has to be open before the keyboard can go there. */
element.querySelector(".wct-skip").addEventListener("click", (event) => {
  event.preventDefault();
  tabs()[0].click();
  requestAnimationFrame(() => document.getElementById("wct-blend-title").focus());
});

document.addEventListener("keydown", (event) => {
  const all = tabs();
  const at = all.indexOf(event.target);
  if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const tab = all[(to + all.length) % all.length];
  tab.click();
  tab.focus();
});

/* What Gradio's tabs, groups, sliders and accordion leave unsaid. They come and go, so it is said to each new one. */
let named = 0;
function tell() {
  for (const tab of tabs()) {
    tab.tabIndex = tab.getAttribute("aria-selected") === "true" ? 0 : -1;
    const panel = document.getElementById(tab.id.replace(/-button$/, ""));
    if (panel) panel.setAttribute("aria-labelledby", tab.id);
  }
  for (const info of document.querySelectorAll("#wct-tabs .info-text:not([id])")) {
    info.id = `wct-info-${(named += 1)}`;
    const block = info.closest(".block");
    const group = block.localName === "fieldset";
    const told = group ? block : block.querySelector("input[type=range]") || block.querySelector("input, textarea");
    told.setAttribute("aria-describedby", info.id);
    if (group) block.setAttribute("aria-label", block.querySelector("[data-testid=block-info]").textContent.trim());
  }
  for (const more of document.querySelectorAll("#wct-more > button, #wct-tabs [id$=-panel] > button")) {
    more.setAttribute("aria-expanded", String(more.classList.contains("open")));
  }
}
let waiting = 0;
const soon = () => {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(tell);
};
new MutationObserver(soon).observe(document.body, { childList: true, subtree: true, attributeFilter: ["aria-selected"] });
document.addEventListener("click", soon);
tell();
