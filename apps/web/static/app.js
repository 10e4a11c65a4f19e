// The live parts of the page: they ask /api and draw what it says. Everything that people typed is set as text.
"use strict";

const NAMES = {
  pause: "Pause", run: "Go on", cancel: "Take out of the queue", keep: "Stop and keep", more: "More steps",
  fork: "Fork with changes", edit: "Send to Edit", discard: "Delete", restore: "Bring back",
};
const STATES = {
  waiting: "Waiting", running: "At work", stopping: "Stopping …", paused: "Paused", finished: "Finished",
  failed: "Failed", stopped: "Stopped",
};
const SHOWN = 60;
const DONE = ["finished", "failed", "stopped", "paused"];

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("data-") || name.startsWith("aria-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

async function ask(path, options = {}) {
  const answer = await fetch(path, { credentials: "same-origin", ...options });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error || body.detail || `the server answered ${answer.status}`);
  return body;
}

const post = (path, body) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body ?? []) });

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

function line(run) {
  const words = [STATES[run.state] || run.state];
  if (run.state === "waiting" && run.place) words.push(run.place === 1 ? "next in the queue" : `number ${run.place} in the queue`);
  if (run.steps && run.state === "finished") words.push(`${run.steps} steps`);
  else if (run.steps && run.state !== "waiting") words.push(`step ${run.step} of ${run.steps}`);
  if (run.steps_per_s && run.state === "running") words.push(`${run.steps_per_s.toFixed(1)} steps/s`);
  if (run.seconds_left) words.push(`${duration(run.seconds_left)} left`);
  return words.join(" · ");
}

// A picture whose new version appears when it has loaded, so that nothing flickers.
function swap(image, address) {
  if (!address || image.dataset.shown === address) return;
  image.dataset.shown = address;
  const next = new Image();
  next.onload = () => { image.src = address; image.hidden = false; };
  next.src = address;
}

function figure(title, kind) {
  const image = make("img", { alt: title, hidden: true, className: kind });
  return [make("figure", {}, image, make("figcaption", { textContent: title })), image];
}

// ── one run, watched ──────────────────────────────────────────────────────────────────────────────────────────────

class Live {
  constructor(root, name) {
    this.root = root;
    this.name = name;
    this.status = make("p", { className: "status", role: "status", "aria-live": "polite" });
    this.bar = make("progress", { max: 1, value: 0, "aria-label": "Progress" });
    this.reason = make("p", { className: "reason" });
    this.buttons = make("div", { className: "buttons" });
    const [form, picture] = figure("As it forms", "render");
    const [seen, x0] = figure("What the prior sees in it", "pixels");
    this.seen = seen;
    this.picture = picture;
    this.x0 = x0;
    this.film = make("video", { autoplay: true, loop: true, muted: true, playsInline: true, controls: true, hidden: true });
    this.film.setAttribute("aria-label", "Turntable");
    this.contact = make("img", { alt: "Views around the asset", hidden: true, className: "contact" });
    this.change = new Change();
    this.sounds = make("div", { className: "sounds", hidden: true });
    this.tree = make("ul", { className: "tree", "aria-label": "Edits", hidden: true });
    this.curves = make("div", { className: "curves" });
    this.files = make("ul", { className: "files", "aria-label": "Downloads" });
    this.formats = make("select", { "aria-label": "Another format", hidden: true, onchange: () => this.write() });
    this.title = make("h3", { className: "prompt" });
    root.replaceChildren(
      this.title, this.status, this.bar, this.reason, this.buttons, this.files, this.formats, this.sounds,
      make("div", { className: "pictures" }, form, seen), this.change.node, this.film, this.contact, this.tree, this.curves,
    );
    this.told = "";
    this.ticks = 0;
    this.over = false;
    this.below = root.closest("#live") && matchMedia("(max-width: 640px)").matches; // on a phone, the long form
    this.tick();
  }

