/* Looks: blends with all dials. The server sets them, as it does for undo. */

const looks = props.gallery.looks.map((look) => {
  const button = make("button", { type: "button", class: "wct-thumb", title: look.text, "aria-label": look.name, "data-look": look.id });
  button.append(make("img", { src: look.thumb, alt: "", loading: "lazy", draggable: "false" }), make("span", {}, look.name));
  button.addEventListener("click", () => {
    trigger("example_select", { look: look.id });
    document.dispatchEvent(new CustomEvent("wct:moved"));
  });
  return button;
});
const saver = make("button", { type: "button", class: "wct-thumb wct-add", "aria-label": "Save look", title: "Save this blend with all dials as a file; drop the file on the page to use it" });
saver.append(make("i", { "aria-hidden": "true" }, "↓"), make("span", {}, "Save look"));
saver.addEventListener("click", () => trigger("download"));
one(".wct-looks").append(saver, ...looks);

document.addEventListener("wct:choices", ({ detail: { look, text } }) => {
  if (!look) return;
  const file = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  make("a", { href: file, download: `${look}.json` }).click();
  URL.revokeObjectURL(file);
});
