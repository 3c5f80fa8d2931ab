const stage = element.querySelector(".wct-stage");
const canvas = element.querySelector(".wct-canvas");
const frame = element.querySelector(".wct-frame");
const after = element.querySelector(".wct-after");
const before = element.querySelector(".wct-before");
const split = element.querySelector(".wct-split");
const status = element.querySelector(".wct-status");
const buttons = [...element.querySelectorAll(".wct-modes button")];
let shape = [1, 1];
let line = "";

function fit() {
  const box = canvas.getBoundingClientRect();
  if (!box.width || !box.height) return;
  const scale = Math.min(box.width / shape[0], box.height / shape[1]);
  frame.style.width = `${Math.round(shape[0] * scale)}px`;
  frame.style.height = `${Math.round(shape[1] * scale)}px`;
}

function setMode(mode) {
  stage.dataset.mode = mode;
  for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
}

function show() {
  const value = props.value;
  if (!value || !value.after) return;
  shape = [value.width, value.height];
  fit();
  if (value.before) before.src = value.before;
  after.src = value.after;
  const labels = value.labels || ["Photo", "Styled"];
  element.querySelector(".wct-tag-before").textContent = labels[0];
  element.querySelector(".wct-tag-after").textContent = labels[1];
  buttons[0].textContent = labels[1];
  buttons[2].textContent = labels[0];
  if (value.mode) setMode(value.mode);
  if (value.pair) document.dispatchEvent(new CustomEvent("wct:pair", { detail: value.pair }));
  const parts = [`${value.width} × ${value.height}`];
  if (value.milliseconds !== undefined) parts.push(`${value.milliseconds} ms`);
  if (value.note) parts.push(value.note);
  status.textContent = line = parts.join(" · ");
  status.classList.remove("wct-error");
  const shown = Number(stage.dataset.shown || 0) + 1;
  const done = () => {
    stage.dataset.shown = shown;
    document.dispatchEvent(new CustomEvent("wct:shown", { detail: { shown, value } }));
  };
  after.decode().then(done, done);
}

after.addEventListener("dragstart", (event) => event.preventDefault());
split.addEventListener("input", () => frame.style.setProperty("--split", `${split.value}%`));
for (const button of buttons) button.addEventListener("click", () => setMode(button.dataset.mode));
new ResizeObserver(fit).observe(canvas);

for (const name of ["dragenter", "dragover"]) {
  canvas.addEventListener(name, (event) => {
    event.preventDefault();
    stage.classList.add("wct-dropping");
  });
}
canvas.addEventListener("dragleave", () => stage.classList.remove("wct-dropping"));
for (const name of ["dragover", "drop"]) {
  /* A file dropped beside a target would be opened in place of the page, and everything on it be gone. */
  document.addEventListener(name, (event) => event.dataTransfer.types.includes("Files") && event.preventDefault());
}
canvas.addEventListener("drop", (event) => {
  event.preventDefault();
  stage.classList.remove("wct-dropping");
  const file = event.dataTransfer.files[0];
  if (file) document.dispatchEvent(new CustomEvent("wct:file", { detail: { file, kind: "content" } }));
});

const LIVE = "#wct-strength, #wct-detail, #wct-transform, #wct-blend-kind, #wct-size, #wct-style_size, [id^='wct-level']";
let busy = [];
function settled() {
  busy.forEach(clearTimeout);
  stage.classList.remove("wct-busy");
}
function moved() {
  settled();
  busy = [setTimeout(() => stage.classList.add("wct-busy"), 500), setTimeout(settled, 20000)];
}
document.addEventListener("input", (event) => event.target.closest && event.target.closest(LIVE) && moved());
document.addEventListener("wct:moved", moved);
document.addEventListener("wct:busy", (event) => {
  settled();
  stage.classList.toggle("wct-busy", event.detail);
});
document.addEventListener("wct:shown", settled);
document.addEventListener("wct:note", (event) => {
  status.textContent = event.detail;
  status.classList.add("wct-error");
});

/* While the network is away, what was asked waits and is sent when it is back: Gradio would load the page anew then, and
   all that was set and made be gone. */
const LOST = "No connection to the server. What you changed is sent as soon as it is back.";
if (!window.wctFetch) {
  window.wctFetch = window.fetch.bind(window);
  window.fetch = async (address, options) => {
    const asked = /\/gradio_api\/(queue\/join|run\/)/.test(String(address));
    for (;;) {
      try {
        const answer = await window.wctFetch(address, options);
        if (asked && status.textContent === LOST) {
          status.textContent = line;
          status.classList.remove("wct-error");
        }
        return answer;
      } catch (error) {
        if (!asked || !(error instanceof TypeError)) throw error;
      }
      settled();
      document.dispatchEvent(new CustomEvent("wct:note", { detail: LOST }));
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  };
}

watch("value", show);
show();
