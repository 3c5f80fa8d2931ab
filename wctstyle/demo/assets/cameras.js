/* Cameras: opened, listed, let go, and why none can be used. */

const CAMERA_FAULTS = {
  NotAllowedError: "The browser does not allow the camera here. Allow it for this address, beside the address bar, and try again.",
  NotFoundError: "No camera was found. Connect one and try again.",
  OverconstrainedError: "This camera cannot be used. Choose another.",
  NotReadableError: "The camera is used by another program. Close that and try again.",
};

function cameraFault(error) {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    return "Browsers give a camera only to secure addresses: https, or localhost on the machine that serves the page.";
  }
  return CAMERA_FAULTS[error.name] || "The camera cannot be used here. Try another one, or another browser.";
}

const openCamera = (device, width) =>
  navigator.mediaDevices.getUserMedia({ video: { width, ...(device && { deviceId: { exact: device } }) } });

function freeCamera(given) {
  if (given) for (const track of given.getTracks()) track.stop();
}

/* Browsers tell the names of the cameras once one is allowed. */
async function listCameras(select, given) {
  const all = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
  select.replaceChildren(...all.map((device, index) => make("option", { value: device.deviceId }, device.label || `Camera ${index + 1}`)));
  select.value = given.getVideoTracks()[0].getSettings().deviceId;
  return all.length > 1;
}
