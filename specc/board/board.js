"use strict";
(() => {
  const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7a7a7a"];
  const MOST = 300;
  const runs = new Map(), chosen = new Map(), curves = new Map();
  const find = (id) => document.getElementById(id);
  const html = (kind, text, name) => {
    const made = document.createElement(kind);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  };
  const svg = (kind, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const written = (value) => {
    if (value === null || value === undefined) return "";
    const size = Math.abs(value);
    return size && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  };
  const duration = (seconds) => {
    if (seconds < 120) return `${Number(seconds.toPrecision(3))} s`;
    const minutes = Math.round(seconds / 60);
    return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  };
  const parts = (name) => { const [model, number] = name.split("/"); return [model, Number(number)]; };
  const newest = (a, b) => {
    const [x, y] = [parts(a.name), parts(b.name)];
    return (b.status === "running") - (a.status === "running") || x[0].localeCompare(y[0]) || y[1] - x[1];
  };
  const changes = (run) => Object.entries(run.overrides).map(([key, value]) => `${key}=${value}`).join(" ");

  const spark = (values) => {
    const known = values.filter((each) => each !== null);
    const drawn = svg("svg", { class: "spark", viewBox: "0 0 96 22", "aria-hidden": "true" });
    if (known.length < 2) return drawn;
    const low = Math.min(...known), high = Math.max(...known);
    const points = values.map((value, k) => (value === null ? null
      : `${((k / (values.length - 1)) * 94 + 1).toFixed(1)},${(20 - ((value - low) / (high - low || 1)) * 18).toFixed(1)}`));
    drawn.append(svg("polyline", { points: points.filter(Boolean).join(" ") }));
    return drawn;
  };

  const row = (run) => {
    const made = html("tr");
    made.dataset.name = run.name;
    const box = html("input");
    box.type = "checkbox";
    box.checked = chosen.has(run.name);
    box.setAttribute("aria-label", `show ${run.name}`);
    box.addEventListener("change", () => choose(run.name, box.checked));
    const show = html("td"), name = html("td", undefined, "left");
    show.append(box);
    const swatch = html("span", undefined, "swatch");
    if (chosen.has(run.name)) swatch.style.background = COLOURS[chosen.get(run.name)];
    name.append(swatch, html("span", run.name, run.status === "running" ? "live" : ""));
    if (run.problem) {
      const problem = html("td", run.problem, "left problem");
      problem.colSpan = 7;
      made.append(show, name, problem);
      return made;
    }
    const loss = html("td"), figures = Object.entries(run.figures).filter(([key]) => key !== "loss").slice(0, 3);
    loss.append(spark(run.spark));
    const told = [["loss", run.figures.loss], ...figures].filter(([, value]) => value !== null && value !== undefined);
    const changed = html("td", changes(run), "left changes");
    changed.title = changes(run);
    const report = html("td", undefined, "left");
    if (run.report) {
      const link = html("a", "open");
      link.href = `report?run=${encodeURIComponent(run.name)}`;
      link.setAttribute("aria-label", `open the report of ${run.name}`);
      report.append(link);
    }
    const values = html("td", undefined, "left values");
    values.append(...told.flatMap(([key, value]) => [html("span", `${key} ${written(value)}`), " "]));
    made.append(show, name, report, loss, html("td", `${run.epochs} / ${run.of_epochs}`),
      html("td", String(run.best_epoch || "")), values, html("td", duration(run.seconds)), changed);
    made.className = chosen.has(run.name) ? "chosen" : "";
    return made;
  };

  const listed = () => {
    const words = find("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    return [...runs.values()].sort(newest).filter((run) => {
      const text = `${run.name} ${run.status} ${changes(run)}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
  };
  const list = () => {
    const found = listed();
    find("runs").replaceChildren(...found.slice(0, MOST).map(row));
    find("more").textContent = found.length > MOST ? `and ${found.length - MOST} more: the filter finds them` : "";
  };

  const choose = (name, isChosen) => {
    if (isChosen) {
      const taken = new Set(chosen.values());
      const free = COLOURS.findIndex((_, k) => !taken.has(k));
      if (free >= 0) chosen.set(name, free);
      fetchCurves(name);
    } else {
      chosen.delete(name);
    }
    list();
    draw();
    differ();
  };
  const fetchCurves = async (name) => {
    const answer = await fetch(`curves?run=${encodeURIComponent(name)}`);
    if (answer.ok) { curves.set(name, await answer.json()); draw(); }
  };

  const chart = (figure) => {
    const isLog = find("log").checked, wide = 360, high = 200, left = 52, top = 8;
    const lines = [];
    for (const [name, colour] of chosen) {
      const own = curves.get(name);
      if (!own) continue;
      for (const part of ["train", "val"]) {
        const y = own[`${part}_${figure}`];
        if (y && y.some((each) => each !== null)) lines.push({ name, part, colour, x: own.epoch, y });
      }
    }
    const usable = (value) => value !== null && (!isLog || value > 0);
    const values = lines.flatMap((line) => line.y.filter(usable)), ends = lines.flatMap((line) => line.x);
    if (!values.length) return null;
    const scale = isLog ? Math.log10 : (value) => value;
    let low = scale(Math.min(...values)), up = scale(Math.max(...values));
    if (low === up) { low -= 0.5; up += 0.5; }
    const first = Math.min(...ends), last = Math.max(...ends, first + 1);
    const x = (value) => left + ((value - first) / (last - first)) * (wide - left - 8);
    const y = (value) => top + ((up - scale(value)) / (up - low)) * (high - top - 26);
    const best = lines.filter((line) => line.part === "val").map((line) => `${line.name} ${written(line.y[line.y.length - 1])}`);
    const drawn = svg("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": `${figure} by epoch. ${best.join("; ")}` });
    for (const value of ticks(low, up, 5)) {
      const at = y(isLog ? 10 ** value : value);
      drawn.append(svg("line", { class: "grid", x1: left, x2: wide - 8, y1: at, y2: at }));
      const text = svg("text", { x: left - 6, y: at + 4, "text-anchor": "end" });
      text.textContent = written(isLog ? 10 ** value : value);
      drawn.append(text);
    }
    for (const value of [first, Math.round((first + last) / 2), last]) {
      const text = svg("text", { x: x(value), y: high - 8, "text-anchor": value === last ? "end" : "middle" });
      text.textContent = String(value);
      drawn.append(text);
    }
    for (const line of lines) {
      const points = line.y.map((value, k) => (usable(value) ? `${x(line.x[k]).toFixed(1)},${y(value).toFixed(1)}` : null));
      const made = svg("polyline", { points: points.filter(Boolean).join(" "), stroke: COLOURS[line.colour],
        class: line.part === "train" ? "training" : "" });
      const title = svg("title", {});
      title.textContent = `${line.name}, ${line.part === "train" ? "training" : "validation"} ${figure}`;
      made.append(title);
      drawn.append(made);
    }
    const made = html("div");
    made.append(html("h3", figure), drawn);
    return made;
  };
  const draw = () => {
    const names = new Set();
    for (const name of chosen.keys()) {
      for (const column of Object.keys(curves.get(name) ?? {})) {
        if (column.startsWith("train_")) names.add(column.slice(6));
      }
    }
    find("charts").replaceChildren(...[...names].map(chart).filter(Boolean));
  };

  const table = (title, rows, names) => {
    const made = html("table"), head = html("tr");
    for (const each of [title, ...names]) head.append(html("th", each, "left"));
    made.append(head);
    for (const each of rows) {
      const line = html("tr");
      for (const cell of each) line.append(html("td", cell ?? "", "left"));
      made.append(line);
    }
    return made;
  };
  const differ = async () => {
    const names = [...chosen.keys()], place = find("compare");
    if (names.length !== 2) {
      place.replaceChildren(html("p", "Choose two runs to see what differs between them.", "quiet"));
      return;
    }
    const answer = await fetch(`compare?a=${encodeURIComponent(names[0])}&b=${encodeURIComponent(names[1])}`);
    if (!answer.ok || [...chosen.keys()].join() !== names.join()) return;
    const found = await answer.json();
    if (found.problem) { place.replaceChildren(html("p", found.problem)); return; }
    const made = [];
    if (found.settings.length) made.push(table("setting", found.settings, names));
    if (found.layers.length) made.push(table("layer", found.layers, names));
    made.push(html("p", `Parameters: ${found.parameters.map((each) => each.toLocaleString("en")).join(" and ")}.`));
    if (!found.settings.length && !found.layers.length) made.unshift(html("p", "The files and settings are the same."));
    const scroll = html("div", undefined, "scroll");
    scroll.append(...made);
    place.replaceChildren(scroll);
  };

  let waiting = null;
  const refresh = () => { waiting = null; list(); };
  const events = new EventSource("events");
  events.addEventListener("message", (event) => {
    const { runs: changed, gone } = JSON.parse(event.data), isFirst = !runs.size;
    for (const name of gone) { runs.delete(name); chosen.delete(name); curves.delete(name); }
    for (const run of changed) {
      runs.set(run.name, run);
      if (chosen.has(run.name)) fetchCurves(run.name);
    }
    const live = [...runs.values()].filter((run) => run.status === "running").length;
    find("state").textContent = `${runs.size} runs, ${live} training`;
    if (isFirst && runs.size) choose(listed()[0].name, true);
    waiting ??= requestAnimationFrame(refresh);
  });
  events.addEventListener("error", () => { find("state").textContent = "the board has ended, or is out of reach; trying again"; });
  find("filter").addEventListener("input", list);
  find("log").addEventListener("change", draw);
})();
