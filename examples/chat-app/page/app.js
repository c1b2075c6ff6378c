// The example's page. Everything that others wrote reaches the page by textContent alone, never as markup.
"use strict";

const at = (id) => document.getElementById(id);
const state = { me: "", chat: "", shown: new Map(), more: false, loading: false };

// The key came behind the # of the address, which no server is sent. It leaves the address bar and the history, and stays
// with this tab and this port alone.
const given = new URLSearchParams(location.hash.slice(1)).get("key");
if (given) {
  sessionStorage.setItem("key", given);
  history.replaceState(null, "", "/");
}
const request = (path, options = {}) => fetch(path, {
  ...options, headers: { ...options.headers, "X-Chat-Key": sessionStorage.getItem("key") || "" } });

async function ask(path, body) {
  const options = body === undefined ? {} : body instanceof FormData ? { method: "POST", body }
    : { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const answer = await request(path, options);
  if (!answer.ok) {
    const text = await answer.text();
    let why = text;
    try { why = JSON.parse(text).error; } catch { /* a plain sentence */ }
    at("saved").textContent = why;
    throw new Error(why);
  }
  return answer.json();
}

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// A file is fetched with the key, and shown or saved from memory: its address alone opens nothing.
async function fetched(message, number) {
  const answer = await request(`/api/file?${new URLSearchParams({
    chat: message.chat, id: message.id, time: message.time, file: number })}`);
  if (!answer.ok) throw new Error(await answer.text());
  return URL.createObjectURL(await answer.blob());
}

function attachment(message, file, number) {
  const button = element("button", file.name, "file");
  button.type = "button";
  button.addEventListener("click", async () => {
    const link = element("a");
    link.href = await fetched(message, number);
    link.download = file.name;
    link.click();
    URL.revokeObjectURL(link.href);
  });
  if (file.picture) {
    const image = element("img");
    image.alt = file.name;
    image.addEventListener("load", () => URL.revokeObjectURL(image.src));
    fetched(message, number).then((address) => {
      image.src = address;
      button.replaceChildren(image);
    }, () => { /* the name stays; a click tries again */ });
  }
  return button;
}

const named = (message) => `${message.time} ${message.id}`;

function bubble(message) {
  const own = message.sender === state.me;
  const made = element("div", "", own ? "message own" : "message");
  made.dataset.id = message.id;
  made.dataset.time = message.time;
  made.dir = "auto";
  if (!own) made.append(element("span", message.sender, "who"));
  if (message.deleted) made.append(element("span", "deleted", "gone"));
  else if (message.text) made.append(element("span", message.text));
  message.files.forEach((file, number) => made.append(attachment(message, file, number)));
  const when = new Date(message.time).toLocaleString([], { dateStyle: "short", timeStyle: "short" });
  made.append(element("span", `${when}${message.edited ? " · edited" : ""}`, "when"));
  return made;
}

function show(messages, where) {
  const list = at("messages");
  const bottom = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const height = list.scrollHeight;
  const fresh = messages.filter((message) => message.chat === state.chat);
  const place = where === "before" ? list.firstChild : null;
  for (const message of fresh) {
    const made = bubble(message);
    const old = state.shown.get(named(message));
    if (old) old.replaceWith(made);
    else list.insertBefore(made, place);
    state.shown.set(named(message), made);
  }
  if (where === "before") list.scrollTop += list.scrollHeight - height;
  else if (bottom || where === "new") list.scrollTop = list.scrollHeight;
}

async function open(chat) {
  state.chat = chat.id;
  state.shown.clear();
  at("messages").replaceChildren();
  at("title").textContent = chat.title;
  document.body.classList.add("reading");
  for (const button of at("chats").children) button.toggleAttribute("aria-current", button.dataset.id === chat.id);
  const found = await ask(`/api/messages?${new URLSearchParams({ chat: chat.id })}`);
  if (state.chat !== chat.id) return;
  state.more = found.more;
  show(found.messages, "new");
}

async function older() {
  const list = at("messages");
  const first = list.firstElementChild;
  if (!state.more || state.loading || list.scrollTop > 200 || !first) return;
  state.loading = true;
  try {
    const found = await ask(`/api/messages?${new URLSearchParams({
      chat: state.chat, before: first.dataset.id, time: first.dataset.time })}`);
    state.more = found.more;
    show(found.messages, "before");
  } finally { state.loading = false; }
}

async function list() {
  const found = await ask("/api/chats");
  state.me = found.name;
  at("me").textContent = found.name;
  at("chats").replaceChildren(...found.chats.map((chat) => {
    const button = element("button", chat.title);
    button.dataset.id = chat.id;
    button.dir = "auto";
    button.toggleAttribute("aria-current", chat.id === state.chat);
    button.addEventListener("click", () => open(chat));
    return button;
  }));
  if (!state.chat && found.chats.length && matchMedia("(min-width: 40rem)").matches) await open(found.chats[0]);
}

function heard(event) {
  if (event.kind === "message") show([event.message], "after");
  else if (event.kind === "chats") list();
  else if (event.kind === "saved") {
    at("saved").textContent = event.waiting === 0 ? "✓ all saved"
      : `${event.waiting} on this device only${event.problem ? `: ${event.problem}` : " …"}`;
  }
}

// Server-sent events by fetch: an EventSource can send no key.
async function events() {
  const answer = await request("/api/live");
  if (!answer.ok) throw new Error(await answer.text());
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = "", part = await reader.read(); !part.done; part = await reader.read()) {
    const whole = (text + part.value).split("\n\n");
    text = whole.pop();
    for (const event of whole) if (event.startsWith("data: ")) heard(JSON.parse(event.slice(6)));
  }
}

async function follow() {
  for (let again = false; ; again = true) {
    if (again) await list().then(() => state.chat && open({ id: state.chat, title: at("title").textContent })).catch(() => {});
    await events().catch(() => {});
    at("saved").textContent = "this device's own server does not answer";
    await new Promise((done) => setTimeout(done, 2000));
  }
}

at("write").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = at("text").value;
  if (!text.trim() || !state.chat) return;
  at("text").value = "";
  try { await ask("/api/messages", { chat: state.chat, text }); } catch { at("text").value = text; }
});
at("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    at("write").requestSubmit();
  }
});
at("file").addEventListener("change", async () => {
  const [file] = at("file").files;
  if (!file || !state.chat) return;
  const form = new FormData();
  form.append("file", file);
  at("file").value = "";
  await ask(`/api/files?${new URLSearchParams({ chat: state.chat })}`, form);
});
at("new").addEventListener("click", async () => {
  const title = prompt("Name of the chat");
  if (title) { const chat = await ask("/api/chats", { title }); await list(); await open(chat); }
});
at("back").addEventListener("click", () => document.body.classList.remove("reading"));
at("messages").addEventListener("scroll", older);
list().then(follow);
