"use strict";
// A switch for each arm of a figure that has several. What is hidden is hidden in all figures.
const hiddenArms = new Set();
const armsChanged = new EventTarget();
const inArms = (selector, arm) => document.querySelectorAll(`${selector}[data-arm="${arm}"]`);
const showArms = (arms, visible) => {
  for (const arm of arms) {
    if (visible) hiddenArms.delete(arm);
    else hiddenArms.add(arm);
    for (const part of inArms("svg ", arm)) {
      if (visible) part.removeAttribute("display");
      else part.setAttribute("display", "none");
    }
    for (const button of inArms(".arms ", arm)) {
      button.setAttribute("aria-pressed", String(visible));
    }
  }
  armsChanged.dispatchEvent(new Event("change"));
};

// The legend's sample of an arm as a picture of its own.
const armMark = (sample) => {
  const mark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const middle = sample.querySelector("use");
  const [x, y] = [Number(middle.getAttribute("x")), Number(middle.getAttribute("y"))];
  mark.setAttribute("viewBox", `${x - 12} ${y - 6} 24 12`);
  mark.setAttribute("aria-hidden", "true");
  const copy = sample.cloneNode(true);
  copy.removeAttribute("data-arm");
  for (const shared of copy.querySelectorAll("defs")) shared.remove();
  mark.append(copy);
  return mark;
};
const armButton = (text, action) => {
  const button = document.createElement("button");
  button.type = "button";
  button.append(text);
  button.addEventListener("click", action);
  return button;
};
for (const figure of document.querySelectorAll("figure")) {
  const samples = [...figure.querySelectorAll('[data-legend="sample"]')];
  if (samples.length < 2) continue;
  const arms = samples.map((sample) => sample.dataset.arm);
  const line = document.createElement("p");
  line.className = "arms screen";
  line.setAttribute("role", "group");
  line.setAttribute("aria-label", `${figure.dataset.name}: arms shown`);
  for (const sample of samples) {
    const arm = sample.dataset.arm;
    const label = figure.querySelector(`[data-legend="label"][data-arm="${arm}"]`).textContent;
    const button = armButton(label, () => showArms([arm], hiddenArms.has(arm)));
    button.prepend(armMark(sample));
    button.dataset.arm = arm;
    button.title = `show or hide ${label}`;
    button.setAttribute("aria-pressed", "true");
    line.append(button);
  }
  line.append(
    armButton("all", () => showArms(arms, true)), armButton("none", () => showArms(arms, false)));
  figure.prepend(line);
}
