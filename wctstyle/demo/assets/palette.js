const one = (selector) => element.querySelector(selector);
const gallery = props.gallery;
const limit = props.max_styles;
const uploadLimit = props.max_bytes;
const known = new Map([...gallery.contents, ...gallery.styles].map((item) => [item.id, item]));
const own = { content: [], style: [] };
let content = props.value.content;
let styles = props.value.styles.map(([id, weight]) => ({ id, weight }));
let solo = 0;

const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const total = () => styles.reduce((sum, style) => sum + style.weight, 0);
const share = (style) => (total() > 0 ? style.weight / total() : 0);
const percent = (style) => `${Math.round(100 * share(style))}%`;

function send() {
  props.value = { content, styles: styles.map(({ id, weight }) => [id, Number(weight.toFixed(4))]) };
  trigger("input");
  document.dispatchEvent(new CustomEvent("wct:moved"));
}

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

function notify(text) {
  document.dispatchEvent(new CustomEvent("wct:note", { detail: text }));
}

/* ------------------------------------------------------------------ thumbnails */

function thumb(item, pressed, onclick) {
  const button = make("button", {
    type: "button",
    class: "wct-thumb",
    title: item.text || item.name,
    "aria-label": item.name,
    "aria-pressed": String(pressed),
    "data-id": item.id,
  });
  button.append(make("img", { src: item.thumb, alt: "", loading: "lazy" }), make("span", {}, item.name));
  button.addEventListener("click", onclick);
  return button;
}

function adder(label, kind, icon) {
  const input = make("input", { type: "file", accept: "image/*,.heic,.heif,.avif", "aria-label": label });
  if (kind === "style") input.multiple = true;
  input.addEventListener("change", async () => {
    for (const file of [...input.files]) await add(file, kind);
    input.value = "";
  });
  return make("label", { class: "wct-thumb wct-add", title: label }, make("i", { "aria-hidden": "true" }, icon), make("span", {}, label), input);
}

function drawPhotos() {
  const row = one(".wct-photos");
  const items = [...own.content, ...gallery.contents];
  const nodes = items.map((item) =>
    thumb(item, item.id === content, () => {
      content = item.id;
      drawPhotos();
      send();
    }),
  );
  const camera = make("button", { type: "button", class: "wct-thumb wct-add", "aria-label": "Camera" }, make("i", { "aria-hidden": "true" }, "◉"), make("span", {}, "Camera"));
  camera.addEventListener("click", openCamera);
  redraw(row, [adder("Your photo", "content", "+"), camera, ...nodes]);
  const chosen = row.querySelector("[aria-pressed=true]");
  if (!chosen) return;
  const [box, seen] = [chosen.getBoundingClientRect(), row.getBoundingClientRect()];
  if (box.left < seen.left || box.right > seen.right) row.scrollLeft += box.left - seen.left - (seen.width - box.width) / 2;
}

function drawGallery() {
  const chosen = new Set(styles.map((style) => style.id));
  const nodes = [...own.style, ...gallery.styles].map((item) =>
    thumb(item, chosen.has(item.id), () => toggle(item.id)),
  );
  redraw(one(".wct-styles"), [adder("Your style", "style", "+"), ...nodes]);
}

function toggle(id) {
  const at = styles.findIndex((style) => style.id === id);
  if (at >= 0) {
    if (styles.length === 1) return notify("Keep at least one style.");
    styles.splice(at, 1);
  } else {
    if (styles.length >= limit) return notify(`A blend takes up to ${limit} styles. Remove one first.`);
    styles.push({ id, weight: styles.length ? total() / styles.length || 0.5 : 1 });
  }
  drawBlend();
  send();
}

/* ----------------------------------------------------------------------- blend */

function drawBlend() {
  const cards = styles.map((style, index) => {
    const item = known.get(style.id) || { name: "picture", thumb: "" };
    const slider = make("input", {
      type: "range",
      min: "0",
      max: "1",
      step: "0.01",
      value: String(Math.min(1, style.weight)),
      "aria-label": `Weight of ${item.name}`,
    });
    slider.addEventListener("input", () => {
      style.weight = Number(slider.value);
      refresh();
      send();
    });
    const remove = make("button", { type: "button", class: "wct-remove", "aria-label": `Remove ${item.name}`, title: "Remove" }, "×");
    remove.addEventListener("click", () => toggle(style.id));
    const card = make("li", { class: "wct-card", "data-id": style.id });
    card.append(
      make("img", { src: item.thumb, alt: "" }),
      make("div", {}, make("header", {}, make("b", {}, item.name), make("output", {}), remove), slider),
    );
    return card;
  });
  redraw(one(".wct-cards"), cards);
  one(".wct-blend").dataset.count = styles.length;
  one(".wct-empty").hidden = styles.length > 0;
  drawPad();
  drawGallery();
  refresh();
}

