"use strict";
// Search, jumping to a day, and the dark theme. It reads what the page shows and never makes markup of it.
const find = document.getElementById("find"), said = document.getElementById("said"), day = document.getElementById("day");
const root = document.documentElement, fold = (text) => text.normalize("NFKC").toLowerCase();

document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

function marked(messages, words) {
  if (!("highlights" in CSS)) return;
  const ranges = [];
  for (const message of messages.slice(0, 500)) {
    const walker = document.createTreeWalker(message, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = node.data.toLowerCase();
      for (const word of words) {
        for (let at = text.indexOf(word); at >= 0 && text.length === node.data.length; at = text.indexOf(word, at + word.length)) {
          const range = new Range();
          range.setStart(node, at);
          range.setEnd(node, at + word.length);
          ranges.push(range);
        }
      }
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}

function search() {
  const words = fold(find.value).split(/\s+/).filter(Boolean), hits = [];
  document.body.classList.toggle("searching", words.length > 0);
  if (document.body.classList.contains("index")) {
    for (const item of document.querySelectorAll(".chats li")) {
      item.classList.toggle("away", !words.every((word) => fold(item.textContent).includes(word)));
    }
    return;
  }
  for (const section of document.querySelectorAll("section")) {
    let has = false;
    for (const message of section.querySelectorAll(".m")) {
      const text = words.length ? fold(message.textContent) : "";
      const hit = words.length > 0 && words.every((word) => text.includes(word));
      message.classList.toggle("hit", hit);
      if (hit) { hits.push(message); has = true; }
    }
    section.classList.toggle("has", has);
  }
  said.textContent = words.length ? `${hits.length.toLocaleString()} found` : said.dataset.all;
  marked(hits, words);
}

function show(element) {
  for (const old of document.querySelectorAll(".at")) old.classList.remove("at");
  element.scrollIntoView({ block: "center" });
}

let waiting = 0;
find.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 150); });
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== find) { event.preventDefault(); find.focus(); }
  if (event.key === "Escape") { find.value = ""; search(); find.blur(); }
});
document.addEventListener("click", (event) => {
  const message = event.target.closest(".m.hit");
  if (!message || !document.body.classList.contains("searching") || event.target.closest("a, audio, video")) return;
  find.value = "";
  search();
  message.classList.add("at");
  message.scrollIntoView({ block: "center" });
});
if (day) {
  day.addEventListener("change", () => {
    if (!day.value) return;
    const sections = [...document.querySelectorAll("section")];
    const place = sections.find((section) => section.dataset.d >= day.value) || sections.at(-1);
    if (place) show(place.querySelector("h2"));
  });
}
