/* Masks of regions and of parts of styles: the stage paints them, the server keeps them. */

const shown = new Map(); // pictures of masks, by what they are of
const questions = new Map(); // who waits for an answer
let serial = 0;
let line = Promise.resolve(); // one question at a time: two answers at once would be seen as one

const maskKey = (mask) => (mask.startsWith("ready:") ? `${mask} ${content}` : mask);

function ask(what) {
  const answered = line.then(() => new Promise((resolve) => {
    const number = (serial += 1);
    const timer = setTimeout(() => settle({ error: "The server did not answer. Please try again." }), 60000);
    const settle = (answer) => {
      clearTimeout(timer);
      questions.delete(number);
      resolve(answer);
    };
    questions.set(number, settle);
    trigger("edit", { ...what, serial: number });
  }));
  line = answered;
  return answered.then((answer) => {
    if (answer.error) notify(answer.error);
    return answer.error ? null : answer;
  });
}
document.addEventListener("wct:masks", ({ detail }) => questions.get(detail.serial)?.(detail));

async function pictureOf(mask) {
  if (!mask) return null;
  const key = maskKey(mask);
  if (!shown.has(key)) {
    const answer = await ask({ do: "show", mask, content });
    if (!answer) return null;
    shown.set(key, answer.png);
  }
  return shown.get(key);
}

function setMask(owner, mask) {
  Object.assign(owner, { mask, absent: false });
}

/* Another photo: ready-made masks count there once they are found in it. */
function findAgain() {
  for (const owner of regions.filter((each) => each.mask?.startsWith("ready:"))) {
    owner.absent = !shown.has(maskKey(owner.mask));
    if (owner.absent) findIn(content, owner);
  }
  drawRegions();
}
async function findIn(photo, owner) {
  const png = await pictureOf(owner.mask);
  if (content !== photo || !regions.includes(owner)) return;
  owner.absent = !png;
  const waited = !styled() || png;
  neverEmpty();
  drawBlend();
  if (waited) send();
}

/* ---------------------------------------------------------------- painting on the stage */

const maskOf = (owner) => (regions.includes(owner) ? owner.mask : owner.part);
const here = (owner) => regions.includes(owner) || [rest, ...regions].some((each) => each.styles.includes(owner));

async function paint(owner, way) {
  if (document.querySelector(".wct-beside")) {
    send(); // two results of other photos are on the stage
    await new Promise((resolve) => document.addEventListener("wct:shown", resolve, { once: true }));
  }
  if (painted !== owner) stopPainting();
  [painted, tool] = [owner, way];
  const isRegion = regions.includes(owner);
  const subject = isRegion ? null : (await ask({ do: "picture", of: owner.id }))?.picture;
  const png = await pictureOf(maskOf(owner));
  if (painted !== owner || !here(owner)) return;
  if (!isRegion && !subject) return void (painted = null);
  const title = isRegion ? owner.name : `a part of ${named(owner.id)}`;
  document.dispatchEvent(new CustomEvent("wct:paint", { detail: { tool, png, subject, title, color: tintOf(owner) } }));
  drawRegions();
}
function stopPainting() {
  const owner = painted;
  if (!owner) return;
  document.dispatchEvent(new CustomEvent("wct:paint", { detail: null }));
  if (painted) ended(owner); // the stage had not begun
}
async function ended(owner) {
  painted = null;
  drawRegions();
  if (document.activeElement === document.body) toChip();
  while (sendingStroke) await line;
  askForStyle(owner);
  if (regions.includes(owner) && !owner.mask) removeRegion(owner);
}

/* Said once: that a region without a style is no mistake. */
let toldOfPhoto = false;
function askForStyle(owner) {
  if (toldOfPhoto || !regions.includes(owner) || !owner.mask || owner.styles.length) return;
  toldOfPhoto = true;
  notify(`${owner.name} shows the photo until you choose a style for it.`, "good");
}

let stroke = null; // the latest that was not sent yet
let sendingStroke = false;
async function sendStrokes() {
  if (sendingStroke) return;
  sendingStroke = true;
  while (stroke) {
    const { owner, detail } = stroke;
    stroke = null;
    const { scribble, png, plain } = detail;
    const isRegion = regions.includes(owner);
    if (!isRegion && plain) {
      owner.part = null; // all of a picture, or none of it, is no part
      drawBlend();
      send();
      continue;
    }
    const answer = scribble
      ? await working("Finding the edges …", () => ask({ do: "scribble", png, content }))
      : await ask({ do: "draw", png });
    if (!answer || !here(owner)) continue;
    shown.set(maskKey(answer.mask), answer.png || png);
    if (scribble && owner === painted && !stroke) document.dispatchEvent(new CustomEvent("wct:found", { detail: answer.png }));
    if (maskOf(owner) === answer.mask) continue;
    if (isRegion) setMask(owner, answer.mask);
    else owner.part = answer.mask;
    drawRegions();
    drawBlend();
    send();
  }
  sendingStroke = false;
}
document.addEventListener("wct:stroke", ({ detail }) => {
  stroke = { owner: painted, detail };
  sendStrokes();
});
document.addEventListener("wct:painted", () => ended(painted));
