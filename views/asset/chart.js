// Range charts: every element with data-chart becomes a uPlot. All charts of a page share their
// pointer, so that one moment is read in all of them.
(() => {
  const root = document.documentElement;
  const token = (name) => {
    // What light-dark() comes to is known to a real property only.
    const probe = document.createElement("span");
    probe.hidden = true;
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const color = getComputedStyle(probe).color;
    probe.remove();
    return color;
  };
  const si = (v, units, base) => {
    let i = 0;
    while (Math.abs(v) >= base && i < units.length - 1) { v /= base; i++; }
    return `${+v.toPrecision(3)}${units[i]}`;
  };
  const formats = {
    count: (v) => si(v, ["", " k", " M", " G"], 1000),
    bytes: (v) => si(v, [" B", " KiB", " MiB", " GiB", " TiB"], 1024),
    seconds: (v) => (v === 0 ? "0" : v < 1 ? `${+(v * 1000).toPrecision(3)} ms` : `${+v.toPrecision(3)} s`),
  };
  // Lines differ by dashes too, for those who do not tell the colours apart.
  const dashes = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 5]];
  const tones = ["primary", "planned", "warning", "ok", "critical"];

  // Marks stand behind the lines; what the pointer is at is said in words below them.
  const marks = (el, says) => ({
    hooks: {
      draw: [(u) => {
        const { ctx, bbox } = u;
        ctx.save();
        for (const m of el._data.marks ?? []) {
          const x = u.valToPos(m.at, "x", true);
          const end = m.until ? u.valToPos(m.until, "x", true) : x;
          if (end < bbox.left || x > bbox.left + bbox.width) continue;
          ctx.fillStyle = ctx.strokeStyle = token(m.state);
          if (m.until) {
            ctx.globalAlpha = 0.12;
            const from = Math.max(x, bbox.left);
            ctx.fillRect(from, bbox.top, Math.max(1, Math.min(end, bbox.left + bbox.width) - from), bbox.height);
          }
          ctx.globalAlpha = 0.9;
          ctx.setLineDash(m.state === "planned" ? [6, 4] : []);
          if (x < bbox.left) continue;
          ctx.beginPath();
          ctx.moveTo(x, bbox.top);
          ctx.lineTo(x, bbox.top + bbox.height);
          ctx.stroke();
        }
        ctx.restore();
      }],
      setCursor: [(u) => {
        const at = u.cursor.left;
        const near = at < 0 ? [] : (el._data.marks ?? []).filter((m) => {
          const x = u.valToPos(m.at, "x");
          return Math.abs(at - x) < 8 || (m.until && at > x && at < u.valToPos(m.until, "x"));
        });
        const text = near.map((m) => `${moment(m.at, el._data.zone)} ${m.label}`).join(" · ");
        if (says.textContent !== text) says.textContent = text;
      }],
    },
  });

  const moment = (t, zone) =>
    uPlot.tzDate(new Date(t * 1000), zone).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const columns = (data) => [data.times, ...data.lines.map((l) => l.values)];
  const labels = (data) => JSON.stringify(data.lines.map((l) => l.label));
  const source = (el) => el.parentElement.querySelector("[data-chart]")?.dataset.chart;

  const draw = (el) => {
    const text = source(el);
    if (!text) return;
    el._text = text;
    const data = el._data = JSON.parse(text);
    const write = formats[data.format] ?? formats.count;
    const ink = token("muted-foreground"), rule = token("border");
    const axis = { stroke: ink, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1 }, font: "12px system-ui, sans-serif" };
    el._plot?.destroy();
    const says = document.createElement("p");
    says.className = "plot-says small sub";
    el.replaceChildren();
    el._plot = new uPlot({
      width: el.clientWidth, height: 200,
      tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), data.zone),
      fmtDate: (t) => uPlot.fmtDate(t.replace("{h}:{mm}{aa}", "{HH}:{mm}").replace("{h}{aa}", "{HH}:{mm}").replace(/\{M\}\/\{D\}(\/\{YY\})?/, "{D} {MMM}")),
      cursor: { sync: { key: "page" }, drag: { x: false, y: false } },
      scales: { y: { range: (u, min, max) => [0, max > 0 ? max * 1.08 : 1] } },
      axes: [axis, { ...axis, size: 64, values: (u, list) => list.map(write) }],
      series: [
        { value: (u, t) => (t == null ? "–" : moment(t, data.zone)) },
        ...data.lines.map((l, i) => ({
          label: l.label, stroke: token(tones[i % tones.length]), width: 1.5, dash: dashes[(i + Math.floor(i / tones.length)) % dashes.length],
          points: { show: false }, value: (u, v) => (v == null ? "–" : write(v)),
        })),
      ],
      plugins: [marks(el, says)],
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
    el._plot.setData(columns(data));
  };

  const all = () => [...document.querySelectorAll(".plot")];
  all().forEach(draw);
  for (const el of all()) new ResizeObserver(() => el._plot?.setSize({ width: el.clientWidth, height: 200 })).observe(el);
  new MutationObserver((list) => {
    const charts = list.map((m) => m.target).filter((e) => !e.closest(".plot")).map((e) => e.closest(".chart"));
    for (const chart of new Set(charts)) if (chart) follow(chart.querySelector(".plot"));
  }).observe(document.getElementById("main"), { subtree: true, childList: true, attributeFilter: ["data-chart"] });
  // Colours are drawn, not styled: another theme draws anew.
  new MutationObserver(() => all().forEach(draw)).observe(root, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => all().forEach(draw));
})();
