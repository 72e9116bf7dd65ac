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

  const marks = (list) => ({
    hooks: {
      draw: [(u) => {
        const { ctx, bbox } = u;
        ctx.save();
        for (const m of list) {
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
    },
  });

  const draw = (el) => {
    const data = JSON.parse(el.dataset.chart);
    const write = formats[data.format] ?? formats.count;
    const ink = token("muted-foreground"), rule = token("border");
    const axis = { stroke: ink, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1 }, font: "12px system-ui, sans-serif" };
    el._plot?.destroy();
    el.replaceChildren();
    el._plot = new uPlot({
      width: el.clientWidth, height: 200,
      tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), data.zone),
      fmtDate: (t) => uPlot.fmtDate(t.replace("{h}:{mm}{aa}", "{HH}:{mm}").replace("{h}{aa}", "{HH}:{mm}").replace(/\{M\}\/\{D\}(\/\{YY\})?/, "{D} {MMM}")),
      cursor: { sync: { key: "page" }, drag: { x: false, y: false } },
      scales: { y: { range: (u, min, max) => [0, max > 0 ? max * 1.08 : 1] } },
      axes: [axis, { ...axis, size: 64, values: (u, list) => list.map(write) }],
      series: [
        { value: (u, t) => (t == null ? "–" : uPlot.tzDate(new Date(t * 1000), data.zone).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" })) },
        ...data.lines.map((l, i) => ({
          label: l.label, stroke: token(tones[i % tones.length]), width: 1.5, dash: dashes[(i + Math.floor(i / tones.length)) % dashes.length],
          points: { show: false }, value: (u, v) => (v == null ? "–" : write(v)),
        })),
      ],
      plugins: [marks(data.marks ?? [])],
    }, [data.times, ...data.lines.map((l) => l.values)], el);
  };

  const all = () => [...document.querySelectorAll("[data-chart]")];
  all().forEach(draw);
  for (const el of all()) new ResizeObserver(() => el._plot?.setSize({ width: el.clientWidth, height: 200 })).observe(el);
  // Colours are drawn, not styled: another theme draws anew.
  new MutationObserver(() => all().forEach(draw)).observe(root, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => all().forEach(draw));
})();
