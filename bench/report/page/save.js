"use strict";
// Figures as SVG and PDF, tables as CSV. The buttons are made here: without scripts there are none.
const fileName = (name) =>
  `${document.title} ${name}`.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
const download = (name, type, text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
};
const sizeOf = (svg) => svg.getAttribute("viewBox").split(/\s+/).slice(2).map(Number);

// A file of its own: the page's colours for paper in place of its variables, and a size.
const svgText = (svg) => {
  const copy = svg.cloneNode(true);
  const [width, height] = sizeOf(svg);
  for (const part of copy.querySelectorAll(".screen")) part.remove();
  for (const name of ["data-panels", "tabindex", "aria-label"]) copy.removeAttribute(name);
  copy.setAttribute("role", "img");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  copy.setAttribute("style", "font-family:sans-serif;stroke-linejoin:round;stroke-linecap:butt");
  for (const element of copy.querySelectorAll("[href]")) {
    element.setAttributeNS(
      "http://www.w3.org/1999/xlink", "xlink:href", element.getAttribute("href"));
  }
  const paper = getComputedStyle(document.getElementById("paper"));
  const text = new XMLSerializer().serializeToString(copy);
  return text.replace(/var\((--[\w-]+)[^)]*\)/g, (_, name) => paper.getPropertyValue(name).trim());
};

// The browser's own printing makes a PDF of vectors: of a page that is as large as the figure.
const printAlone = (svg, name) => {
  const [width, height] = sizeOf(svg);
  const place = svg.parentElement;
  const alone = document.createElement("div");
  const page = document.createElement("style");
  const title = document.title;
  alone.id = "alone";
  page.textContent = `@page { size: ${Math.ceil(width)}px ${Math.ceil(height) + 1}px; margin: 0; }`;
  alone.append(svg);
  document.body.append(alone);
  document.head.append(page);
  document.title = name;
  document.body.classList.add("printing");
  addEventListener("afterprint", () => {
    document.body.classList.remove("printing");
    document.title = title;
    place.append(svg);
    alone.remove();
    page.remove();
  }, { once: true });
  print();
};

// Numbers with all their digits; what says more than its number as it is; a text that a spreadsheet would run as a formula is quoted.
const csvText = (table) => {
  const value = (cell) => {
    const is = (...names) => names.some((name) => cell.classList.contains(name));
    if (cell.dataset.key !== undefined && !is("lost", "said")) {
      return cell.dataset.key.replace("1e999", "inf");
    }
    if (cell.tagName === "TD" && is("number")) return cell.textContent;
    const text = (cell.querySelector("code") ?? cell).textContent;
    return /^[=+\-@]/.test(text) ? `'${text}` : text;
  };
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return [...table.rows]
    .map((row) => [...row.cells].map((cell) => quoted(value(cell))).join(",") + "\n").join("");
};

const buttons = (where, label, actions) => {
  const line = document.createElement("p");
  line.className = "save screen";
  for (const [kind, hint, action] of actions) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = kind;
    button.title = hint;
    button.setAttribute("aria-label", `${label}: ${hint}`);
    button.addEventListener("click", action);
    line.append(button);
  }
  where.after(line);
};
for (const figure of document.querySelectorAll("figure")) {
  const svg = figure.querySelector(".figure svg");
  const name = fileName(figure.dataset.name);
  buttons(figure.querySelector(".figure"), figure.dataset.name, [
    ["SVG", "save as SVG", () => download(`${name}.svg`, "image/svg+xml", svgText(svg))],
    ["PDF", "print alone: choose “save as PDF”", () => printAlone(svg, name)],
  ]);
}
for (const table of document.querySelectorAll("table[data-name]")) {
  const name = fileName(table.dataset.name);
  buttons(table.parentElement, table.dataset.name, [
    ["CSV", "save as CSV, in the order shown", () => download(`${name}.csv`, "text/csv", csvText(table))],
  ]);
}
