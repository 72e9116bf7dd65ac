// Range charts: every element with data-chart becomes a uPlot. All charts of a page share their
// pointer, so that one moment is read in all of them.
(() => {
  const root = document.documentElement;
  let tokens = {};
  const token = (name) => {
    if (tokens[name]) return tokens[name];
    // What light-dark() comes to is known to a real property only.
    const probe = document.createElement("span");
    probe.hidden = true;
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    tokens[name] = getComputedStyle(probe).color;
    probe.remove();
    return tokens[name];
  };
  const si = (v, units, base) => {
    let i = 0;
    while (Math.abs(v) >= base && i < units.length - 1) { v /= base; i++; }
    return `${+v.toPrecision(3)}${units[i]}`;
  };
  const count = (v) => si(v, ["", " k", " M", " G"], 1000);
  const formats = {
    count,
    whole: count,
    bytes: (v) => si(v, [" B", " KiB", " MiB", " GiB", " TiB"], 1024),
    seconds: (v) => (v === 0 ? "0" : v < 1e-4 ? `${+(v * 1e6).toPrecision(3)} µs` : v < 1 ? `${+(v * 1000).toPrecision(3)} ms` : `${+v.toPrecision(3)} s`),
  };
  // Where an axis may have its lines; of the others uPlot knows.
  const steps = {
    whole: [...Array(12).keys()].flatMap((n) => [1, 2, 5].map((d) => d * 10 ** n)),
    bytes: [...Array(50).keys()].map((n) => 2 ** n),
  };
  // At the pointer there is room for all digits, as in the page's own numbers.
  const exact = (format) => (format === "count" || format === "whole" ? (v) => v.toLocaleString("en-US", { maximumFractionDigits: v < 9.95 ? 1 : 0 }) : formats[format] ?? count);
  // Letters and what is measured by them follow the page's.
  const em = () => parseFloat(getComputedStyle(root).fontSize) / 16;

  const at = (t, zone) => uPlot.tzDate(new Date(t * 1000), zone);
  const said = (t, zone, how) => at(t, zone).toLocaleString("en-GB", how);
  const day = { day: "numeric", month: "short" }, clock = { hour: "2-digit", minute: "2-digit" };
  const moment = (t, zone) => said(t, zone, { ...day, ...clock, second: "2-digit" });

  // The times below an axis: one line, with the day where it begins.
  const times = (data) => (u, list, axis, space, step) =>
    list.map((t) => {
      const d = at(t, data.zone);
      if (step >= 86400 || (d.getHours() === 0 && d.getMinutes() === 0)) return said(t, data.zone, day);
      return said(t, data.zone, step < 60 ? { ...clock, second: "2-digit" } : clock);
    });

  // How far apart times stand at least: those with seconds are longer.
  const apart = (of) => (u, axis, from, to, width) => ((to - from) / (width / (50 * of)) < 60 ? 80 : 50) * of;

  // An axis is as wide as the widest number beside it.
  const width = (u, list, axis, cycle) => {
    if (cycle > 1) return u.axes[axis]._size;
    u.ctx.save();
    u.ctx.font = u.axes[axis].font[0];
    const most = Math.max(0, ...(list ?? []).map((text) => u.ctx.measureText(text).width));
    u.ctx.restore();
    return Math.ceil(most / devicePixelRatio) + 16;
  };

  const shapes = {
    warning: (c, r) => { c.moveTo(0, -r); c.lineTo(r, r); c.lineTo(-r, r); c.closePath(); },
    planned: (c, r) => { c.moveTo(0, -r); c.lineTo(r, 0); c.lineTo(0, r); c.lineTo(-r, 0); c.closePath(); },
    critical: (c, r) => c.rect(-r, -r, 2 * r, 2 * r),
    ok: (c, r) => c.arc(0, 0, r, 0, 7),
  };

  // What was not sampled is hatched; what happened stands behind the lines, with its number in the list.
  const behind = (el) => (u) => {
    const { ctx, bbox } = u, data = el._data, px = devicePixelRatio * em();
    const right = bbox.left + bbox.width;
    const x = (t) => Math.min(Math.max(u.valToPos(t, "x", true), bbox.left), right);
    ctx.save();
    ctx.lineWidth = px;
    for (const [from, to] of data.empty ?? []) {
      const a = x(from), b = x(to);
      ctx.save();
      ctx.beginPath();
      ctx.rect(a, bbox.top, b - a, bbox.height);
      ctx.clip();
      ctx.strokeStyle = token("border");
      ctx.beginPath();
      for (let s = a - bbox.height; s < b; s += 8 * px) { ctx.moveTo(s, bbox.top + bbox.height); ctx.lineTo(s + bbox.height, bbox.top); }
      ctx.stroke();
      ctx.restore();
      if (b - a > 90 * px) {
        ctx.font = `${11 * px}px system-ui, sans-serif`;
        const text = "no samples", wide = ctx.measureText(text).width;
        ctx.fillStyle = token("card");
        ctx.fillRect((a + b - wide) / 2 - 4 * px, bbox.top + bbox.height / 2 - 9 * px, wide + 8 * px, 18 * px);
        ctx.fillStyle = token("muted-foreground");
        ctx.textAlign = "center";
        ctx.textBaseline = "middle";
        ctx.fillText(text, (a + b) / 2, bbox.top + bbox.height / 2);
      }
    }
    let free = -Infinity; // of numbers so far
    ctx.font = `600 ${10 * px}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    for (const m of data.marks ?? []) {
      const from = u.valToPos(m.at, "x", true), end = m.until ? u.valToPos(m.until, "x", true) : from;
      if (end < bbox.left || from > right) continue;
      ctx.fillStyle = ctx.strokeStyle = token(m.state);
      if (m.until) {
        ctx.globalAlpha = 0.1;
        ctx.fillRect(x(m.at), bbox.top, Math.max(px, x(m.until) - x(m.at)), bbox.height);
        ctx.globalAlpha = 1;
      }
      if (from >= bbox.left) {
        ctx.setLineDash(m.state === "planned" ? [6 * px, 4 * px] : []);
        ctx.beginPath();
        ctx.moveTo(from, bbox.top);
        ctx.lineTo(from, bbox.top + bbox.height);
        ctx.stroke();
        ctx.setLineDash([]);
      }
      const place = x(m.at);
      if (!m.number || place < free) continue;
      ctx.save();
      ctx.translate(Math.max(place, 4 * px), 8 * px);
      ctx.beginPath();
      (shapes[m.state] ?? shapes.ok)(ctx, 3.5 * px);
      ctx.fill();
      ctx.fillText(m.number, 6 * px, 0);
      ctx.restore();
      free = place + 19 * px;
    }
    if (data.limit) {
      const y = u.valToPos(data.limit, "y", true);
      ctx.strokeStyle = token("muted-foreground");
      ctx.setLineDash([2 * px, 2 * px]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(right, y);
      ctx.stroke();
    }
    ctx.restore();
  };

  // The numbers and the marks at the pointer; without one, the last numbers, as the page came with them.
  const read = (el, says) => (u) => {
    const data = el._data, write = exact(data.format), here = u.cursor.left >= 0 ? u.cursor.idx : null;
    const set = (place, text) => {
      if (!place) return;
      place._last ??= place.textContent;
      const now = text ?? place._last;
      if (place.textContent !== now) place.firstChild.nodeValue = now;
    };
    const legend = el.parentElement.querySelector(".chart-legend");
    set(legend?.querySelector("[data-when]"), here == null ? null : said(data.times[here], data.zone, { ...clock, second: "2-digit" }));
    for (const b of legend?.querySelectorAll("[data-line]") ?? []) {
      const v = here == null ? null : data.lines[b.dataset.line].values[here];
      set(b, here == null ? null : v == null ? "–" : write(v));
    }
    const near = here == null ? [] : (data.marks ?? []).filter((m) => {
      const x = u.valToPos(m.at, "x");
      return Math.abs(u.cursor.left - x) < 8 || (m.until && u.cursor.left > x && u.cursor.left < u.valToPos(m.until, "x"));
    });
    const text = near.map((m) => `${m.number ? `${m.number} · ` : ""}${moment(m.at, data.zone)} ${m.label}`).join("; ");
    if (says.textContent !== text) says.textContent = text;
  };

  const columns = (data) => [data.times, ...data.lines.map((l) => l.values)];
  const labels = (data) => JSON.stringify(data.lines.map((l) => [l.label, l.tone]));
  const source = (el) => el.parentElement.querySelector("[data-chart]")?.dataset.chart;

  const draw = (el) => {
    const text = source(el);
    if (!text) return;
    el._plot?.destroy();
    el._plot = null;
    if (el.closest("details:not([open])")) return; // it is drawn when it is opened
    el._text = text;
    const data = el._data = JSON.parse(text);
    const write = formats[data.format] ?? formats.count;
    const ink = token("muted-foreground"), rule = token("border");
    const of = em(), height = 200 * of, font = `${12 * of}px system-ui, sans-serif`;
    const axis = { stroke: ink, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1, size: 4 }, gap: 4, font };
    const says = document.createElement("p");
    says.className = "plot-says small sub";
    el.replaceChildren();
    el._read = read(el, says);
    el._plot = new uPlot({
      width: el.clientWidth, height,
      padding: [16 * of, 18 * of, 0, 4 * of],
      tzDate: (ts) => at(ts, data.zone),
      cursor: { sync: { key: "page" }, drag: { x: false, y: false } },
      legend: { show: false },
      scales: { y: { range: () => [0, el._data.top] } },
      axes: [
        { ...axis, size: 26 * of, space: apart(of), values: times(data) },
        { ...axis, size: width, space: 30 * of, values: (u, list) => list.map(write), ...(steps[data.format] && { incrs: steps[data.format] }) },
      ],
      series: [
        {},
        ...data.lines.map((l) => ({ label: l.label, stroke: token(l.tone), width: 1.5 * of, dash: l.dash, points: { show: false } })),
      ],
      hooks: { drawClear: [behind(el)], setCursor: [el._read] },
    }, columns(data), el);
    el.append(says);
  };

  // New numbers are drawn in the same place, so that nothing flickers and the pointer stays where it is.
  const follow = (el) => {
    const text = source(el);
    if (!text || text === el._text) return;
    const data = JSON.parse(text);
    if (!el._plot || labels(data) !== labels(el._data)) return draw(el);
    el._text = text;
    el._data = data;
    for (const place of el.parentElement.querySelectorAll("[data-when], [data-line]")) delete place._last;
    el._plot.setData(columns(data));
    el._read(el._plot);
  };

  // Where there is room, everything is open from the start; a link into what is folded opens it.
  if (matchMedia("(width >= 40rem)").matches) for (const d of document.querySelectorAll("details[data-wide]")) d.open = true;
  const reveal = () => {
    const d = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest("details");
    if (d) d.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();

  const all = () => [...document.querySelectorAll(".plot")];
  all().forEach(draw);
  for (const el of all()) {
    new ResizeObserver(() => el.clientWidth && el._plot?.setSize({ width: el.clientWidth, height: 200 * em() })).observe(el);
  }
  addEventListener("toggle", (e) => {
    for (const el of e.target.querySelectorAll?.(".plot") ?? []) if (!el._plot) draw(el);
  }, true);
  new MutationObserver((list) => {
    const charts = list.map((m) => m.target).filter((e) => !e.closest(".plot")).map((e) => e.closest(".chart"));
    for (const chart of new Set(charts)) if (chart?.querySelector(".plot")) follow(chart.querySelector(".plot"));
  }).observe(document.getElementById("main"), { subtree: true, childList: true, attributeFilter: ["data-chart"] });
  // Colours are drawn, not styled: another theme draws anew.
  const anew = () => { tokens = {}; all().forEach(draw); };
  new MutationObserver(anew).observe(root, { attributeFilter: ["data-theme"] });
  for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", anew);
})();
