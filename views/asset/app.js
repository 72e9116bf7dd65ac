// What a page does beyond its forms and links. Everything works without this file; with it, pages
// refresh themselves, ages keep counting, and a page that lost the server says so.
(() => {
  const root = document.documentElement;
  const cookie = (name, value) => {
    document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=31536000; samesite=lax`;
  };

  // The server's clock, as far as it is known: ages must be right on a phone whose clock is not.
  let ahead = Date.parse(root.dataset.now) - Date.now() || 0;
  const now = () => Date.now() + ahead;

  // The server writes times in the viewer's zone: tell it which that is.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && zone !== root.dataset.zone) cookie("tz", zone);

  // The same words as ui.Span in Go.
  const span = (ms) => {
    const s = Math.max(0, Math.floor(ms / 1000));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
  };
  const tick = () => {
    for (const t of document.querySelectorAll("time[data-age]")) {
      const past = now() - Date.parse(t.dateTime);
      const text = span(t.dataset.age === "until" ? -past : past) + (t.dataset.age === "ago" ? " ago" : "");
      if (t.textContent !== text) t.textContent = text;
    }
  };

  // Themes: the buttons are a form; here they act at once.
  const mark = () => {
    for (const b of document.querySelectorAll("button[name=theme]")) b.setAttribute("aria-pressed", b.value === root.dataset.theme);
  };
  document.addEventListener("click", (e) => {
    const theme = e.target.closest("button[name=theme]");
    if (theme) {
      e.preventDefault();
      root.dataset.theme = theme.value;
      cookie("theme", theme.value);
      mark();
    }
    const copy = e.target.closest("button[data-copy]");
    if (copy) {
      navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent.trim())
        .then(() => say("Copied."), () => say("The browser does not let this page copy: select it and copy by hand."));
    }
  });
  for (const b of document.querySelectorAll("button[data-copy]")) b.hidden = false;

  // An order may take seconds: say that it runs, and take no second one.
  document.addEventListener("submit", (e) => {
    if (e.defaultPrevented) return;
    const b = e.submitter;
    if (!b || b.name === "theme" || e.target.method === "get") return;
    if (e.target.dataset.sent) return e.preventDefault();
    e.target.dataset.sent = "yes";
    b.setAttribute("aria-busy", "true");
    if (b.dataset.busy) b.textContent = b.dataset.busy;
  });
  // A page that comes back from the browser's memory may send again, and is not live.
  window.addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });

  const announcer = document.getElementById("announce");
  const say = (text) => { if (announcer) announcer.textContent = text; };

  // The stream. Its states: "live", "frozen", "lost". What a person sees of them is style on #live.
  const stream = document.getElementById("stream");
  const live = document.getElementById("live");
  const freeze = document.getElementById("freeze");
  let frozen = false, connection = null, heard = Date.now();

  const show = (state) => {
    if (!live || live.dataset.state === state) return;
    const was = live.dataset.state;
    live.dataset.state = state;
    root.dataset.stream = state;
    const words = { live: "Live", frozen: "Frozen", lost: "Lost" };
    live.querySelector("[data-word]").textContent = words[state];
    const since = live.querySelector("time");
    since.hidden = state === "live";
    since.dateTime = new Date(now()).toISOString();
    since.dataset.age = "";
    if (state === "lost") say("Connection to the console lost. What you see is not current.");
    if (state === "live" && was === "lost") say("Connected again.");
    tick();
  };

  if (stream) {
    document.addEventListener("htmx:sse:before:connection", (e) => { if (frozen) e.preventDefault(); });
    document.addEventListener("htmx:sse:after:connection", (e) => {
      connection = e.detail.connection;
      heard = Date.now();
      show("live");
    });
    document.addEventListener("htmx:sse:before:message", (e) => {
      if (frozen) return e.preventDefault();
      heard = Date.now();
      show("live");
    });
    document.addEventListener("htmx:sse:error", (e) => {
      const status = e.detail.status;
      if (status === 401 || status === 403) return location.reload(); // the session is over
      if (!frozen) show("lost");
    });
    document.addEventListener("htmx:response:error", (e) => {
      if (e.detail.ctx?.response?.status === 401) location.reload();
    });
    stream.addEventListener("beat", (e) => { ahead = Date.parse(e.detail.data) - Date.now() || ahead; });
    stream.addEventListener("say", (e) => say(e.detail.data));
    stream.addEventListener("reload", () => location.reload());

    if (freeze) {
      freeze.hidden = false;
      freeze.addEventListener("click", () => {
        frozen = !frozen;
        freeze.setAttribute("aria-pressed", frozen);
        if (frozen) {
          show("frozen");
          connection?.abortController?.abort(); // the server need not send what nobody sees
        } else {
          heard = Date.now();
          htmx.trigger(stream, "resume");
          show("live");
        }
      });
    }
    // The server speaks every 5 s at least. A hung connection ends nothing by itself.
    setInterval(() => {
      if (frozen || document.hidden) { heard = Date.now(); return; }
      if (Date.now() - heard < 12000) return;
      show("lost");
      heard = Date.now() - 7000; // try again in 5 s
      connection?.reader?.cancel();
      if (!stream._htmx?.sse) htmx.trigger(stream, "resume");
    }, 1000);
  }

  // A window in the background says by its title that something is wrong.
  const title = document.title;
  const chain = document.getElementById("chain-now");
  const entitle = () => {
    const wrong = chain.querySelector("[data-wrong]");
    document.title = (wrong ? `▲ ${wrong.textContent.trim()} · ` : "") + title;
  };
  if (chain) {
    entitle();
    new MutationObserver(entitle).observe(chain, { subtree: true, childList: true, characterData: true, attributes: true });
  }

  mark();
  setInterval(tick, 1000);
})();
