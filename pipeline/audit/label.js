"use strict";
const clips = [...document.querySelectorAll("#clips li")];
const draw = document.body.dataset.draw;
const at = (id) => document.getElementById(id);
const words = { good: "good", bad: "bad", cannot_tell: "cannot tell" };
const keys = { g: "good", b: "bad", u: "cannot_tell" };
let labeller = "";
let labels = {};
let place = 0;

const storeName = () => "lipforge-audit-" + draw + "-" + labeller;

function load() {
  try {
    labels = JSON.parse(localStorage.getItem(storeName()) || "{}");
  } catch {
    labels = {};
    at("unkept").hidden = false;
  }
}

function keep() {
  try {
    localStorage.setItem(storeName(), JSON.stringify(labels));
  } catch {
    at("unkept").hidden = false;
  }
}

const count = () => clips.filter((clip) => clip.dataset.clip in labels).length;

function show(number) {
  place = Math.max(0, Math.min(clips.length - 1, number));
  const clip = clips[place];
  if (!clip) return;
  at("film").src = clip.dataset.film;
  at("film").play().catch(() => {});
  tell();
}

function tell() {
  const label = labels[clips[place].dataset.clip];
  at("bar").value = count();
  at("count").textContent = "clip " + (place + 1) + " of " + clips.length + ", " + count() + " labelled";
  at("said").textContent = label ? "You said: " + words[label] : "";
  at("done").hidden = count() < clips.length;
  for (const button of document.querySelectorAll("[data-label]"))
    button.setAttribute("aria-pressed", String(button.dataset.label === label));
}

function say(label) {
  labels[clips[place].dataset.clip] = label;
  keep();
  if (place < clips.length - 1) show(place + 1);
  else tell();
}

function toggle() {
  const film = at("film");
  if (film.paused) film.play();
  else film.pause();
}

function file() {
  const said = clips.map((clip) => clip.dataset.clip).filter((clip) => clip in labels);
  return {
    format: "lipforge audit labels 1",
    draw: draw,
    labeller: labeller,
    clips: clips.length,
    labels: said.map((clip) => ({ clip: clip, label: labels[clip] })),
  };
}

function save() {
  const text = JSON.stringify(file(), null, 1) + "\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "labels-" + labeller.replace(/[^\p{L}\p{N}]+/gu, "-") + "-" + draw + ".json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

at("start").addEventListener("submit", (event) => {
  event.preventDefault();
  labeller = at("name").value.trim();
  if (!labeller) return;
  load();
  at("start").hidden = true;
  at("work").hidden = false;
  const open = clips.findIndex((clip) => !(clip.dataset.clip in labels));
  document.activeElement.blur();
  show(open < 0 ? clips.length - 1 : open);
});
for (const button of document.querySelectorAll("[data-label]"))
  button.addEventListener("click", () => say(button.dataset.label));
at("back").addEventListener("click", () => show(place - 1));
at("next").addEventListener("click", () => show(place + 1));
at("replay").addEventListener("click", toggle);
at("film").addEventListener("click", toggle);
at("save").addEventListener("click", save);
document.addEventListener("keydown", (event) => {
  if (at("work").hidden || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const label = keys[event.key.toLowerCase()];
  if (label) say(label);
  else if (event.key === "ArrowLeft" || event.key === "Backspace") show(place - 1);
  else if (event.key === "ArrowRight") show(place + 1);
  else if (event.key === " ") toggle();
  else return;
  event.preventDefault();
});
