/* What lives on the pages of an account: figures and charts. The pages work without it. */
"use strict";
(() => {
  const EVERY = 10000, AGAIN = 300000, BURST = 2000;
  const KINDS = ["killed", "slowed", "refused", "throttled", "waited", "disk", "changed"];
  const SHORT = ["", "K", "M", "G", "T"];
  const charts = new Map(); // metric -> plot, its data and its place

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /* As units.py, short_size: 512M, 1.5G. */
  function size(value) {
    let unit = 0;
    while (value >= 999.5 && unit < SHORT.length - 1) {
      value /= 1024;
      unit += 1;
    }
    return (value > 0 && value < 9.95 && unit ? value.toFixed(1) : value.toFixed(0)) + SHORT[unit];
  }

  function said(unit, value) {
    if (value === null || value === undefined) return "-";
    if (unit.startsWith("bytes")) return size(value);
    return String(Number(value.toPrecision(3))) + (unit === "%" ? " %" : "");
  }

  /* A limit that is far above all values would press them flat: it stands in the caption alone. */
  function columns(metric) {
    const labels = Object.keys(metric.values), number = metric.values[labels[0]].length;
    const begin = Date.parse(metric.begin) / 1000;
    const times = Array.from({ length: number }, (_, step) => begin + (step + 0.5) * metric.step_seconds);
    const highest = Math.max(0, ...labels.flatMap((label) => metric.values[label].map((value) => value ?? 0)));
    const limits = labels.filter((label) => metric.limits[label] <= highest * 4);
    const drawn = limits.map((label) => times.map(() => metric.limits[label]));
    return { labels, limits, data: [times, ...labels.map((label) => metric.values[label]), ...drawn] };
  }

  function options(metric, labels, limits, width) {
    const axis = {
      stroke: colour("--dim"), font: "12px system-ui, sans-serif",
      grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
    };
    const value = (_, number) => said(metric.unit, number), points = { show: false };
    const curves = labels.map((label, number) => {
      const ink = colour("--curve" + (number % 3));
      return { label, value, points, stroke: ink, fill: ink + "1f", width: 1.6 };
    });
    const lines = limits.map((label) => ({
      label: labels.length > 1 ? "limit of " + label : "limit",
      value, points, stroke: colour("--limit"), width: 1.2, dash: [6, 4],
    }));
    const marks = (_, values) => values.map((each) => said(metric.unit, each));
    return {
      width, height: 220, cursor: { y: false },
      scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.05 : 1] } },
      axes: [{ ...axis }, { ...axis, size: 56, values: marks }],
      series: [{ label: "time", value: "{YYYY}-{MM}-{DD} {HH}:{mm}" }, ...curves, ...lines],
    };
  }

  function draw(figure, metric) {
    const place = figure.querySelector(".plot"), { labels, limits, data } = columns(metric);
    charts.get(figure.dataset.metric)?.plot.destroy();
    const plot = new uPlot(options(metric, labels, limits, place.clientWidth), data, place);
    charts.set(figure.dataset.metric, { plot, data, place });
  }

  async function load() {
    const group = document.querySelector("[data-history]");
    if (!group) return;
    const answer = await fetch(group.dataset.history, { headers: { accept: "application/json" } });
    if (!answer.ok) return;
    const told = await answer.json();
    group.querySelectorAll("figure").forEach((figure) => draw(figure, told.metrics[figure.dataset.metric]));
  }

  /* The figures of now are the newest points of the charts of a day. */
  function append() {
    const now = document.querySelector("[data-live]");
    if (document.querySelector("[data-history]")?.dataset.period !== "day" || !now) return;
    for (const [metric, value] of [["cpu", now.dataset.cpu], ["memory", now.dataset.memory]]) {
      const chart = charts.get(metric);
      if (!chart || value === undefined) continue;
      chart.data.forEach((column, number) => {
        if (number === 0) column.push(Date.now() / 1000);
        else if (number === 1) column.push(Number(value));
        else column.push(chart.plot.series[number].dash ? column[column.length - 1] : null);
      });
      chart.plot.setData(chart.data);
    }
  }

  let asked = 0;
  function refresh() {
    if (document.hidden || Date.now() - asked < BURST) return;
    asked = Date.now();
    document.body.dispatchEvent(new Event("refresh"));
  }

  /* Only while somebody looks: each stream is a connection. */
  let source = null;
  function follow() {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (!source && document.querySelector("[data-live]")) {
      source = new EventSource("/v1/events");
      KINDS.forEach((kind) => source.addEventListener(kind, refresh));
      refresh();
    }
  }

  document.body.addEventListener("htmx:afterSwap", append);
  document.addEventListener("visibilitychange", follow);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", load);
  addEventListener("resize", () => {
    charts.forEach(({ plot, place }) => plot.setSize({ width: place.clientWidth, height: 220 }));
  });
  setInterval(refresh, EVERY);
  setInterval(() => document.hidden || load(), AGAIN);
  load();
  follow();
})();
