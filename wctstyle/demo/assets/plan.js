/* What file comes. One that was made is out of reach as soon as something else is asked for, and until the server has said
   whether it is still the same. */
const stale = (on) => document.body.classList.toggle("wct-stale", on);
document.addEventListener("wct:moved", () => stale(true));
document.addEventListener("wct:planned", () => stale(false));
for (const name of ["wct:shown", "wct:failed"]) {
  document.addEventListener(name, () => (element.checkVisibility() ? trigger("submit") : stale(true)));
}
