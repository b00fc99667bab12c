// Keeps the overview's moving pieces up to date by server-sent events. Without this script the page works as it is.
"use strict";
{
  const bar = document.querySelector(".live");
  const [said, button] = bar.children;
  let source = null;
  let paused = false;

  const say = (state) => {
    if (said.textContent !== said.dataset[state]) said.textContent = said.dataset[state];
  };
  const caption = (details) => details.parentElement.firstElementChild.textContent;
  const places = (piece) => [...piece.querySelectorAll("summary, a, [tabindex]")];

  // A piece takes the place of the one with its id; what was open stays open, what had the focus keeps it.
  function replace(piece) {
    const old = document.getElementById(piece.id);
    if (!old) return;
    const open = new Set([...old.querySelectorAll("details[open]")].map(caption));
    const focused = places(old).indexOf(document.activeElement);
    for (const details of piece.querySelectorAll("details")) details.open = open.has(caption(details));
    if (old.isEqualNode(piece)) return;
    old.replaceWith(piece);
    if (focused >= 0) places(piece)[focused]?.focus({ preventScroll: true });
  }

  function listen() {
    if (source || paused || document.hidden) return;
    source = new EventSource(bar.dataset.source);
    source.addEventListener("message", ({ data }) => {
      for (const piece of [...new DOMParser().parseFromString(data, "text/html").body.children]) replace(piece);
      say("on");
    });
    source.addEventListener("error", () => {
      say("off");
      if (source?.readyState !== EventSource.CLOSED) return; // it tries again by itself
      source = null; // refused: there are many streams already, or nobody is signed in
      setTimeout(listen, 30_000);
    });
    source.addEventListener("end", () => location.reload()); // the session is over: to the login
  }

  function stop() {
    source?.close();
    source = null;
  }

  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? button.dataset.resume : button.dataset.pause;
    if (paused) {
      stop();
      say("paused");
    } else listen();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : listen()));
  addEventListener("pagehide", stop);
  addEventListener("pageshow", listen);
  bar.hidden = false;
  listen();
}
