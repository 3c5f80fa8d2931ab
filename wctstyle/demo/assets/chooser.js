/* A file that is chosen here and sent; the server says what it is. */

const input = element.querySelector("input");
const image = element.querySelector("img");
const said = element.querySelector("p");
const megabytes = (bytes) => Math.round(bytes / 2 ** 20);

input.addEventListener("change", async () => {
  const file = input.files[0];
  input.value = "";
  if (!file) return;
  const most = props.value.most; // in the value, as a tab that was not opened yet loses other props
  if (file.size > most) {
    said.textContent = `${file.name}: too large, ${megabytes(file.size)} MB. Files may have up to ${megabytes(most)} MB.`;
    return;
  }
  said.textContent = `Sending ${file.name} …`;
  try {
    const { path } = await upload(file);
    trigger("upload", { path, name: file.name });
  } catch (error) {
    said.textContent = `${file.name}: could not be sent. Please try once more.`;
  }
});

function draw() {
  const { button = "", accept = "", text = "", thumb = "" } = props.value || {};
  element.querySelector("span").textContent = button;
  input.accept = accept;
  said.textContent = text;
  image.hidden = !thumb;
  if (thumb) image.src = thumb;
}
watch("value", draw);
draw();
