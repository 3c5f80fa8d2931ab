/* The live picture: frames of the camera go to the server one by one, and come back painted. */

const panel = one(".wct-live");
const painted = panel.querySelector("canvas");
const video = panel.querySelector("video");
const status = panel.querySelector("p");
const speed = panel.querySelector(".wct-live-speed");
const devices = panel.querySelector("select");
const mirror = panel.querySelector("[name=mirror]");
const frame = document.createElement("canvas"); // what is sent

const RECENT = 12; // frames by which their number per second is told
const FASTEST = 1000 / 30; // milliseconds between frames, at least
const SMOOTH = 0.2; // share of the latest in the pace of the frames before
const EVEN = 0.8; // share of that pace that a frame takes at least, so that quick ones are not followed by long waits
const WAITED = 5000; // milliseconds without a frame after which a stream that has ended is begun again
let turn = 0; // each start and each stop is another
let stream = null; // of the camera; null while nothing runs
let address = null; // where frames go
let answered = 0; // when the last frame came back, or the stream began
let followed = false; // whether a stream has run, so that the picture of the page has older dials
let reading = 0; // until when what was said stays
let flight = Promise.resolve(); // the frame that is on its way

const say = (text) => (status.textContent = text);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function start(device) {
  const mine = ++turn;
  freeCamera(stream);
  stream = null;
  panel.hidden = false;
  say("Asking for the camera …");
  try {
    const given = await openCamera(device, 640);
    if (mine !== turn) return freeCamera(given); // stopped meanwhile
    stream = given;
    video.srcObject = given;
    await video.play();
    devices.parentElement.hidden = !(await listCameras(devices, given));
  } catch (error) {
    if (mine === turn) stop(cameraFault(error));
    return;
  }
  if (mine !== turn) return;
  stream.getVideoTracks()[0].addEventListener("ended", ({ target }) => stream && stream.getTracks().includes(target) && stop("The camera was taken away."));
  if (address) return run(mine); // only the camera is another
  say("Preparing the first frame …");
  trigger("submit");
}

/* Lets go of the camera at once, and of the stream when the frame that is on its way has come back, unless the page is
   left. `why` is said on the picture of the page, which is painted `again` with the dials as they are now. */
function stop(why = "", again = true, left = false) {
  turn += 1;
  freeCamera(stream);
  stream = video.srcObject = null;
  const place = address;
  const end = () => wctSend(place, { method: "DELETE", keepalive: true });
  const ended = place ? (left ? end() : flight.then(end)) : followed && Promise.resolve();
  address = null;
  followed = false;
  speed.textContent = "";
  panel.hidden = true;
  if (why) notify(why);
  if (ended && again) ended.then(() => trigger("stop"));
  return ended;
}
const wctSend = (...asked) => (window.wctFetch || window.fetch)(...asked).catch(() => null);

/* Draws the camera's picture, up to a long side, as a JPEG. */
function grab(longest, quality) {
  const [width, height] = [video.videoWidth, video.videoHeight];
  const scale = Math.min(1, longest / Math.max(width, height));
  [frame.width, frame.height] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  const pen = frame.getContext("2d");
  if (mirror.checked) pen.setTransform(-1, 0, 0, 1, frame.width, 0);
  pen.drawImage(video, 0, 0, frame.width, frame.height);
  return new Promise((resolve) => frame.toBlob(resolve, "image/jpeg", quality));
}

async function draw(blob) {
  const picture = await createImageBitmap(blob);
  [painted.width, painted.height] = [picture.width, picture.height];
  painted.getContext("2d").drawImage(picture, 0, 0);
  picture.close();
  painted.dataset.frames = Number(painted.dataset.frames || 0) + 1;
}

/* One frame at a time: the next one is taken from the camera when the last has come back, so none waits in a line. They are
   sent at a nearly even pace. */
async function run(mine) {
  let size = props.value.size;
  let pace = 0;
  const times = [];
  while (mine === turn) {
    if (document.hidden) {
      times.length = 0;
      await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
      continue;
    }
    if (!video.videoWidth) {
      await pause(50);
      continue;
    }
    const sent = performance.now();
    const body = await grab(size, 0.85);
    if (mine !== turn) return;
    flight = wctSend(address, { method: "POST", headers: { "content-type": "image/jpeg" }, body });
    const answer = await flight;
    if (mine !== turn) return;
    if (!answer) {
      say("No connection to the server. It goes on as soon as that is back.");
      await pause(1000);
    } else if (answer.ok) {
      size = Number(answer.headers.get("x-wctstyle-size")) || size;
      const drawn = await answer.blob().then(draw).then(() => true, () => false);
      if (mine !== turn) return;
      if (!drawn) {
        say("The frame did not arrive whole. It is tried again.");
        await pause(1000);
        continue;
      }
      answered = performance.now();
      if (performance.now() > reading) say("");
      times.push(performance.now());
      if (times.length > RECENT) times.shift();
      const fps = (1000 * (times.length - 1)) / (times[times.length - 1] - times[0]);
      speed.textContent = `${painted.width} × ${painted.height}` + (times.length > 2 ? ` · ${fps.toFixed(1)} frames/s` : "");
      const took = performance.now() - sent;
      pace = pace ? pace + SMOOTH * (took - pace) : took;
      await pause(Math.max(FASTEST, EVEN * pace) - took);
    } else if (answer.status === 429) {
      await pause(100);
    } else {
      const { detail } = await answer.json().catch(() => ({}));
      if (mine !== turn) return;
      if (answer.status === 410) return performance.now() - answered > WAITED ? resume() : stop(detail);
      say(detail || "The frame could not be painted. It is tried again.");
      await pause(1000);
    }
  }
}

/* A stream that waited too long, as behind a hidden tab, has ended: another one is asked for. One that ends amid its
   frames has had its time. */
function resume() {
  address = null;
  trigger("submit");
}

watch("value", () => {
  const told = props.value || {};
  const place = told.stream && new URL(`live/${told.stream}`, document.baseURI).href;
  if (!stream) return place && wctSend(place, { method: "DELETE" }); // stopped meanwhile
  if (!place) return stop(told.text || "");
  address = place;
  answered = performance.now();
  followed = true;
  run(++turn);
});

const actions = {
  stop: () => stop(),
  keep: async () => {
    if (!stream || !video.videoWidth) return;
    const blob = await grab(Infinity, 0.95);
    await stop("", false);
    document.dispatchEvent(new CustomEvent("wct:file", { detail: { file: new File([blob], "webcam.jpg", { type: "image/jpeg" }), kind: "content" } }));
  },
  save: () => {
    if (!painted.dataset.frames) return;
    painted.toBlob((blob) => {
      const link = make("a", { href: URL.createObjectURL(blob), download: "webcam-painted.png" });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  },
};
panel.addEventListener("click", (event) => actions[event.target.dataset.live]?.());
devices.addEventListener("change", () => start(devices.value));
document.addEventListener("wct:webcam", () => (stream ? null : start()));
/* The stage, which says such things, is hidden meanwhile. A failure that comes while a stream is asked for is of that. */
document.addEventListener("wct:note", ({ detail }) => {
  if (stream && !address && detail.kind === "error") stop(detail.text);
  else if (stream) {
    const text = detail.text || detail;
    say(text);
    reading = performance.now() + 4000 + 60 * text.length;
  }
});
document.addEventListener("wct:shown", ({ detail }) => stream && detail.value.after && detail.value.milliseconds === undefined && stop("", false));
window.addEventListener("pagehide", () => stream && stop("", false, true));
