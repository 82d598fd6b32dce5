"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const isDark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
  name();

  // A drawing that is wider than the page begins in its middle.
  for (const drawing of document.querySelectorAll("figure > .drawing")) {
    const figure = drawing.parentElement;
    figure.scrollLeft = (figure.scrollWidth - figure.clientWidth) / 2;
  }

  // Hover and zoom. A panel says where it lies in its picture, and the values at its edges.
  const tip = document.getElementById("tip");
  const numbers = (text) => text.split(" ").map(Number);
  const shown = (value) => {
    const size = Math.abs(value);
    if (size && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
    return String(Number(value.toPrecision(4)));
  };
  const element = (kind, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  for (const panel of document.querySelectorAll(".panel[data-x]")) {
    const [left, top, wide, high] = numbers(panel.dataset.box);
    const [xLow, xHigh] = numbers(panel.dataset.x);
    const [yLow, yHigh, yLog] = numbers(panel.dataset.y);
    const marks = panel.querySelector(".marks"), axis = panel.querySelector(".x-axis");
    const firstAxis = axis.innerHTML;
    const lines = [...panel.querySelectorAll("polyline[data-name]")];
    const points = lines.map((line) => line.getAttribute("points").split(" ").map((each) => each.split(",").map(Number)));
    const cross = element("line", { class: "cross", y1: top, y2: top + high, visibility: "hidden" });
    const chosen = element("rect", { class: "chosen", y: top, height: high, visibility: "hidden" });
    const cover = element("rect", { x: left, y: top, width: wide, height: high, fill: "transparent" });
    panel.append(cross, chosen, cover);
    let from = left, to = left + wide, start = null;
    const inside = (event) => {
      const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(panel.getScreenCTM().inverse());
      return Math.min(Math.max(place.x, left), left + wide);
    };
    const unzoomed = (x) => from + ((x - left) / wide) * (to - from);
    const xValue = (x) => xLow + ((x - left) / wide) * (xHigh - xLow);
    const yValue = (y) => {
      const part = (top + high - y) / high;
      return yLog ? 10 ** (Math.log10(yLow) + part * Math.log10(yHigh / yLow)) : yLow + part * (yHigh - yLow);
    };
    const zoom = (a, b) => {
      [from, to] = [a, b];
      const scale = wide / (to - from);
      marks.setAttribute("transform", `translate(${left - from * scale} 0) scale(${scale} 1)`);
      if (from === left && to === left + wide) { axis.innerHTML = firstAxis; return; }
      const all = ticks(xValue(from), xValue(to), 6), whole = all.filter(Number.isInteger);
      axis.replaceChildren(...("whole" in panel.dataset && whole.length ? whole : all).map((value) => {
        const at = left + ((left + ((value - xLow) / (xHigh - xLow)) * wide - from) / (to - from)) * wide;
        const text = element("text", { class: "quiet", x: at, y: top + high + 16, "text-anchor": "middle" });
        text.textContent = shown(value);
        return text;
      }));
    };
    cover.addEventListener("pointermove", (event) => {
      const x = inside(event);
      if (start !== null) {
        chosen.setAttribute("x", Math.min(start, x));
        chosen.setAttribute("width", Math.abs(x - start));
        chosen.setAttribute("visibility", "visible");
      }
      const here = unzoomed(x), rows = [];
      let nearest = null;
      points.forEach((line, k) => {
        const best = line.reduce((a, b) => (Math.abs(b[0] - here) < Math.abs(a[0] - here) ? b : a));
        if (nearest === null || Math.abs(best[0] - here) < Math.abs(nearest - here)) nearest = best[0];
        rows.push(`${lines[k].dataset.name || panel.dataset.title}: ${shown(yValue(best[1]))}`);
      });
      if (nearest === null) return;
      const at = left + ((nearest - from) / (to - from)) * wide;
      cross.setAttribute("x1", at); cross.setAttribute("x2", at);
      cross.setAttribute("visibility", "visible");
      tip.replaceChildren(...[`${panel.dataset.label} ${shown(xValue(nearest))}`, ...rows].map((row) => {
        const made = document.createElement("div");
        made.textContent = row;
        return made;
      }));
      tip.hidden = false;
      const box = tip.getBoundingClientRect();
      tip.style.left = `${Math.min(event.clientX + 14, innerWidth - box.width - 8)}px`;
      tip.style.top = `${Math.min(event.clientY + 14, innerHeight - box.height - 8)}px`;
    });
    cover.addEventListener("pointerleave", () => { tip.hidden = true; cross.setAttribute("visibility", "hidden"); });
    cover.addEventListener("pointerdown", (event) => { start = inside(event); cover.setPointerCapture(event.pointerId); });
    cover.addEventListener("pointerup", (event) => {
      const end = inside(event), first = start;
      start = null;
      chosen.setAttribute("visibility", "hidden");
      if (first !== null && Math.abs(end - first) > 8) zoom(...[unzoomed(first), unzoomed(end)].sort((a, b) => a - b));
    });
    cover.addEventListener("dblclick", () => zoom(left, left + wide));
  }
})();
