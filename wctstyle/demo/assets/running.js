const bar = element.querySelector(".wct-running");
const image = bar.querySelector("img");
const text = bar.querySelector("p");
const progress = bar.querySelector(".wct-bar");
let state = "";

function draw() {
  const now = props.value || { state: "" };
  bar.hidden = !now.state || now.state === "ended";
  text.textContent = now.text || "";
  image.hidden = !now.thumb;
  if (now.thumb) image.src = now.thumb;
  progress.setAttribute("aria-valuenow", String(Math.round(now.share || 0)));
  progress.firstElementChild.style.width = `${now.share || 0}%`;
  const next = bar.hidden ? "" : now.state;
  if (next !== state) document.dispatchEvent(new CustomEvent("wct:working", { detail: next }));
  state = next;
}

bar.querySelector("button").addEventListener("click", () => trigger("submit"));
watch("value", draw);
draw();