  async tick() {
    if (!this.root.isConnected) return;
    clearTimeout(this.timer);
    const turn = (this.turn = (this.turn || 0) + 1);
    try {
      const run = await ask(`/api/runs/${encodeURIComponent(this.name)}`);
      if (turn !== this.turn) return; // a button was pressed meanwhile, and what was asked after it is newer
      this.show(run);
      if (this.below && this.ticks === 0) this.root.scrollIntoView();
      if (this.ticks++ % 4 === 0 || (DONE.includes(run.state) && !this.over)) {
        const found = await ask(`/api/runs/${encodeURIComponent(this.name)}/curves`);
        this.curves.innerHTML = found.join(""); // our own SVG; titles are escaped by the server
        if (run.edited && (this.ticks === 1 || DONE.includes(run.state))) this.grow(await ask(`/api/runs/${encodeURIComponent(this.name)}/history`));
      }
      if (DONE.includes(run.state) && !this.over && run.files.length) this.offer(await ask(`/api/runs/${encodeURIComponent(this.name)}/formats`));
      this.over = DONE.includes(run.state);
    } catch (error) {
      this.status.textContent = String(error.message || error);
    }
    if (turn === this.turn) this.timer = setTimeout(() => this.tick(), this.over || document.hidden ? 3000 : 700);
  }

  show(run) {
    this.title.textContent = run.prompt || run.name;
    this.status.textContent = line(run);
    this.bar.value = run.steps ? run.step / run.steps : 0;
    this.bar.hidden = run.state === "finished";
    this.reason.textContent = run.reason || "";
    this.reason.hidden = !run.reason;
    swap(this.picture, run.preview);
    swap(this.x0, run.x0);
    if (run.hears) this.seen.querySelector("figcaption").textContent = "What the prior hears in it";
    this.root.classList.toggle("hears", run.hears);
    if (run.sounds.length) this.play(run);
    else swap(this.contact, run.contact);
    this.change.show(run.before_after);
    if (run.film && this.film.dataset.shown !== run.film) {
      this.film.dataset.shown = run.film;
      this.film.src = run.film;
      this.film.hidden = false;
    }
    this.root.dataset.state = run.state;
    const told = JSON.stringify([run.actions, run.files]);
    if (told === this.told) return;
    this.told = told;
    this.buttons.replaceChildren(...run.actions.map((action) => this.button(run, action)));
    this.files.replaceChildren(
      ...run.files.map((file) =>
        make("li", {}, make("a", { href: file.url, download: file.name, textContent: `${file.name} · ${size(file.bytes)}` }))),
      ...(run.files.length ? [make("li", {}, make("a", { href: `/runs/${encodeURIComponent(run.name)}.zip`, textContent: "everything as zip" }))] : []),
    );
  }

  offer(kinds) {
    this.formats.hidden = false;
    this.formats.replaceChildren(make("option", { value: "", textContent: "Another format …" }),
      ...kinds.map((kind) => make("option", { value: kind, textContent: kind })));
  }

  // The run's asset in one more format; it is listed among the downloads when it is written.
  async write() {
    const kind = this.formats.value;
    if (!kind) return;
    this.formats.disabled = true;
    this.formats.options[0].textContent = `Writing ${kind} …`;
    this.formats.value = "";
    try {
      this.show(await post(`/api/runs/${encodeURIComponent(this.name)}/export`, [kind]));
    } catch (error) {
      this.reason.hidden = false;
      this.reason.textContent = error.message;
    }
    this.formats.options[0].textContent = "Another format …";
    this.formats.disabled = false;
  }

  // Every sound with its picture, a row of the sheet, above its player.
  play(run) {
    const told = JSON.stringify([run.sounds, run.contact]);
    if (told === this.heard) return;
    this.heard = told;
    const last = Math.max(1, run.sounds.length - 1);
    this.sounds.hidden = false;
    this.sounds.replaceChildren(...run.sounds.map((sound, k) => {
      const picture = make("div", { className: "spectrogram", role: "img", "aria-label": `Spectrogram and waveform of ${sound.name}` });
      if (run.contact) picture.style.background = `#fff url("${run.contact}") 0 ${(100 * k) / last}% / 100% ${100 * run.sounds.length}%`;
      return make("figure", {}, picture, make("audio", { controls: true, preload: "metadata", src: sound.url }),
        make("figcaption", { textContent: [sound.words, sound.name].filter(Boolean).join(" · ") }));
    }));
  }

  // What was made of what: to undo an edit is to go on from what was before it; nothing is ever lost.
  grow(steps) {
    this.tree.hidden = false;
    this.tree.replaceChildren(...steps.map((step) => make("li", { style: `margin-left: ${1.2 * step.depth}rem`, className: step.here ? "here" : "" },
      step.name ? make("a", { href: `/?run=${encodeURIComponent(step.name)}`, textContent: step.what }) : make("span", { textContent: step.what }),
      step.name ? make("a", { href: `/?edit=${encodeURIComponent(step.name)}`, textContent: "edit from here", className: "from" }) : null)));
  }