function refresh() {
  [...one(".wct-cards").children].forEach((card, index) => {
    const style = styles[index];
    const slider = card.querySelector("input");
    if (document.activeElement !== slider || Number(slider.value) !== style.weight) slider.value = Math.min(1, style.weight);
    slider.style.setProperty("--fill", `${100 * Math.min(1, style.weight)}%`);
    slider.setAttribute("aria-valuetext", `${percent(style)} of the blend`);
    card.querySelector("output").textContent = percent(style);
    card.classList.toggle("wct-silent", style.weight === 0);
  });
  placeKnob();
}

/* ------------------------------------------------------- the pad: corners of up to four styles */

const corners = () =>
  ({ 2: [[0, 0.5], [1, 0.5]], 3: [[0, 0], [1, 0], [0.5, 1]], 4: [[0, 0], [1, 0], [0, 1], [1, 1]] })[styles.length];

function drawPad() {
  const pad = one(".wct-pad");
  const places = corners();
  pad.hidden = !places;
  for (const image of pad.querySelectorAll("img")) image.remove();
  if (!places) return;
  pad.dataset.corners = styles.length;
  styles.forEach((style, index) => {
    const [x, y] = places[index];
    const image = make("img", { src: (known.get(style.id) || {}).thumb || "", alt: "" });
    image.style.left = `${100 * x}%`;
    image.style.top = `${100 * y}%`;
    image.style.transform = `translate(${-100 * x}%, ${-100 * y}%)`;
    pad.prepend(image);
  });
}

function weightsAt(x, y) {
  if (styles.length === 2) return [1 - x, x];
  if (styles.length === 3) return [(1 - x) * (1 - y), x * (1 - y), y];
  return [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y];
}

function padPoint() {
  const s = styles.map(share);
  if (styles.length === 2) return [s[1], 0.5];
  if (styles.length === 3) return [s[0] + s[1] > 0 ? s[1] / (s[0] + s[1]) : 0.5, s[2]];
  return [s[1] + s[3], s[2] + s[3]];
}

let held = null;
function placeKnob() {
  const knob = one(".wct-knob");
  if (!corners()) return;
  const [x, y] = held || padPoint();
  knob.style.left = `${100 * x}%`;
  knob.style.top = `${100 * y}%`;
  knob.setAttribute("aria-valuenow", String(Math.round(100 * x)));
  knob.setAttribute("aria-valuetext", styles.map((style) => `${(known.get(style.id) || {}).name} ${percent(style)}`).join(", "));
}

function moveTo(x, y) {
  const clamp = (v) => Math.min(1, Math.max(0, v));
  held = [clamp(x), styles.length === 2 ? 0.5 : clamp(y)];
  weightsAt(...held).forEach((weight, index) => (styles[index].weight = weight));
  refresh();
  send();
}

const pad = one(".wct-pad");
const pointed = (event) => {
  const box = pad.getBoundingClientRect();
  moveTo((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
};
pad.addEventListener("pointerdown", (event) => {
  pad.setPointerCapture(event.pointerId);
  pad.classList.add("wct-held");
  pointed(event);
});
pad.addEventListener("pointermove", (event) => pad.hasPointerCapture(event.pointerId) && pointed(event));
for (const name of ["pointerup", "pointercancel"]) {
  pad.addEventListener(name, () => {
    held = null;
    pad.classList.remove("wct-held");
  });
}
one(".wct-knob").addEventListener("keydown", (event) => {
  const step = event.shiftKey ? 0.1 : 0.03;
  const [dx, dy] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key] || [0, 0];
  if (!dx && !dy) return;
  event.preventDefault();
  const [x, y] = padPoint();
  moveTo(x + dx, y + dy);
  held = null;
});

/* --------------------------------------------------------------------- presets */

one(".wct-presets").addEventListener("click", (event) => {
  const preset = event.target.dataset.preset;
  if (!preset || !styles.length) return;
  if (preset === "even") for (const style of styles) style.weight = 1 / styles.length;
  if (preset === "solo") {
    solo = (styles.findIndex((style) => share(style) > 0.999) + 1) % styles.length;
    styles.forEach((style, index) => (style.weight = index === solo ? 1 : 0));
  }
  if (preset === "random") {
    const pool = [...own.style, ...gallery.styles].map((item) => item.id);
    const count = 2 + Math.floor(Math.random() * 3);
    const picked = [];
    while (picked.length < Math.min(count, pool.length)) {
      const id = pool[Math.floor(Math.random() * pool.length)];
      if (!picked.includes(id)) picked.push(id);
    }
    styles = picked.map((id) => ({ id, weight: 0.15 + 0.85 * Math.random() }));
    drawBlend();
  }
  refresh();
  send();
});

/* --------------------------------------------------------------------- uploads */

async function add(file, kind) {
  if (file.size > uploadLimit) {
    return notify(`${file.name} has ${Math.round(file.size / 2 ** 20)} MB; up to ${Math.round(uploadLimit / 2 ** 20)} MB are taken here.`);
  }
  if (kind === "style" && styles.length >= limit) return notify(`A blend takes up to ${limit} styles. Remove one first.`);
  document.dispatchEvent(new CustomEvent("wct:busy", { detail: true }));
  try {
    const { path } = await upload(file);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, 60000);
      document.addEventListener("wct:shelf", () => (clearTimeout(timer), resolve()), { once: true });
      trigger("upload", { path, kind, name: file.name });
    });
  } catch (error) {
    notify(`${file.name} could not be sent. Is it a picture below ${Math.round(uploadLimit / 2 ** 20)} MB?`);
  }
  document.dispatchEvent(new CustomEvent("wct:busy", { detail: false }));
}

