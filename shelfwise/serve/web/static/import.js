// The form of an upload: files may be dropped on it, and how much has been sent is shown.
// Without this script the form works as it is.
"use strict";

for (const form of document.querySelectorAll("form.drop")) {
  const input = form.querySelector("input[type=file]");
  const status = form.querySelector(".sending");
  let depth = 0;

  const over = (inside) => form.classList.toggle("drop-over", inside);
  form.addEventListener("dragenter", () => over(++depth > 0));
  form.addEventListener("dragleave", () => over(--depth > 0));
  form.addEventListener("dragover", (event) => event.preventDefault());
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    over(false);
    if (event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      form.requestSubmit();
    }
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const request = new XMLHttpRequest();
    const bar = document.createElement("progress");
    bar.setAttribute("aria-label", form.dataset.sending);
    const stop = document.createElement("button");
    stop.type = "button";
    stop.className = "button button-quiet";
    stop.textContent = form.dataset.stop;
    stop.addEventListener("click", () => request.abort());
    status.replaceChildren(form.dataset.sending + " ", bar, " ", stop);
    const send = form.querySelector(".button-primary");
    send.disabled = true;
    const ended = (told) => {
      status.textContent = told;
      status.setAttribute("role", "alert");
      send.disabled = false;
    };
    request.upload.addEventListener("progress", (sent) => {
      if (sent.lengthComputable) {
        bar.max = sent.total;
        bar.value = sent.loaded;
      }
    });
    // The server answers with the page of this import, or with the form and what is wrong.
    request.addEventListener("load", () => {
      const here = new URL(request.responseURL || location.href);
      if (here.pathname !== location.pathname && !here.pathname.endsWith("/console/data/import")) {
        location.assign(here.href);
      } else {
        const page = new DOMParser().parseFromString(request.responseText, "text/html");
        const told = page.querySelector("[role=alert]");
        ended(told ? told.textContent : request.statusText);
      }
    });
    request.addEventListener("error", () => ended(form.dataset.failed));
    request.addEventListener("abort", () => ended(form.dataset.stopped));
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "text/html");
    request.send(new FormData(form));
  });
}
