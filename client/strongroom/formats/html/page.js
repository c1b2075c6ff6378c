"use strict";
// Search, jumping to a day, and the dark theme. It reads what the page shows and never makes markup of it.
const find = document.getElementById("find"), said = document.getElementById("said"), day = document.getElementById("day");
const root = document.documentElement, fold = (text) => text.normalize("NFKC").toLowerCase();
const sections = [...document.querySelectorAll("section")], chats = [...document.querySelectorAll(".chats li")];
const kept = { get() { try { return localStorage.getItem("strongroom-theme"); } catch { return null; } },
  set(theme) { try { localStorage.setItem("strongroom-theme", theme); } catch { /* a browser that keeps nothing */ } } };

if (["dark", "light"].includes(kept.get())) root.dataset.theme = kept.get();
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  kept.set(root.dataset.theme);
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
  for (const item of chats) {
    const hit = words.every((word) => fold(item.textContent).includes(word));
    item.classList.toggle("away", !hit);
    if (hit) hits.push(item);
  }
  for (const section of sections) {
    let has = false;
    for (const message of section.querySelectorAll(".m")) {
      const text = words.length ? fold(message.textContent) : "";
      const hit = words.length > 0 && words.every((word) => text.includes(word));
      if (hit !== message.classList.contains("hit")) {
        message.classList.toggle("hit", hit);
        if (hit) message.tabIndex = 0; else message.removeAttribute("tabindex");
      }
      if (hit) { hits.push(message); has = true; }
    }
    section.classList.toggle("has", has);
  }
  said.textContent = words.length ? `${hits.length.toLocaleString("en")} found` : said.dataset.all;
  if (words.length && hits.length && sections.length) said.textContent += ": open one to see it in its place";
  if (sections.length) marked(hits, words);
}

function show(element) {
  for (const old of document.querySelectorAll(".at")) old.classList.remove("at");
  // Twice: what lies above it gets its true height only when it is laid out.
  element.scrollIntoView({ block: "start" });
  requestAnimationFrame(() => requestAnimationFrame(() => element.scrollIntoView({ block: "start" })));
}

function open(hit) {
  find.value = "";
  search();
  show(hit);
  hit.classList.add("at");
  hit.tabIndex = -1;
  hit.focus({ preventScroll: true });
}

let waiting = 0;
find.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 150); });
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input");
  if (event.key === "/" && !typing) { event.preventDefault(); find.focus(); }
  if (event.key === "Escape") { find.value = ""; search(); find.blur(); }
  if (event.key === "Enter" && event.target.matches(".m.hit") && document.body.classList.contains("searching")) open(event.target);
});
document.addEventListener("click", (event) => {
  const message = event.target.closest(".m.hit");
  if (!message || !document.body.classList.contains("searching") || event.target.closest("a, audio, video, summary")) return;
  open(message);
});
if (day && sections.length) {
  day.min = sections[0].dataset.d;
  day.max = sections.at(-1).dataset.d;
  day.addEventListener("change", () => {
    if (!day.value) return;
    find.value = "";
    search();
    show(sections.find((section) => section.dataset.d >= day.value) || sections.at(-1));
  });
}
