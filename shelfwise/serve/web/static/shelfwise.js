// Tells Shelfwise what shoppers do on a page: what they view, are shown, click and search. See docs/shelfwise-js.md.
// Nothing is sent, stored or named before consent is given.
"use strict";
(() => {
  const { endpoint = "/collect", session = "", consent = "", customer = "" } = document.currentScript.dataset;
  const KEY = "shelfwise-session";
  const MOST = 50; // events a request
  let given = consent === "given";
  let who = customer;
  let waiting = [];
  let timer = 0;

  function visit() {
    if (session === "server") return {}; // the endpoint knows the visit by its own cookie
    let id = localStorage.getItem(KEY);
    if (!id) {
      id = crypto.randomUUID();
      localStorage.setItem(KEY, id);
    }
    return who ? { session: id, customer: who } : { session: id };
  }

  function send() {
    clearTimeout(timer);
    timer = 0;
    while (waiting.length) {
      const events = waiting.splice(0, MOST);
      const body = new Blob([JSON.stringify({ events, on_error: "skip" })], { type: "application/json" });
      if (!navigator.sendBeacon(endpoint, body)) fetch(endpoint, { method: "POST", body, keepalive: true }).catch(() => {});
    }
  }

  // type and fields as in POST /v1/events; later: may wait up to a second for others.
  function track(type, fields = {}, later = false) {
    if (!given) return;
    waiting.push({ type, ...fields, ...visit() });
    if (!later) send();
    else if (!timer) timer = setTimeout(send, 1000);
  }

  const list = (element) => element.closest("[data-shelfwise-list]")?.dataset.shelfwiseList || "";
  const fields = (element) => ({ product: element.dataset.shelfwiseProduct, request_id: list(element) });

  function page() {
    for (const one of document.querySelectorAll("[data-shelfwise-search]")) track("search", { query: one.dataset.shelfwiseSearch });
    for (const one of document.querySelectorAll("[data-shelfwise-view]")) track("view_item", { product: one.dataset.shelfwiseView });
    const seen = new IntersectionObserver(
      (entries) => {
        for (const { isIntersecting, target } of entries) {
          if (!isIntersecting) continue;
          seen.unobserve(target);
          track("view_item_list", fields(target), true);
        }
      },
      { threshold: 0.5 },
    );
    for (const one of document.querySelectorAll("[data-shelfwise-list] [data-shelfwise-product]")) seen.observe(one);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    const shown = link?.closest("[data-shelfwise-product]");
    if (shown) track("select_item", fields(shown));
    const cart = event.target.closest("[data-shelfwise-cart]");
    if (cart) track("add_to_cart", { product: cart.dataset.shelfwiseCart });
  });
  addEventListener("pagehide", send);
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && send());

  window.shelfwise = {
    track,
    // consent(true) begins with this page; consent(false) forgets what waits and the visit's name.
    consent(yes) {
      const began = yes && !given;
      given = Boolean(yes);
      if (!given) {
        waiting = [];
        if (session !== "server") localStorage.removeItem(KEY);
      }
      if (began) page();
    },
    customer(id) {
      who = id;
    },
  };
  if (given) page();
})();
