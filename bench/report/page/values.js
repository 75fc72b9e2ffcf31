"use strict";
// The value beside the pointer, or of the point that the arrow keys have reached.
const SVG_SPACE = "http://www.w3.org/2000/svg";
const REACH = 48;
const tip = document.createElement("div");
tip.className = "tip screen";
tip.setAttribute("role", "status");
tip.hidden = true;
document.body.append(tip);
const ring = document.createElementNS(SVG_SPACE, "circle");
ring.setAttribute("class", "screen");
ring.setAttribute("r", "6");
ring.setAttribute("style", "fill:none;stroke:var(--ink);stroke-width:1.5;pointer-events:none");

const readable = (value) => {
  const size = Math.abs(value);
  if (value === 0 || (size >= 1e-3 && size < 1e6)) return String(Number(value.toPrecision(4)));
  return value.toExponential(2);
};
const share = (axis, value) => {
  const [low, high] = axis.log ? axis.ends.map(Math.log) : axis.ends;
  return ((axis.log ? Math.log(value) : value) - low) / (high - low);
};
// For each panel the curves with all their points in px of the drawing.
const panelsOf = (svg) => {
  const said = [];
  return JSON.parse(svg.dataset.panels).map((panel) => {
    const [left, top, width, height] = panel.box;
    let x = [];
    const curves = panel.curves.map((curve) => {
      x = curve.x ?? x;
      const y = Array.isArray(curve.y) ? curve.y : said[curve.y];
      said.push(y);
      return y.map((value, k) => ({
        arm: String(curve.arm),
        panel,
        values: [x[k], value],
        at: [left + width * share(panel.x, x[k]), top + height * (1 - share(panel.y, value))],
      }));
    });
    return { box: panel.box, curves };
  });
};
const visibleCurves = (panel) => panel.curves.filter((curve) => !hiddenArms.has(curve[0].arm));
const closest = (points, at, distance) =>
  points.reduce((best, point) => {
    const away = distance(point.at[0] - at[0], point.at[1] - at[1]);
    return best === null || away < best.away ? { point, away } : best;
  }, null);

const hideValue = () => {
  tip.hidden = true;
  ring.remove();
};
const showValue = (svg, point) => {
  const label = svg.querySelector(`[data-legend="label"][data-arm="${point.arm}"]`);
  const name = document.createElement("b");
  name.textContent = label ? label.textContent : "";
  const lines = [point.panel.x, point.panel.y].map((axis, k) => {
    const line = document.createElement("span");
    // Steps are counted: they are what they are.
    const said = k === 0 && Number.isInteger(point.values[k]) ? String : readable;
    line.textContent = `${axis.name}: ${said(point.values[k])}`;
    return line;
  });
  tip.replaceChildren(name, ...lines);
  ring.setAttribute("cx", point.at[0]);
  ring.setAttribute("cy", point.at[1]);
  svg.append(ring);
  tip.hidden = false;
  const there = ring.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = tip;
  const room = document.documentElement.clientWidth - width - 4;
  const above = there.top - height - 6;
  tip.style.left = `${Math.max(4, Math.min(there.right + 6, room))}px`;
  tip.style.top = `${above < 4 ? there.bottom + 6 : above}px`;
};

const readFigure = (svg) => {
  let panels = null;
  let current = null;
  const all = () => (panels ??= panelsOf(svg));
  const show = (point) => {
    current = point;
    showValue(svg, point);
  };
  const follow = (event) => {
    const matrix = svg.getScreenCTM().inverse();
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
    const panel = all().find(({ box: [left, top, width, height] }) =>
      x > left - 8 && x < left + width + 8 && y > top - 8 && y < top + height + 8);
    const found = panel && closest(visibleCurves(panel).flat(), [x, y], Math.hypot);
    if (found && found.away <= REACH) show(found.point);
    else hideValue();
  };
  // To the next point of the curve; from its end to the next panel.
  const along = (step) => {
    const there = all().filter((panel) => visibleCurves(panel).length);
    const start = there.flatMap((panel) => visibleCurves(panel).slice(0, 1))[0];
    const panel = there.findIndex((one) => visibleCurves(one).some((c) => c.includes(current)));
    if (panel < 0) return start?.[0];
    const curve = visibleCurves(there[panel]).find((one) => one.includes(current));
    const next = curve[curve.indexOf(current) + step];
    if (next || !there[panel + step]) return next ?? current;
    const curves = visibleCurves(there[panel + step]);
    return (curves.find((one) => one[0].arm === current.arm) ?? curves[0]).at(step > 0 ? 0 : -1);
  };
  // To the next arm, at about the same place.
  const across = (step) => {
    const panel = all().find((one) => visibleCurves(one).some((c) => c.includes(current)));
    if (!panel) return along(1);
    const curves = visibleCurves(panel);
    const place = curves.findIndex((one) => one.includes(current)) + step;
    const curve = curves.at(place % curves.length);
    return closest(curve, current.at, (x) => Math.abs(x)).point;
  };
  const keys = {
    ArrowRight: () => along(1),
    ArrowLeft: () => along(-1),
    ArrowDown: () => across(1),
    ArrowUp: () => across(-1),
  };
  svg.setAttribute("tabindex", "0");
  svg.setAttribute("role", "application");
  svg.setAttribute(
    "aria-label", `${svg.querySelector("title").textContent}: values with the arrow keys`);
  svg.addEventListener("pointermove", follow);
  svg.addEventListener("pointerdown", follow);
  svg.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") hideValue();
  });
  svg.addEventListener("blur", hideValue);
  svg.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hideValue();
    if (!(event.key in keys)) return;
    event.preventDefault();
    const point = keys[event.key]();
    if (point) show(point);
  });
};
for (const svg of document.querySelectorAll("svg[data-panels]")) readFigure(svg);
armsChanged.addEventListener("change", hideValue);
addEventListener("scroll", hideValue, { capture: true, passive: true });
