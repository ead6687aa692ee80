// What htmx cannot do: copying, following streams, and saying when the connection is lost.
(() => {
  "use strict";

  // A server says something every 5 s; after this long without a word the connection is lost.
  const SILENCE_MAX_MS = 12000;
  const RETRY_MS = 2000;
  // How many lines a live list keeps. What goes is in the history.
  const ENTRIES_MAX = 200;

  const banner = document.getElementById("lost");
  // Where it is asked whether the session lives.
  const session = document.querySelector("main")?.dataset.session ?? "/console/session";

  const say = (text) => {
    if (!banner) return;
    banner.textContent = text;
    banner.hidden = text === "";
  };

  // One connection, opened again until it works, from where the last one ended.
  class Stream {
    constructor(url, after, on) {
      this.url = url;
      this.after = after;
      this.on = on;
      this.lost = false;
      this.paused = false;
    }

    // A browser opens six connections to a server at most, so a page that nobody sees holds none.
    open() {
      this.close();
      if (this.paused || document.hidden) return;
      const url = new URL(this.url, location.href);
      if (this.after !== null) url.searchParams.set("after", this.after);
      const source = new EventSource(url);
      this.source = source;
      const heard = (event) => {
        if (this.source !== source) return;
        this.watch();
        if (event.lastEventId) this.after = event.lastEventId;
        if (this.lost) {
          this.lost = false;
          say("");
          this.on.back?.();
        }
      };
      for (const name of ["beat", "changed", "entry", "skipped"]) {
        source.addEventListener(name, (event) => {
          if (this.source !== source) return;
          heard(event);
          this.on[name]?.(event);
        });
      }
      source.onerror = () => this.source === source && this.fail();
      this.watch();
    }

    watch() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.fail(), SILENCE_MAX_MS);
    }

    // Our own timer and not the browser's: it gives up on some answers, and we know where to go on.
    fail() {
      this.close();
      if (!this.lost) {
        this.lost = true;
        say("Connection lost. What is shown may be out of date. Trying again…");
        this.on.lost?.();
      }
      this.timer = setTimeout(() => this.again(), RETRY_MS);
    }

    async again() {
      const answer = await fetch(session, { signal: AbortSignal.timeout(SILENCE_MAX_MS) }).catch(() => null);
      if (answer?.redirected || answer?.status === 403) return location.reload();
      if (answer?.ok) this.open();
      else this.timer = setTimeout(() => this.again(), RETRY_MS);
    }

    close() {
      clearTimeout(this.timer);
      this.source?.close();
      this.source = null;
    }
  }

  const streams = [];

  // Lines of events, newest first, each once.
  const follow = (list) => {
    const state = document.querySelector("[data-live-state]");
    const tell = (text) => { if (state) state.textContent = text; };
    const add = (event) => {
      const line = new DOMParser().parseFromString(event.data, "text/html").body.firstElementChild;
      if (!line || document.getElementById(line.id)) return;
      line.classList.add("fresh");
      list.prepend(document.adoptNode(line));
      window.htmx?.process(line);
      while (list.children.length > ENTRIES_MAX) list.lastElementChild.remove();
    };
    const live = () => tell("Live: new events appear on top.");
    // Lines that do not join what comes next would look as if nothing had happened in between.
    const skipped = () => {
      list.replaceChildren();
      document.getElementById("further")?.remove();
      tell(`Live. More happened than fits here: these are the latest ${ENTRIES_MAX}. Load the page again for older ones.`);
    };
    const on = { entry: add, skipped, back: live, lost: () => tell("Not live: the connection is lost.") };
    const stream = new Stream(list.dataset.stream, list.dataset.after, on);
    streams.push(stream);
    stream.open();
    live();
    const button = document.querySelector("[data-pause]");
    if (!button) return;
    button.hidden = false;
    button.addEventListener("click", () => {
      const paused = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(paused));
      stream.paused = paused;
      if (paused) {
        stream.close();
        stream.lost = false;
        say("");
        tell("Paused. Resume to see what happened meanwhile.");
      } else {
        stream.open();
        live();
      }
    });
  };

  // Parts of the page that are fetched anew.
  const keepCurrent = (main) => {
    const changed = () => document.body.dispatchEvent(new CustomEvent("changed"));
    const stream = new Stream(main.dataset.changes, null, { changed, back: changed });
    streams.push(stream);
    stream.open();
  };

  // A part that was fetched anew is made into what it is now, node by node: what stays the same stays, with its focus,
  // with what is selected of it and with what somebody has opened.
  const same = (old, fresh) =>
    old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && (old.id ?? "") === (fresh.id ?? "");

  // A button that says "Copied" says so until it has been read.
  const keeps = (old, fresh) =>
    old.nodeType === Node.ELEMENT_NODE && (old.hasAttribute("hx-preserve")
      || old.dataset.copy !== undefined && old.dataset.copy === fresh.dataset.copy);

  const become = (old, fresh) => {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    if (keeps(old, fresh) || old.isEqualNode(fresh)) return;
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !(name === "open" || name === "class" && old.className === "")) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    let next = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const known = child.id ? [...old.children].find((one) => one.id === child.id) : null;
      const kept = known ?? (next && !next.id && same(next, child) ? next : null);
      if (!kept || !same(kept, child)) {
        old.insertBefore(document.adoptNode(child), next);
        continue;
      }
      if (kept === next) next = next.nextSibling;
      else old.insertBefore(kept, next);
      become(kept, child);
    }
    while (next) {
      const gone = next;
      next = next.nextSibling;
      gone.remove();
    }
  };

  // What a reader of screens is told of a change: it stands outside of what changes, or it would not be read.
  const said = document.getElementById("said");
  const sentences = (root) => [...root.querySelectorAll("[data-say]")].map((one) => one.textContent.trim());

  const renew = (id, fresh) => {
    const old = document.getElementById(id);
    if (!old || !fresh || old.isEqualNode(fresh)) return;
    const before = sentences(old);
    become(old, fresh);
    const news = sentences(old).filter((sentence) => !before.includes(sentence));
    if (said && news.length > 0) said.textContent = news.join(". ");
    window.htmx?.process(old);
    enhance(old);
  };

  // Never under a pressed pointer: a press that begins on one element and ends on another is no click on either.
  let pressed = false;
  const waiting = new Map();
  const renewAll = () => {
    if (pressed) return;
    for (const [id, fresh] of waiting) renew(id, fresh);
    waiting.clear();
  };
  const released = () => setTimeout(() => { pressed = false; renewAll(); });
  document.addEventListener("pointerdown", () => { pressed = true; }, true);
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, released, true);
  // A pointer may be let go where no page hears of it.
  addEventListener("blur", released);
  addEventListener("pointermove", (event) => { if (pressed && event.buttons === 0) released(); }, true);

  document.addEventListener("htmx:beforeSwap", (event) => {
    // A search asks for another part than its own, and is answered with what it has found.
    const part = event.detail.requestConfig.elt;
    if (part !== event.detail.target || !part.matches('[hx-trigger^="changed"]')) return;
    if (event.detail.xhr.status !== 200) return;
    event.detail.shouldSwap = false;
    const page = new DOMParser().parseFromString(event.detail.serverResponse, "text/html");
    const others = (part.getAttribute("hx-select-oob") ?? "").split(",").filter(Boolean);
    for (const id of [part.id, ...others.map((other) => other.slice(1))]) waiting.set(id, page.getElementById(id));
    renewAll();
  });

  const copy = async (button) => {
    const value = document.getElementById(button.dataset.copy);
    const label = button.firstChild;
    let done = false;
    try {
      await navigator.clipboard.writeText(value.textContent);
      done = true;
    } catch {
      getSelection().selectAllChildren(value);
      done = document.execCommand("copy");
    }
    label.textContent = done ? "Copied" : "Select and copy";
    setTimeout(() => { label.textContent = "Copy"; }, 2000);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });

  const enhance = (root) => {
    for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
  };

  document.addEventListener("htmx:afterSettle", () => enhance(document));
  // A search that goes on by itself has stopped: its link is the way on.
  const stopped = (event) => event.detail.elt.classList.remove("goes-on");
  document.addEventListener("htmx:sendError", (event) => {
    stopped(event);
    say("Connection lost. What is shown may be out of date.");
  });
  document.addEventListener("htmx:timeout", stopped);
  document.addEventListener("htmx:responseError", (event) => {
    stopped(event);
    const status = event.detail.xhr.status;
    if (status >= 500) say(`The server answers with an error (${status}). What is shown may be out of date.`);
  });
  document.addEventListener("htmx:afterOnLoad", (event) => {
    if (event.detail.xhr.status < 400 && !streams.some((stream) => stream.lost)) say("");
  });

  // An answer that shows a secret once: loading the page again must not send the form again.
  const place = document.querySelector("[data-now-at]");
  if (place) history.replaceState(null, "", place.dataset.nowAt);

  enhance(document);
  const main = document.querySelector("main[data-changes]");
  if (main) keepCurrent(main);
  const list = document.querySelector("[data-stream]");
  if (list) follow(list);
  document.addEventListener("visibilitychange", () => {
    for (const stream of streams) document.hidden ? stream.close() : stream.open();
  });
  // Nor does one that waits in the history of the browser.
  addEventListener("pagehide", () => streams.forEach((stream) => stream.close()));
  addEventListener("pageshow", (event) => { if (event.persisted) streams.forEach((stream) => stream.open()); });
})();
