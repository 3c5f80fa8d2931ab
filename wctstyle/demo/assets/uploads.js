/* Own pictures: chosen, dropped, pasted, added from a result; and removed. */

const FORMATS = "JPEG, PNG, WebP, TIFF, GIF, BMP, HEIC or AVIF";
const megabytes = (bytes) => Math.round(bytes / 2 ** 20);
const mostBytes = `up to ${megabytes(props.max_bytes)} MB`;
one(".wct-limits").textContent = `Own photos and styles: ${FORMATS}, ${mostBytes}.`;

let answer = null; // takes the note of the upload that is on its way
let sending = Promise.resolve();

async function sendFile(file, kind, use) {
  if (file.size > props.max_bytes) {
    return { text: `${file.name}: too large, ${megabytes(file.size)} MB. Files may have ${mostBytes}.`, kind: "error" };
  }
  document.dispatchEvent(new CustomEvent("wct:busy", { detail: true }));
  try {
    const { path } = await upload(file);
    return await new Promise((resolve) => {
      const timer = setTimeout(resolve, 60000);
      answer = (note) => (clearTimeout(timer), resolve(note));
      trigger("upload", { path, kind, use, name: file.name });
    });
  } catch (error) {
    return { text: `${file.name}: could not be sent. Is it a picture of ${mostBytes}?`, kind: "error" };
  } finally {
    answer = null;
    document.dispatchEvent(new CustomEvent("wct:busy", { detail: false }));
  }
}

/* Adds files one after the other. Of several photos the first is used; of several styles all that fit. */
function add(files, kind, use = true) {
  sending = sending.then(async () => {
    const notes = [];
    for (const [index, file] of files.entries()) {
      const note = await sendFile(file, kind, use && (kind === "style" || index === 0));
      if (note) notes.push(note);
    }
    const more = kind === "content" ? files.length - (use ? 1 : 0) : 0;
    if (!notes.length && more) {
      notify(`${use ? `${files[0].name} is the photo now. ` : ""}${more} more ${more > 1 ? "are" : "is"} beside it, under Photo.`, "good");
    }
    const told = notes.slice(0, 3).map((note) => note.text);
    if (notes.length > 3) told.push(`${notes.length - 3} more like these.`);
    const kinds = new Set(notes.map((note) => note.kind));
    const pictures = notes.flatMap((note) => note.pictures || []);
    if (told.length) notify(told.join(" "), kinds.has("error") ? "error" : "good", pictures);
  });
  return sending;
}

/* Uses a picture; returns what there is to say about it. */
function take(item, kind) {
  if (kind === "content") return setContent(item.id);
  if (styles.some((style) => style.id === item.id)) return null;
  if (own.style.length === 1 && isOpening()) {
    setStyles([{ id: item.id, weight: 1, part: null }]);
    return { text: `${item.name} takes the place of the sample styles. Undo brings them back.`, kind: "good" };
  }
  if (styles.length >= limit) return { text: `${item.name}: ${full()} It is kept under Styles.`, kind: "error" };
  styles.push({ id: item.id, weight: total() / styles.length || 1, part: null });
  return null;
}

/* What the session holds now: `added` came in, for the rows of these kinds. */
document.addEventListener("wct:shelf", (event) => {
  const { pictures, added, note, shelf, missing = [], masks = [] } = event.detail;
  for (const mask of masks) shown.delete(mask); // an empty one was held in its place
  let said = note && { ...note, pictures: missing.map((id) => known.get(id)).filter(Boolean) }; // those deleted since
  for (const [id, item] of Object.entries(pictures)) known.set(id, { id, ...item });
  if (shelf) for (const kind of ["content", "style"]) own[kind] = shelf[kind].map((id) => known.get(id));
  for (const kind of ["content", "style"]) own[kind] = own[kind].filter((item) => item && item.id in pictures);
  for (const kind of added ? added.kinds : []) {
    const item = known.get(added.id);
    own[kind] = [item, ...own[kind].filter((other) => other.id !== item.id)];
    if (added.use) said = take(item, kind) || said;
  }
  drawPhotos();
  drawBlend();
  if (added && added.use) send();
  if (answer) answer(said);
  else if (said) notify(said.text, said.kind, said.pictures);
});

function forget(item, kind) {
  own[kind] = own[kind].filter((other) => other.id !== item.id);
  const before = JSON.stringify(written());
  if (kind === "content" && content === item.id) {
    const here = (id) => id.startsWith("sample:") || own.content.some((other) => other.id === id);
    setContent(previous.filter((id) => id !== item.id && here(id)).pop() || gallery.contents[0].id);
  }
  if (kind === "style") for (const owner of [rest, ...regions]) owner.styles = owner.styles.filter((style) => style.id !== item.id);
  neverEmpty();
  drawPhotos();
  drawBlend();
  if (JSON.stringify(written()) !== before) send();
  if (![...own.content, ...own.style].some((other) => other.id === item.id)) trigger("delete", { id: item.id });
  notify(`${item.name} was removed.`, "good");
}

/* ------------------------------------------------------------ files that are dropped, anywhere on the page */

const hint = make("div", { class: "wct-drop-hint", "aria-hidden": "true", hidden: "" });
document.body.append(hint);
const HINTS = { content: "Drop to use as the photo", style: "Drop to add as a style", mask: "Drop to use as a mask" };
const passed = new WeakSet(); // files that the stage has taken by itself

const kindAt = (target) => (target.closest?.(".wct-zone") || { dataset: {} }).dataset.kind || "content";
function dropping(event) {
  const kind = event ? kindAt(event.target) : "";
  document.body.dataset.wctDrop = kind;
  hint.hidden = !event || Boolean(event.target.closest?.(".wct-canvas")); // which says so itself
  hint.textContent = HINTS[kind] || "";
}
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    dropping(event);
  });
}
document.addEventListener("dragleave", (event) => event.relatedTarget || dropping(null));
document.addEventListener("drop", (event) => {
  dropping(null);
  const files = [...event.dataTransfer.files];
  if (!files.length) return;
  event.preventDefault();
  const rest = files.filter((file) => !passed.has(file));
  if (kindAt(event.target) === "mask") rest.forEach(maskFile);
  else if (rest.length) add(rest, kindAt(event.target), rest.length === files.length);
});
document.addEventListener("wct:file", (event) => {
  passed.add(event.detail.file);
  add([event.detail.file], event.detail.kind);
});
document.addEventListener("paste", (event) => {
  const file = [...((event.clipboardData || {}).files || [])].find((item) => item.type.startsWith("image/"));
  if (file) add([file], "content");
});
