/* The clip to paint: chosen here and sent; the server says what it is. */

const input = element.querySelector("input");
const said = element.querySelector("p");
const megabytes = (bytes) => Math.round(bytes / 2 ** 20);

input.addEventListener("change", async () => {
  const file = input.files[0];
  input.value = "";
  if (!file) return;
  if (file.size > props.max_bytes) {
    said.textContent = `${file.name}: too large, ${megabytes(file.size)} MB. Clips may have up to ${megabytes(props.max_bytes)} MB.`;
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

watch("value", () => (said.textContent = (props.value || {}).text || ""));