document.addEventListener("wct:file", (event) => add(event.detail.file, event.detail.kind));
document.addEventListener("paste", (event) => {
  const file = [...((event.clipboardData || {}).files || [])].find((item) => item.type.startsWith("image/"));
  if (file) add(file, "content");
});
one(".wct-styles").addEventListener("dragover", (event) => event.preventDefault());
one(".wct-styles").addEventListener("drop", async (event) => {
  event.preventDefault();
  for (const file of [...event.dataTransfer.files]) await add(file, "style");
});

document.addEventListener("wct:shelf", (event) => {
  const { pictures, added, note, shelf } = event.detail;
  if (note) document.dispatchEvent(new CustomEvent("wct:note", { detail: note }));
  for (const [id, item] of Object.entries(pictures)) known.set(id, { id, ...item });
  if (shelf) for (const kind of ["content", "style"]) own[kind] = shelf[kind].map((id) => known.get(id));
  for (const kind of ["content", "style"]) own[kind] = own[kind].filter((item) => item && item.id in pictures);
  if (added && added.kind) {
    const item = known.get(added.id);
    own[added.kind] = [item, ...own[added.kind].filter((other) => other.id !== item.id)];
    if (added.kind === "content") content = item.id;
    else if (!styles.some((style) => style.id === item.id)) styles.push({ id: item.id, weight: total() / styles.length || 1 });
  }
  drawPhotos();
  drawBlend();
  if (added && added.kind) send();
});

/* ---------------------------------------------------------------------- camera */

const camera = one(".wct-camera");
let stream = null;
async function openCamera() {
  const note = one(".wct-camera-note");
  note.textContent = "";
  camera.showModal();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280 } });
    if (!camera.open) return closeCamera(); // closed before it was allowed
    const video = camera.querySelector("video");
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    note.textContent = "No camera can be used here. Allow it in the browser, or add a file.";
  }
}
function closeCamera() {
  if (stream) for (const track of stream.getTracks()) track.stop();
  stream = null;
  if (camera.open) camera.close();
}
camera.addEventListener("close", closeCamera);
camera.addEventListener("click", (event) => {
  const action = event.target.dataset.camera;
  if (action === "close") closeCamera();
  const video = camera.querySelector("video");
  if (action === "take" && stream && video.videoWidth) {
    const shot = document.createElement("canvas");
    [shot.width, shot.height] = [video.videoWidth, video.videoHeight];
    shot.getContext("2d").drawImage(video, 0, 0);
    shot.toBlob((blob) => {
      closeCamera();
      add(new File([blob], "camera.jpg", { type: "image/jpeg" }), "content");
    }, "image/jpeg", 0.95);
  }
});

/* ------------------------------------------------------------ settings that come from the server */

watch("value", () => {
  const value = props.value;
  if (value.content === content && JSON.stringify(value.styles) === JSON.stringify(styles.map((s) => [s.id, s.weight]))) return;
  content = value.content;
  styles = value.styles.map(([id, weight]) => ({ id, weight }));
  const most = Math.max(1, ...styles.map((style) => style.weight));
  for (const style of styles) style.weight /= most;
  drawPhotos();
  drawBlend();
});

drawPhotos();
drawBlend();
