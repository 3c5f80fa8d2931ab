/* The camera: asked for when its window opens, let go when it closes. */

const camera = one(".wct-camera");
const video = camera.querySelector("video");
const devices = camera.querySelector("select");
let stream = null;
let asked = 0;

function release() {
  freeCamera(stream);
  stream = null;
}

async function startCamera(device) {
  const note = one(".wct-camera-note");
  const turn = ++asked;
  note.textContent = "";
  release();
  try {
    const given = await openCamera(device, 1280);
    if (!camera.open || turn !== asked) return freeCamera(given); // too late
    stream = given;
    video.srcObject = given;
    await video.play();
    camera.querySelector("label").hidden = !(await listCameras(devices, given));
  } catch (error) {
    if (turn === asked) note.textContent = `${cameraFault(error)} Or add a file.`;
  }
}

function showCamera() {
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
