const stage = element.querySelector(".wct-stage");
const canvas = element.querySelector(".wct-canvas");
const frame = element.querySelector(".wct-frame");
const after = element.querySelector(".wct-after");
const before = element.querySelector(".wct-before");
const split = element.querySelector(".wct-split");
const status = element.querySelector(".wct-status");
const note = element.querySelector(".wct-note");
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
  if (note.dataset.kind === "lost") hush();
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

const LIVE = "#wct-dials, #wct-more";
const SLOW = "Preparing this size and quality. Only the first picture is slow.";
let busy = [];
function settled() {
  busy.forEach(clearTimeout);
  busy = [];
  stage.classList.remove("wct-busy");
  if (status.textContent === SLOW) status.textContent = line;
}
function working() {
  stage.classList.add("wct-busy");
}
function moved() {
  settled();
  busy = [setTimeout(working, 500), setTimeout(() => (status.textContent = SLOW), 4000), setTimeout(settled, 120000)];
}
document.addEventListener("input", (event) => event.target.closest && event.target.closest(LIVE) && moved());
document.addEventListener("wct:moved", moved);
document.addEventListener("wct:busy", (event) => (event.detail ? (settled(), working()) : busy.length || settled()));
for (const name of ["wct:shown", "wct:failed"]) document.addEventListener(name, settled);

/* Notes lie over the picture: nothing below them moves, and they go by themselves. */
let reading = 0;
function hush() {
  note.hidden = true;
  note.textContent = "";
}
function say(text, kind = "error") {
  clearTimeout(reading);
  note.dataset.kind = kind;
  note.hidden = false;
  note.textContent = text;
  if (kind !== "lost") reading = setTimeout(hush, 4000 + 60 * text.length);
}
note.addEventListener("click", hush);
document.addEventListener("wct:note", (event) => say(event.detail.text || event.detail, event.detail.kind));

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
        if (asked && note.dataset.kind === "lost") hush();
        return answer;
      } catch (error) {
        if (!asked || !(error instanceof TypeError)) throw error;
      }
      settled();
      document.dispatchEvent(new CustomEvent("wct:note", { detail: { text: LOST, kind: "lost" } }));
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  };
}

watch("value", show);
show();