  button(run, action) {
    const act = async () => {
      try {
        if (action === "edit") {
          location.href = `/?edit=${encodeURIComponent(run.name)}`;
          return;
        }
        let changes = [];
        if (action === "more") {
          const asked = prompt("How many steps shall there be in all?", String(run.steps * 2));
          if (!asked) return;
          changes = [`optimize.steps=${asked.trim()}`];
        } else if (action === "fork") {
          const asked = prompt("Changes as key=value, apart by “;”", "guidance.cfg_scale=6");
          if (asked === null) return;
          changes = asked.split(";").map((word) => word.trim()).filter(Boolean);
        }
        const verb = action === "more" ? "fork" : action;
        const answer = await post(`/api/runs/${encodeURIComponent(run.name)}/${verb}`, changes);
        if (answer.run && answer.run !== this.name) open_run(answer.run);
        else await this.tick();
      } catch (error) {
        this.reason.hidden = false;
        this.reason.textContent = error.message;
      }
    };
    return make("button", { type: "button", textContent: NAMES[action], onclick: act, "data-action": action });
  }
}

// The original and the result of an edit, one over the other, with a slider between them.
class Change {
  constructor() {
    this.before = make("div", { className: "side" });
    this.after = make("div", { className: "side after" });
    this.slider = make("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "Before and after" });
    this.slider.oninput = () => { this.after.style.clipPath = `inset(0 0 0 ${this.slider.value}%)`; };
    this.node = make("div", { className: "change", hidden: true }, make("div", { className: "sides" }, this.before, this.after), this.slider,
      make("p", { className: "status", textContent: "Before on the left of the line, after on its right" }));
    this.slider.oninput();
  }

  show(address) {
    if (!address || this.shown === address) return;
    this.shown = address;
    const sheet = new Image();
    sheet.onload = () => {
      this.node.hidden = false;
      this.node.querySelector(".sides").style.aspectRatio = `${sheet.width} / ${sheet.height / 2}`;
      for (const side of [this.before, this.after]) side.style.backgroundImage = `url("${address}")`;
    };
    sheet.src = address;
  }
}

// Does something as soon as a place comes into view, such as when its tab is opened.
function when_seen(node, look) {
  new IntersectionObserver((places) => { if (places.some((place) => place.isIntersecting)) look(); }).observe(node);
}

function open_run(name) {
  const address = new URL(location.href);
  address.searchParams.set("run", name);
  location.href = address.toString();
}

// ── lists ─────────────────────────────────────────────────────────────────────────────────────────────────────────

class Gallery {
  constructor(root) {
    this.root = root;
    this.words = make("input", { type: "search", placeholder: "Search prompts, methods, tags", "aria-label": "Search" });
    this.state = make("select", { "aria-label": "State" }, make("option", { value: "", textContent: "All states" }),
      ...Object.entries(STATES).map(([value, text]) => make("option", { value, textContent: text })));
    this.cards = make("div", { className: "cards" });
    this.more = make("button", { type: "button", className: "more", textContent: "Show more", hidden: true,
      onclick: () => { this.most += SHOWN; this.load(); } });
    this.most = SHOWN;
    this.shown = new Map();
    this.words.oninput = this.state.onchange = () => { this.most = SHOWN; this.load(); };
    this.cards.replaceChildren(make("p", { className: "empty", textContent: "Loading …" }));
    root.replaceChildren(make("div", { className: "search" }, this.words, this.state), this.cards, this.more);
    when_seen(root, () => this.load());
    this.tick();
  }

  async tick() {
    if (!this.root.isConnected) return;
    if (this.root.offsetParent !== null) await this.load();
    setTimeout(() => this.tick(), 3000);
  }

  async load() {
    try {
      const turn = (this.turn = (this.turn || 0) + 1);
      const asked = new URLSearchParams({ words: this.words.value, state: this.state.value, most: this.most + 1 });
      const runs = await ask(`/api/runs?${asked}`);
      if (turn === this.turn) this.show(runs); // an older answer may come later
    } catch (error) {
      this.shown.clear();
      this.cards.replaceChildren(make("p", { className: "reason", textContent: error.message }));
    }
  }

