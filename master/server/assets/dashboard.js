// Keeps an open page live: waits for "this kind of thing changed", asks for the same page again and puts in
// what differs. It never makes content of its own, and the pages work without it.
"use strict";
(() => {
  const PACE_MS = 500;
  const RETRY_MS = 10_000;
  const body = document.body;
  const topics = new Set((body.dataset.topics || "").split(" ").filter(Boolean));
  const sign = document.getElementById("live");
  // The master's clock minus ours, so that ages are right on a machine whose clock is not.
  let skew = Number(body.dataset.now) - Date.now();
  let source = null;
  let timer = null;
  let isLoading = false;
  let isStale = false;

  function say(state, text) {
    sign.hidden = false;
    sign.dataset.state = state;
    if (sign.textContent !== text) sign.textContent = text;
  }

  // The same words as the server's.
  function span(ms) {
    if (ms < 60_000) return `${Math.floor(ms / 1000)} s`;
    if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
    if (ms < 172_800_000) return `${Math.floor(ms / 3_600_000)} h`;
    return `${Math.floor(ms / 86_400_000)} d`;
  }

  function tick() {
    const now = Date.now() + skew;
    for (const time of document.querySelectorAll("time[data-ago], time[data-until]")) {
      const isPast = time.dataset.ago !== undefined;
      const ms = isPast ? now - Number(time.dataset.ago) : Number(time.dataset.until) - now;
      const text = ms < 1000 ? "now" : isPast ? `${span(ms)} ago` : `in ${span(ms)}`;
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // Makes `from` equal to `to` and touches only what differs: focus, selection and scroll places stay.
  function patch(from, to) {
    for (const { name } of [...from.attributes]) if (!to.hasAttribute(name) && name !== "class") from.removeAttribute(name);
    for (const { name, value } of [...to.attributes]) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    if (from.localName === "select") return;
    const known = new Map([...from.children].filter((child) => child.id).map((child) => [child.id, child]));
    let at = from.firstChild;
    for (const wanted of [...to.childNodes]) {
      let node = wanted.id ? known.get(wanted.id) : at;
      const fits = node && node.nodeType === wanted.nodeType && node.nodeName === wanted.nodeName && (node.id || "") === (wanted.id || "");
      if (!fits) {
        const fresh = document.importNode(wanted, true);
        if (fresh.localName === "tr") fresh.classList.add("arrived");
        from.insertBefore(fresh, at);
        continue;
      }
      if (node !== at) from.insertBefore(node, at);
      else at = at.nextSibling;
      if (node.nodeType === Node.ELEMENT_NODE) patch(node, wanted);
      else if (node.nodeValue !== wanted.nodeValue) node.nodeValue = wanted.nodeValue;
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  async function load() {
    timer = null;
    isLoading = true;
    isStale = false;
    try {
      const asked = { cache: "no-store", headers: { accept: "text/html" }, redirect: "manual" };
      const answer = await fetch(location.href, asked);
      // Another master leads now: only the browser itself may follow there.
      if (answer.type === "opaqueredirect") return location.reload();
      const text = await answer.text();
      const page = new DOMParser().parseFromString(text, "text/html");
      if (page.getElementById("main")) {
        for (const part of ["main", "footer"]) patch(document.querySelector(part), page.querySelector(part));
        body.dataset.seen = page.body.dataset.seen;
        skew = Number(page.body.dataset.now) - Date.now();
        tick();
      }
    } catch {
      // The stream notices as well, and asks again when the master is back.
      isStale = true;
    }
    isLoading = false;
    if (isStale) soon(PACE_MS * 4);
  }

  function soon(ms) {
    if (isLoading) isStale = true;
    else if (timer === null) timer = setTimeout(load, ms);
  }

  function open() {
    if (source || document.hidden || topics.size === 0) return;
    source = new EventSource(`/events?seen=${encodeURIComponent(body.dataset.seen)}`);
    source.onopen = () => say("live", "live");
    source.addEventListener("changed", (event) => {
      if (event.data.split(" ").some((topic) => topics.has(topic))) soon(PACE_MS);
    });
    source.onerror = () => {
      say("waiting", "reconnecting");
      // A refused stream is not tried again by the browser itself.
      if (source.readyState === EventSource.CLOSED) {
        close();
        setTimeout(open, RETRY_MS);
        soon(PACE_MS);
      }
    };
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  // A page nobody sees takes no place among the live ones.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  for (const select of document.querySelectorAll(".filter select")) {
    select.addEventListener("change", () => select.form.requestSubmit());
  }
  setInterval(tick, 1000);
  tick();
  open();
})();
