/* The camera: asked for when its window opens, let go when it closes. */

const camera = one(".wct-camera");
const video = camera.querySelector("video");
const devices = camera.querySelector("select");
let stream = null;
let asked = 0;

function release() {
  if (stream) for (const track of stream.getTracks()) track.stop();
  stream = null;
}

async function startCamera(device) {
  const note = one(".wct-camera-note");
  const turn = ++asked;
  note.textContent = "";
  release();
  try {
    const given = await navigator.mediaDevices.getUserMedia({
      video: { width: 1280, ...(device && { deviceId: { exact: device } }) },
    });
    if (!camera.open || turn !== asked) return given.getTracks().forEach((track) => track.stop()); // too late
    stream = given;
    video.srcObject = given;
    await video.play();
    await listDevices(given);
  } catch (error) {
    if (turn === asked) note.textContent = device ? "This camera cannot be used. Choose another." : "No camera can be used here. Allow it in the browser, or add a file.";
  }
}

/* Browsers tell the names of the cameras once one is allowed. */
async function listDevices(given) {
  const all = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
  devices.replaceChildren(...all.map((device, index) => make("option", { value: device.deviceId }, device.label || `Camera ${index + 1}`)));
  devices.value = given.getVideoTracks()[0].getSettings().deviceId;
  camera.querySelector("label").hidden = all.length < 2;
}

function openCamera() {
  camera.showModal();
  startCamera();
}
function closeCamera() {
  release();
  if (camera.open) camera.close();
}
devices.addEventListener("change", () => startCamera(devices.value));
camera.addEventListener("close", closeCamera);
camera.addEventListener("click", (event) => {
  const action = event.target.dataset.camera;
  if (action === "close") closeCamera();
  if (action === "take" && stream && video.videoWidth) {
    const shot = document.createElement("canvas");
    [shot.width, shot.height] = [video.videoWidth, video.videoHeight];
    shot.getContext("2d").drawImage(video, 0, 0);
    shot.toBlob((blob) => {
      closeCamera();
      add([new File([blob], "camera.jpg", { type: "image/jpeg" })], "content");
    }, "image/jpeg", 0.95);
  }
});