  // Cards that say what they said stay as they are, with their focus and pictures.
  show(runs) {
    this.more.hidden = runs.length <= this.most;
    const known = this.shown, names = runs.slice(0, this.most).map((run) => run.name);
    this.shown = new Map();
    for (const run of runs.slice(0, this.most)) {
      const told = JSON.stringify(run), old = known.get(run.name);
      this.shown.set(run.name, old && old.told === told ? old : { told, node: this.card(run) });
    }
    if (names.length && names.join() === [...known.keys()].join()) {
      for (const name of names) if (known.get(name) !== this.shown.get(name)) known.get(name).node.replaceWith(this.shown.get(name).node);
      return;
    }
    this.cards.replaceChildren(...(names.length ? [...this.shown.values()].map((one) => one.node) : [make("p", {
      className: "empty",
      textContent: this.words.value || this.state.value ? "No run fits." : "No runs yet. Make the first one under Create.",
    })]));
  }

  card(run) {
    const act = (path, ...rest) => async () => {
      try { await post(path, ...rest); await this.load(); }
      catch (error) { alert(error.message); }
    };
    const at = `/api/runs/${encodeURIComponent(run.name)}`;
    const tags = make("button", { type: "button", textContent: "Tags", onclick: () => {
      const words = prompt("Tags, apart by spaces", run.tags.join(" "));
      if (words !== null) act(`${at}/tag`, [words])();
    } });
    const remove = make("button", { type: "button", textContent: NAMES.discard, onclick: () => {
      if (confirm(`Move “${run.prompt}” to the trash? It can be brought back.`)) act(`${at}/discard`)();
    } });
    return make("article", { className: "card", "data-run": run.name },
      make("a", { href: `/?run=${encodeURIComponent(run.name)}`, className: "open" },
        run.picture ? make("img", { src: run.picture, alt: "", loading: "lazy" }) : make("div", { className: "no-picture" }),
        make("span", { className: "prompt", textContent: run.prompt || run.name }),
        make("span", { className: "status", textContent: line(run) })),
      make("p", { className: "tags" }, ...run.tags.map((tag) => make("span", { className: "tag", textContent: tag }))),
      make("div", { className: "buttons" }, tags, remove,
        make("a", { href: `/runs/${encodeURIComponent(run.name)}.zip`, textContent: "Zip", className: "zip" })));
  }
}

class Turns {
  constructor(root) {
    this.root = root;
    root.replaceChildren(make("p", { className: "empty", textContent: "Loading …" }));
    when_seen(root, () => this.look());
    this.tick();
  }

  async tick() {
    if (!this.root.isConnected) return;
    if (this.root.offsetParent !== null) await this.look();
    setTimeout(() => this.tick(), 1500);
  }

  async look() {
    try {
      const jobs = await ask("/api/queue");
      this.root.replaceChildren(jobs.length
        ? make("ol", { className: "turns" }, ...jobs.map((job) => make("li", {},
          job.name ? make("a", { href: `/?run=${encodeURIComponent(job.name)}`, textContent: job.prompt || job.name }) : make("span", { textContent: "somebody else's run" }),
          make("span", { className: "status", textContent: ` ${STATES[job.state]}${job.place ? `, number ${job.place}` : ""}` }))))
        : make("p", { className: "empty", textContent: "Nothing is at work and nothing waits." }));
    } catch (error) {
      this.root.replaceChildren(make("p", { className: "reason", textContent: error.message }));
    }
  }
}

class Trash {
  constructor(root) {
    this.root = root;
    this.load();
  }

  async load() {
    if (!this.root.isConnected) return;
    try {
      const names = await ask("/api/trash");
      this.root.replaceChildren(...(names.length ? names.map((name) => make("p", {}, make("span", { textContent: `${name} ` }),
        make("button", { type: "button", textContent: NAMES.restore, onclick: async () => { await post(`/api/runs/${encodeURIComponent(name)}/restore`); this.load(); } })))
        : [make("p", { className: "empty", textContent: "The trash is empty." })]));
    } catch (error) {
      this.root.replaceChildren(make("p", { className: "reason", textContent: error.message }));
    }
    setTimeout(() => this.load(), 4000);
  }
}

// ── finding the places that the page has for these ────────────────────────────────────────────────────────────────

const PLACES = {
  live: (node) => new Live(node, node.dataset.run), gallery: (node) => new Gallery(node),
  turns: (node) => new Turns(node), trash: (node) => new Trash(node),
};

function settle() {
  for (const node of document.querySelectorAll("[data-place]")) {
    const want = `${node.dataset.place} ${node.dataset.run || ""}`;
    if (node.dataset.settled === want || (node.dataset.place === "live" && !node.dataset.run)) continue;
    node.dataset.settled = want;
    PLACES[node.dataset.place](node);
  }
}

new MutationObserver(settle).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-run"] });
settle();
