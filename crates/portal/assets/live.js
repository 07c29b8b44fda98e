// Fetches the live parts of a page anew every five seconds, while somebody looks at it and no menu is open in it.
setInterval(() => {
  if (document.hidden || !document.hasFocus()) return;
  for (const part of document.querySelectorAll("[data-live]")) {
    if (!part.querySelector("details[open]")) htmx.trigger(part, "live");
  }
}, 5000);
