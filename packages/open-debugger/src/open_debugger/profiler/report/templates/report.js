"use strict";
(() => {
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const PRINTED = 680; // px, A4 and Letter less their margins
  const touch = matchMedia("(pointer: coarse)").matches;
  const plots = []; // {gd, data, layout, hidden, timeline}
  let report, range;
  root.classList.add("js");

  // ------------------------------------------------------------------------------------- colours

  /** A colour of the style sheet, by its variable's name; "--s1/0.2" is a translucent one. */
  function color(name) {
    const [variable, alpha] = name.split("/");
    const hex = getComputedStyle(root).getPropertyValue(variable).trim();
    if (alpha === undefined) return hex;
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
    return `rgba(${r},${g},${b},${alpha})`;
  }

  /** The same object with its colours looked up; arrays of numbers are kept as they are. */
  function themed(value) {
    if (typeof value === "string") return value.startsWith("--") ? color(value) : value;
    if (Array.isArray(value)) return typeof value[0] === "object" && value[0] !== null && !Array.isArray(value[0]) ? value.map(themed) : value;
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, themed(each)]));
  }

  // ------------------------------------------------------------------------------------- layouts

  function clock(seconds) {
    return new Date(1000 * (report.start + seconds)).toISOString().replace("T", " ").replace(/\d\dZ$/, " UTC").replace(/(\.\d) /, "$1 ");
  }

  const axis = () => ({
    gridcolor: "--grid", zerolinecolor: "--rule", linecolor: "--rule", tickcolor: "--rule",
    tickfont: { size: 11, color: "--soft" }, exponentformat: "none", fixedrange: true,
  });

  function layout(more) {
    return {
      autosize: true, margin: { l: 66, r: 14, t: 8, b: 26 }, showlegend: false,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "--card", hovermode: "x unified",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: "--ink" },
      hoverlabel: { bgcolor: "--card", bordercolor: "--rule", font: { size: 12, color: "--ink" }, namelength: 40 },
      ...more,
    };
  }

  function timeAxis() {
    return {
      ...axis(), range: [...range], ticksuffix: " s", fixedrange: false, hoverformat: ",.2f",
      unifiedhovertitle: { text: "<b>%{x:,.2f} s</b>" },
      showspikes: true, spikemode: "across", spikethickness: 1, spikedash: "solid", spikecolor: "--soft", spikesnap: "hovered data",
    };
  }

  function timeline(panel) {
    const shapes = panel.kind === "heat" ? [] : report.shades.map((each) => ({
      type: "rect", layer: "below", yref: "paper", y0: 0, y1: 1, line: { width: 0 },
      x0: each.start, x1: each.start + each.seconds, fillcolor: `--${each.name}/0.13`,
    }));
    const yaxis = { ...axis(), ticksuffix: panel.unit && ` ${panel.unit}`, showticksuffix: "last", rangemode: "tozero", nticks: 5 };
    if (panel.top) Object.assign(yaxis, { range: [-2, panel.top + 4], tickvals: [0, 50, 100], ticktext: ["0", "50", `100 ${panel.unit}`] });
    return layout({ dragmode: touch ? false : "zoom", shapes, xaxis: timeAxis(), yaxis });
  }

  // -------------------------------------------------------------------------------------- traces

  /** The band between the lowest and the highest samples, as closed polygons, one a stretch. */
  function band(series) {
    const x = [], y = [];
    let first = 0;
    series.x.forEach((_, i) => {
      const end = i === series.x.length - 1, gap = series.y[i] === null;
      if (!gap && !end) return;
      const last = gap ? i : i + 1, stretch = [...Array(last - first).keys()].map((k) => k + first);
      for (const k of stretch) { x.push(series.x[k]); y.push(series.high[k]); }
      for (const k of stretch.reverse()) { x.push(series.x[k]); y.push(series.low[k]); }
      x.push(null); y.push(null);
      first = i + 1;
    });
    return {
      x, y, type: "scatter", mode: "lines", fill: "toself", fillcolor: `${series.color}/0.22`,
      line: { width: 0 }, hoverinfo: "skip", meta: { series: series.name, role: "band" },
    };
  }

  function lines(panel) {
    const longest = panel.series.reduce((a, b) => (b.x.length > a.x.length ? b : a));
    const traces = panel.series.filter((each) => each.low).map(band);
    for (const each of panel.series) {
      const many = Boolean(each.low), unit = panel.unit, when = each.symbol ? ", %{text}" : "";
      const trace = {
        name: each.name, x: each.x, y: each.y, type: "scatter", connectgaps: false,
        mode: each.symbol && !many ? "markers" : "lines", line: { color: each.color, width: each.width, dash: each.dash },
        hovertemplate: many ? `%{y:,.4~r} ${unit} (%{customdata[0]:,.4~r} to %{customdata[1]:,.4~r})${when}` : `%{y:,.4~r} ${unit}${when}`,
        meta: { series: each.name, role: "value", unit },
      };
      if (each.symbol) trace.text = each.x.map(clock); // steps begin each at its own moment
      if (each.symbol) trace.marker = { symbol: each.symbol, size: each.symbol === "x" ? 8 : 5, color: each.color };
      if (each.x.length <= 60 && !each.symbol) Object.assign(trace, { mode: "lines+markers", marker: { size: 5, color: each.color } });
      if (many) trace.customdata = each.low.map((low, i) => [low, each.high[i]]);
      traces.push(trace);
    }
    if (!panel.series[0].symbol) traces.push({
      name: "", x: longest.x, y: longest.x.map(() => 0), text: longest.x.map(clock), type: "scatter", mode: "lines",
      opacity: 0, line: { width: 0, color: "--soft" }, hovertemplate: "%{text}<extra></extra>", meta: { role: "clock" },
    });
    return traces;
  }

  function heat(panel) {
    const { names, edges, mean, high } = panel.heat;
    const middles = edges.slice(1).map((edge, i) => (edge + edges[i]) / 2);
    return [{
      type: "heatmap", x: edges, y: names, z: mean, customdata: high.map((row) => row.map((top, i) => [top, clock(middles[i])])),
      zmin: 0, zmax: 100, showscale: false, hoverongaps: false, meta: { role: "heat", unit: panel.unit },
      colorscale: [[0, "#fff7d6"], [0.25, "#f3c67a"], [0.5, "#d9763f"], [0.75, "#8f2f4b"], [1, "#2d0f41"]],
      hovertemplate: "%{y}: %{z:.1f}% (highest %{customdata[0]:.1f}%)<br>%{x:,.1f} s · %{customdata[1]}<extra></extra>",
    }];
  }

  function lanes(panel) {
    return panel.series.map((each) => ({
      name: each.name, type: "bar", orientation: "h", base: each.start, x: each.seconds, y: each.start.map(() => each.lane),
      width: 0.72, marker: { color: each.color, line: { width: 0 } }, textposition: "none", meta: { series: each.name, role: "lane" },
      customdata: each.start.map((start, i) => [start, clock(start), each.text[i]]),
      hovertemplate: "%{customdata[2]}<br>%{x:,.2f} s from %{customdata[0]:,.2f} s<br>%{customdata[1]}<extra></extra>",
    }));
  }

  function histogram(found) {
    const log = found.logarithmic, position = (v) => (log ? Math.log10(v) : v);
    const bars = found.counts.map((count, i) => ({ count, from: found.edges[i], to: found.edges[i + 1] }));
    const trace = (name, own, fill, shape) => ({
      name, type: "bar", y: own.map((b) => b.count), meta: { series: name, role: "bars" },
      x: own.map((b) => (log ? Math.sqrt(b.from * b.to) : (b.from + b.to) / 2)),
      width: own.map((b) => position(b.to) - position(b.from)),
      customdata: own.map((b) => [b.from, b.to]),
      marker: { color: fill, line: { width: 1, color: "--card" }, pattern: { shape, fgcolor: "--card", size: 5 } },
      hovertemplate: "%{customdata[0]:.3~r} to %{customdata[1]:.3~r} s: %{y:,} steps<extra></extra>",
    });
    const traces = [
      trace("steps", bars.filter((b) => b.from < found.limit), "--s1", ""),
      trace("outliers", bars.filter((b) => b.from >= found.limit), "--s2", "/"),
    ];
    if (found.outliers.length) {
      traces.push({
        name: "each outlier", type: "scatter", mode: "markers", x: found.outliers, y: found.outliers.map(() => 0), cliponaxis: false,
        marker: { symbol: "x", size: 8, color: "--s2", line: { width: 1, color: "--card" } },
        hovertemplate: "outlier: %{x:.3~r} s<extra></extra>", meta: { series: "each outlier", role: "outliers" },
      });
    }
    return traces;
  }

  function histogramLayout(found) {
    const marks = [["median", found.median, "solid"], ["p95", found.p95, "dash"], [`mean + ${found.stddev} σ`, found.limit, "dot"]];
    const top = found.edges[found.edges.length - 1];
    const kept = marks.filter(([, value]) => value <= top);
    const shown = (value) => (found.logarithmic ? Math.log10(value) : value);
    return layout({
      hovermode: "closest", dragmode: false, bargap: 0, barmode: "overlay", margin: { l: 66, r: 14, t: 62, b: 44 },
      xaxis: { ...axis(), type: found.logarithmic ? "log" : "linear", ticksuffix: " s", title: { text: "time of a training step", font: { size: 12, color: "--soft" } } },
      yaxis: { ...axis(), rangemode: "tozero", ticksuffix: " steps", showticksuffix: "last", nticks: 5 },
      shapes: kept.map(([, value, dash], i) => ({ type: "line", x0: value, x1: value, yref: "paper", y0: 0, y1: 1.04 + 0.1 * i, line: { color: "--ink", width: 1.5, dash } })),
      annotations: kept.map(([name, value], i) => ({
        x: shown(value), y: 1.03 + 0.1 * i, yref: "paper", yanchor: "bottom", showarrow: false, font: { size: 11, color: "--ink" },
        xanchor: value > (found.logarithmic ? Math.sqrt(found.edges[0] * top) : (found.edges[0] + top) / 2) ? "right" : "left", xshift: 0, text: ` ${name} ${short(value)} `,
      })),
    });
  }

  function short(seconds) {
    return seconds < 1 ? `${Number((1000 * seconds).toPrecision(3))} ms` : `${Number(seconds.toPrecision(3))} s`;
  }

  // ------------------------------------------------------------------------------------- drawing

  const printing = () => root.dataset.print !== undefined;

  function draw(plot) {
    const width = printing() ? PRINTED : plot.gd.clientWidth;
    const data = plot.data.map((trace) => ({ ...themed(trace), visible: !plot.hidden.has(trace.meta.series) }));
    const shown = { ...themed(plot.layout), width, height: plot.gd.clientHeight };
    if (plot.timeline) shown.xaxis.range = [...range];
    return Plotly.react(plot.gd, data, shown, { displayModeBar: false, doubleClick: false, scrollZoom: false, showTips: false });
  }

  const drawAll = () => plots.forEach(draw);

  function add(id, data, made, timeline) {
    const gd = byId(`plot-${id}`);
    const plot = { gd, data, layout: made, hidden: new Set(), timeline };
    plots.push(plot);
    draw(plot);
    chips(plot);
    if (!timeline) return;
    gd.on("plotly_relayout", () => { const [a, b] = gd.layout.xaxis.range; if (a !== range[0] || b !== range[1]) zoom(a, b); });
    gd.on("plotly_doubleclick", () => zoom(0, report.end));
    gd.on("plotly_hover", (event) => point(plot, event));
    gd.on("plotly_unhover", () => others(plot, (gd) => Plotly.Fx.unhover(gd)));
  }

  const others = (plot, act) => plots.filter((each) => each.timeline && each !== plot && each.data[0].type === "scatter").forEach((each) => act(each.gd));

  /** The same moment in all timelines. */
  function point(plot, event) {
    const x = event.xvals && plot.data[0].type === "scatter" ? event.xvals[0] : undefined;
    if (x !== undefined) others(plot, (gd) => Plotly.Fx.hover(gd, { xval: x }, "xy", true));
  }

  function zoom(from, to) {
    const least = Math.min(report.end, 0.02), width = Math.max(least, Math.min(report.end, to - from));
    const start = Math.max(0, Math.min(from, report.end - width));
    range = [start, start + width];
    plots.filter((each) => each.timeline).forEach((each) => Plotly.relayout(each.gd, { "xaxis.range": [...range] }));
    const digits = width < 20 ? 2 : 0;
    byId("range").textContent = `${start.toFixed(digits)} to ${(start + width).toFixed(digits)} s`;
  }

  const ZOOMS = {
    in: (a, b, w) => [a + w / 4, b - w / 4],
    out: (a, b, w) => [a - w / 2, b + w / 2],
    back: (a, b, w) => [a - w / 2, b - w / 2],
    on: (a, b, w) => [a + w / 2, b + w / 2],
    all: () => [0, report.end],
  };

  function chips(plot) {
    const place = plot.gd.closest("figure").querySelector(".chips");
    for (const trace of plot.data.filter((each) => each.name && each.type !== "heatmap")) {
      const button = document.createElement("button"), paint = (trace.marker || trace.line).color;
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      button.append(key(trace, paint), trace.name);
      button.addEventListener("click", () => {
        const name = trace.meta.series, hide = !plot.hidden.has(name);
        if (hide) plot.hidden.add(name); else plot.hidden.delete(name);
        button.setAttribute("aria-pressed", String(!hide));
        draw(plot);
      });
      place.append(button);
    }
  }

  function key(trace, paint) {
    const dash = { dot: "2 3", dash: "6 3" }[trace.line && trace.line.dash] || "";
    const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    made.setAttribute("viewBox", "0 0 20 10");
    made.setAttribute("aria-hidden", "true");
    const marks = trace.type === "bar" ? '<rect y="1" width="20" height="8" rx="2"/>'
      : trace.mode === "markers" ? { circle: '<circle cx="10" cy="5" r="4"/>', diamond: '<path d="M10 0l5 5-5 5-5-5z"/>', square: '<path d="M6 1h8v8H6z"/>', x: '<path d="M6 1l8 8M14 1l-8 8" stroke-width="3"/>' }[trace.marker.symbol] || '<circle cx="10" cy="5" r="4"/>'
      : `<path d="M0 5h20" stroke-width="${1 + trace.line.width}" stroke-dasharray="${dash}"/>`;
    made.innerHTML = marks;
    made.style.cssText = `stroke:var(${paint});fill:var(${paint})`;
    return made;
  }

  // ----------------------------------------------------------------------------------------- CSV

  const cell = (value) => {
    const text = value === null || value === undefined ? "" : typeof value === "string" ? value.replace(/^[=+@-]/, "'$&") : String(value);
    return /[",\n']/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  const csv = (rows) => rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";

  function timelineRows() {
    const rows = [["chart", "series", "unit", "seconds", "utc", "value", "min", "max"]];
    for (const { gd } of plots.filter((each) => each.timeline)) {
      const name = gd.closest("figure").querySelector("h3").firstChild.textContent.trim();
      for (const trace of gd.data) rows.push(...traceRows(trace).map((row) => [name, ...row]));
    }
    return rows;
  }

  function traceRows(trace) {
    const { role, series, unit } = trace.meta;
    if (role === "value") return [...trace.x].flatMap((x, i) => (trace.y[i] === null ? [] : [[series, unit, x, clock(x), trace.y[i], ...(trace.customdata ? trace.customdata[i] : ["", ""])]]));
    if (role === "lane") return trace.base.map((start, i) => [series, "s", start, clock(start), trace.x[i], "", ""]);
    if (role !== "heat") return [];
    return trace.z.flatMap((row, core) => row.flatMap((mean, i) => (mean === null ? [] : [[trace.y[core], unit, trace.x[i], clock(trace.x[i]), mean, "", trace.customdata[core][i][0]]])));
  }

  function histogramRows() {
    const { counts, edges } = report.histogram;
    return [["from_seconds", "to_seconds", "steps"], ...counts.map((count, i) => [edges[i], edges[i + 1], count])];
  }

  function tableRows(table) {
    return all("tr", table).map((row) => [...row.cells].map((each) => each.dataset.value || each.textContent.trim().replace(/^(-?[\d,]+)$/, (n) => n.replaceAll(",", ""))));
  }

  function download(name) {
    const tables = { timelines: timelineRows, histogram: histogramRows };
    const rows = tables[name] ? tables[name]() : tableRows(document.querySelector(`table[data-name="${name}"]`));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv(rows)], { type: "text/csv" }));
    link.download = `${name}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // -------------------------------------------------------------------------------------- tables

  const rank = (element) => {
    const text = (element.dataset.value || element.textContent).trim(), value = Number(text.replaceAll(",", ""));
    return text === "" || Number.isNaN(value) ? text : value;
  };

  function sortable(table) {
    all("thead th", table).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : head.classList.contains("n");
        all("thead th", table).forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows].sort((one, two) => compare(rank(one.cells[column]), rank(two.cells[column])));
        table.tBodies[0].append(...(falling ? rows.reverse() : rows));
      });
    });
  }

  function compare(one, two) {
    if (typeof one === typeof two) return one < two ? -1 : one > two ? 1 : 0;
    return typeof one === "number" ? 1 : -1; // what is no number is least
  }

  // --------------------------------------------------------------------------------------- start

  async function unpacked(id) {
    const bytes = Uint8Array.from(atob(byId(id).textContent.trim()), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  async function start() {
    if (typeof DecompressionStream === "undefined") throw new Error("this browser is older than 2023");
    report = JSON.parse(await unpacked("packed-data"));
    if (!report.panels.length) return;
    const script = document.createElement("script");
    script.textContent = await unpacked("packed-plotly");
    document.head.append(script);
    range = [0, report.end];
    for (const panel of report.panels) {
      const made = timeline(panel);
      if (panel.kind === "lanes") Object.assign(made, { hovermode: "closest", barmode: "overlay", yaxis: { ...axis(), type: "category", autorange: "reversed", categoryorder: "array", categoryarray: panel.series.map((each) => each.lane) } });
      if (panel.kind === "heat") Object.assign(made, { hovermode: "closest", yaxis: { ...axis(), type: "category", autorange: "reversed" } });
      add(panel.id, { lines, heat, lanes }[panel.kind](panel), made, true);
    }
    if (report.histogram) add("histogram", histogram(report.histogram), histogramLayout(report.histogram), false);
    watch();
  }

  function watch() {
    all("[data-zoom]").forEach((button) => button.addEventListener("click", () => zoom(...ZOOMS[button.dataset.zoom](...range, range[1] - range[0]))));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    let waiting;
    addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(drawAll, 100); });
    const paper = (on) => { if (on === printing()) return; if (on) root.dataset.print = ""; else delete root.dataset.print; drawAll(); };
    addEventListener("beforeprint", () => paper(true));
    addEventListener("afterprint", () => paper(false));
    matchMedia("print").addEventListener("change", (event) => paper(event.matches));
  }

  all(".sortable").forEach(sortable);
  all("[data-csv]").forEach((button) => button.addEventListener("click", () => download(button.dataset.csv)));
  // Whatever can be opened is open on paper.
  const closed = () => all("details:not([open])");
  let opened = [];
  addEventListener("beforeprint", () => { opened = closed().filter((each) => !each.classList.contains("more")); opened.forEach((each) => { each.open = true; }); });
  addEventListener("afterprint", () => opened.forEach((each) => { each.open = false; }));
  start().then(() => { root.dataset.ready = ""; }, (error) => {
    const said = byId("no-charts");
    if (!said) return;
    said.classList.remove("hidden");
    said.querySelector("span").textContent = error.message;
    root.classList.remove("js");
    root.dataset.ready = "failed";
  });
})();
