// A part of a page is fetched anew when the server says that it changed. While nobody looks at it, or a menu is open in
// it, it stays as it is; it is fetched when somebody looks again.
const parts = () => document.querySelectorAll("[data-live]");
const untouched = (part) => !document.hidden && document.hasFocus() && !part.querySelector("details[open]");
let late = false;

document.addEventListener("htmx:beforeRequest", (event) => {
  const part = event.detail.elt;
  if (!part.matches("[data-live]") || untouched(part)) return;
  late = true;
  event.preventDefault();
});

const catchUp = () => {
  if (!late) return;
  late = false;
  for (const part of parts()) htmx.trigger(part, "live");
};
addEventListener("focus", catchUp);
document.addEventListener("visibilitychange", catchUp);
document.addEventListener("toggle", (event) => event.target.open || catchUp(), true);
