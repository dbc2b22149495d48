"use strict";

// ---------------------------------------------------------------------------------------------------------------------
// Nodes. All that is shown goes through `h`, as text: names of files are bytes that somebody else chose.

const $ = id => document.getElementById(id);

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter(child => child !== undefined && child !== null && child !== false && child !== ""));
  return node;
}

const h = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

const tagged = (tag, kind) => (...children) => h(tag, { class: kind }, children);
const [para, quiet, weight, aside, asPath, figure] = [
  tagged("p"), tagged("p", "quiet"), tagged("p", "weight"), tagged("span", "quiet"), tagged("span", "path"), tagged("span", "number"),
];
const row = tagged("div", "buttons");

const alike = (one, other) => one.nodeName === other.nodeName && one.dataset?.key === other.dataset?.key;

/// Makes the children of a place like fresh ones, and leaves alone what is so already: the focus, what is selected and
/// what a screen reader is at stay where they are while numbers change around them.
function patch(place, ...fresh) {
  let at = place.firstChild;
  const drop = node => { const next = node.nextSibling; node.remove(); return next; };
  for (const given of fresh.flat(Infinity).filter(given => given)) {
    const node = typeof given === "string" ? document.createTextNode(given) : given;
    let old = at;
    while (old && !alike(old, node)) old = old.nextSibling;
    if (!old) { place.insertBefore(node, at); continue; }
    while (at !== old) at = drop(at);
    at = old.nextSibling;
    if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== node.data) old.data = node.data;
      continue;
    }
    for (const { name, value } of node.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    for (const { name } of [...old.attributes]) {
      // Whether a report is open is the reader's choice.
      if (!node.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
    }
    patch(old, ...node.childNodes);
  }
  while (at) at = drop(at);
}

// ---------------------------------------------------------------------------------------------------------------------
// Numbers and times, as people read them. Sizes are decimal, as in the log.

const number = new Intl.NumberFormat("en").format;
const counted = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
const files = count => counted(count, "file");
const capital = text => text.replace(/^./u, first => first.toUpperCase());

/// What stands between backticks is code.
const quoted = text => text.split("`").map((part, place) => (place % 2 ? h("code", null, part) : part));

function size(bytes) {
  let value = bytes, unit = 0;
  while (value >= 999.95 && unit < 6) { value /= 1000; unit += 1; }
  return `${unit === 0 ? value : value.toFixed(value < 99.95 ? 1 : 0)} ${["B", "kB", "MB", "GB", "TB", "PB", "EB"][unit]}`;
}

// Before what a run has freed, where that is an estimate.
const about = run => (run.unseen ? "about " : "");

function span(ms) {
  const seconds = Math.round(Math.abs(ms) / 1000);
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, length]) => seconds >= length);
  if (first < 0) return "0 s";
  const [[unit, length], next] = [units[first], units[first + 1]];
  const rest = next && first < 2 ? Math.floor((seconds % length) / next[1]) : 0;
  return `${Math.floor(seconds / length)} ${unit}${rest ? ` ${rest} ${next[0]}` : ""}`;
}

// The daemon's clock and zone count, not the browser's: it may be on another machine. `skew` comes from the Date header
// of its answers, the offset from any instant that it writes.
let skew = 0, offset = 0, sameZone = true;
const now = () => Date.now() + skew;

function learnZone(text) {
  const [, sign, hours, minutes] = /(?:([+-])(\d\d):(\d\d)|Z)$/.exec(text) ?? [];
  offset = sign ? Number(`${sign}1`) * (hours * 60 + minutes * 1) * 60000 : 0;
  sameZone = new Date(Date.parse(text)).getTimezoneOffset() * -60000 === offset;
}

/// RFC 3339, or local time without an offset. For the latter the browser knows of daylight saving time, if its zone is
/// the daemon's.
function instant(text) {
  if (text.includes("T")) return Date.parse(text);
  const bare = text.replace(" ", "T");
  return sameZone ? Date.parse(bare) : Date.parse(`${bare}Z`) - offset;
}

/// The daemon's local time: `today 02:00`.
function clock(text) {
  const [day, time] = text.split(/[T ]/);
  const words = [["yesterday", -1], ["today", 0], ["tomorrow", 1]];
  const near = words.find(([, days]) => new Date(now() + offset + days * 86400000).toISOString().startsWith(day));
  return `${near ? near[0] : day} ${time.slice(0, 5)}`;
}

function relative(text) {
  const distance = instant(text) - now();
  if (Math.abs(distance) < 5000) return "now";
  return distance > 0 ? `in ${span(distance)}` : `${span(distance)} ago`;
}

const time = text => h("time", { datetime: new Date(instant(text)).toISOString(), title: text }, relative(text));

// ---------------------------------------------------------------------------------------------------------------------
// The daemon. The token, if one was given, goes with every request; it is kept for this tab only.

const KEPT = "janitor-token";

class Refused extends Error {
  constructor(status, body) {
    super(body.message ?? `the daemon answered ${status}`);
    this.body = body;
    this.wantsToken = status === 401 && body.error === "unauthorized" || status === 403 && body.error === "forbidden";
  }
}

class Cancelled extends Error {}

function withToken(headers = {}) {
  const token = sessionStorage.getItem(KEPT);
  return token ? { ...headers, Authorization: `Bearer ${token}` } : headers;
}

async function call(method, path, signal) {
  const sent = sessionStorage.getItem(KEPT);
  let answer;
  try {
    answer = await fetch(path, { method, signal, headers: withToken(), cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (signal?.aborted) throw new Cancelled();
    reached(false);
    throw new Error("the daemon cannot be reached", { cause: error });
  }
  reached(true);
  const date = Date.parse(answer.headers.get("Date"));
  if (!Number.isNaN(date)) skew = Math.abs(date - Date.now()) > 2000 ? date - Date.now() : 0;
  const body = await answer.json().catch(() => ({}));
  if (signal?.aborted) throw new Cancelled();
  if (answer.ok) return body;
  const refusal = new Refused(answer.status, body);
  // A wrong token is forgotten, or it would spoil what is open to everybody, too.
  if (refusal.wantsToken && sent && sessionStorage.getItem(KEPT) === sent) forgetToken();
  throw refusal;
}

/// The same, and where the caller may not, the token is asked for.
async function allowed(method, path, signal) {
  for (;;) {
    try {
      return await call(method, path, signal);
    } catch (error) {
      if (!error.wantsToken) throw error;
      await askForToken(error.message);
    }
  }
}

let asking = null;

/// One question, however many ask at the same time.
function askForToken(why) {
  asking ??= new Promise((given, cancelled) => {
    const dialog = $("token");
    patch($("token-why"), "The daemon says: ", quoted(why), ".");
    $("token-value").value = "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      asking = null;
      const token = $("token-value").value.trim();
      $("token-value").value = "";
      if (dialog.returnValue !== "given" || !token) return cancelled(new Cancelled());
      sessionStorage.setItem(KEPT, token);
      wake();
      given();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

function forgetToken() {
  sessionStorage.removeItem(KEPT);
  draw();
}

// ---------------------------------------------------------------------------------------------------------------------
// What is known. Everything that is shown is drawn from this.

const model = {
  reached: undefined,      // whether the daemon answers
  line: "connecting",      // how news comes: connecting, live, or polling where events are refused
  status: null,            // `scheduler_status` of /cleanup/status
  targets: new Map(),      // by name, as /cleanup/targets tells them
  runs: [],                // of all targets, newest first: a day of them, and eight at least
  runsCut: false,          // whether there were too many runs in that day
  runsOf: new Map(),       // by target: { last, list, next }
  details: new Map(),      // by run: what /cleanup/runs/ID says
  begun: new Map(),        // runs that were set off from this page and have not ended: target to run
  open: null,              // the name of the target that is looked at
  preview: null,           // { target, busy, error, result, horizon }
  shownRuns: 10,
  page: 0,                 // of the list of targets
};

const DAY = 86400000;
const PAGE = 20;
const at = name => encodeURIComponent(name);

function reached(yes) {
  if (model.reached !== yes) { model.reached = yes; draw(); }
}

async function loadTargets() {
  const found = new Map();
  let after = "";
  do {
    const page = await call("GET", `/cleanup/targets?limit=100${after && `&after=${at(after)}`}`);
    for (const target of page.targets) found.set(target.name, target);
    after = page.next;
  } while (after);
  model.targets = found;
}

/// The runs of a day. Those that are known already need not come again.
async function loadRuns() {
  const known = new Map(model.runs.map(run => [run.run, run]));
  let fresh = [], before = "", pages = 0, last;
  do {
    const page = await call("GET", `/cleanup/runs?limit=100${before && `&before=${at(before)}`}`);
    fresh.push(...page.runs);
    before = page.next;
    pages += 1;
    last = fresh.at(-1);
  } while (before && pages < 20 && !known.has(last.run) && now() - instant(last.started) < DAY);
  if (!last || !known.has(last.run)) model.runsCut = Boolean(before) && now() - instant(last.started) < DAY;
  else fresh = fresh.concat(model.runs.slice(model.runs.findIndex(run => run.run === last.run) + 1));
  model.runs = fresh.filter((run, place) => place < 8 || now() - instant(run.started) < DAY);
}

/// The runs of one target; again only when it has a newer one.
async function loadRunsOf(name, { more = false } = {}) {
  const last = model.targets.get(name)?.last_run?.run;
  const had = model.runsOf.get(name);
  if (more ? !had?.next : had && had.last === last) return;
  const before = more && had?.next ? `&before=${at(had.next)}` : "";
  const page = await call("GET", `/cleanup/runs?target=${at(name)}&limit=30${before}`);
  model.runsOf.set(name, { last, list: before ? had.list.concat(page.runs) : page.runs, next: page.next });
  draw();
}

let loading = null, again = false;

/// Fetches everything anew: once at a time, and once more if it was asked for meanwhile.
function refresh() {
  if (loading) { again = true; return loading; }
  loading = (async () => {
    do {
      again = false;
      const { scheduler_status: status } = await call("GET", "/cleanup/status");
      learnZone(status.config.in_force_since);
      const stamp = status.targets.map(target => target.last_run?.started ?? "").reduce((a, b) => (a > b ? a : b), "");
      if (stamp) learnZone(stamp);
      await Promise.all([loadTargets(), loadRuns()]);
      // All is well only when all is known.
      model.status = status;
      if (model.open && model.targets.has(model.open)) await loadRunsOf(model.open);
      for (const [name, run] of model.begun) {
        const last = model.targets.get(name)?.last_run;
        if (last?.run === run) ended({ ...last, target: name });
        // An id begins with the second of the run.
        else if (last?.run.slice(0, 16) > run.slice(0, 16)) model.begun.delete(name);
      }
      draw();
    } while (again);
  })().catch(failed).finally(() => { loading = null; again = false; draw(); });
  return loading;
}

function failed(error) {
  if (error instanceof Cancelled || error.body?.error === "shutting_down") return;
  // Beyond loopback, everything needs the token.
  if (error.wantsToken) askForToken(error.message).then(refresh, () => {});
  else if (model.reached) say(`The daemon refused: ${error.message}`, true);
}

let due = null;

/// Soon, once, however much happens until then.
function refreshSoon() {
  due ??= setTimeout(() => { due = null; refresh(); }, model.targets.size > 200 ? 5000 : 400);
}

// ---------------------------------------------------------------------------------------------------------------------
// News. Events come through `fetch`, since an EventSource cannot carry the token. While they are refused, or do not
// come, the open routes are asked again and again.

const HEARTBEAT = 10000;
let lastEvent = null, stream = null, wakeUp = () => {};

/// Something has changed for the better: try at once.
function wake() {
  stream?.abort();
  wakeUp();
}

const pause = ms => new Promise(done => { const timer = setTimeout(done, ms); wakeUp = () => { clearTimeout(timer); done(); }; });

async function listen() {
  for (let wait = 1000; ;) {
    while (document.hidden) await pause(60000);
    stream = new AbortController();
    let watch = null;
    const alive = () => { clearTimeout(watch); watch = setTimeout(() => stream.abort(), 3 * HEARTBEAT); };
    let line = "connecting";
    try {
      const headers = withToken(lastEvent === null ? {} : { "Last-Event-ID": lastEvent });
      alive();
      const answer = await fetch("/cleanup/events", { headers, signal: stream.signal, cache: "no-store", credentials: "omit" });
      if (answer.status === 401 || answer.status === 403) {
        if (headers.Authorization && answer.status === 401) { forgetToken(); continue; }
        line = "polling";
      } else if (answer.ok) {
        model.line = "live";
        wait = 1000;
        // What happened before the first event is not in the stream.
        refresh();
        await read(answer.body, alive);
      }
    } catch { /* Whatever it was: it is tried again. */ }
    clearTimeout(watch);
    // Whether it was the stream or the whole daemon that ended is asked at once.
    if (model.line === "live") refresh();
    model.line = line;
    draw();
    if (line === "polling") await pause(2 ** 31 - 1);
    else await pause(wait * (0.75 + Math.random() / 2));
    wait = Math.min(wait * 2, 30000);
  }
}

async function read(body, alive) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    alive();
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) take(text.slice(0, end));
  }
}

function take(block) {
  let id = null, type = "message", data = "";
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*): ?(.*)$/.exec(line) ?? [];
    if (field === "id") id = value;
    else if (field === "event") type = value;
    else if (field === "data") data += value;
  }
  if (id !== null) lastEvent = id;
  if (data || type === "reset") happened(type, data ? JSON.parse(data) : {});
}

function happened(type, news) {
  const target = model.targets.get(news.target);
  if (type === "progress") {
    if (target?.running) Object.assign(target.running, news);
    tellProgress(news);
    return draw();
  }
  if (type === "run_started" && target) {
    const { run, at: started, trigger, dry_run } = news;
    Object.assign(target, { state: "running", running: { run, started, trigger, dry_run, examined: 0, deleted: 0, freed_bytes: 0, failed: 0 } });
  } else if (type === "run_finished") {
    if (target) {
      target.running = null;
      if (target.state === "running") target.state = target.next_run ? "scheduled" : "paused";
      target.last_run = news;
    }
    ended(news);
  } else if (type === "held" || type === "released") {
    const held = type === "held" ? news : null;
    if (target) target.hold = held;
    if (model.status) model.status.holds = model.status.holds.filter(hold => hold.target !== news.target).concat(held ?? []);
  } else if (type === "config_rejected" && model.status) {
    model.status.config.rejection = news;
  } else if (type === "reload" && model.status) {
    model.status.config.rejection = null;
  } else if (type === "reset") {
    model.runs = [];
    model.runsOf.clear();
    model.details.clear();
  }
  draw();
  refreshSoon();
}

/// Without events, the open routes tell the same, later: every 15 s, and more often while something is at work.
async function poll() {
  for (;;) {
    const busy = model.begun.size || [...model.targets.values()].some(target => target.running || target.state === "queued");
    const every = model.line === "live" || document.hidden ? 60000 : busy ? 2000 : 15000;
    await new Promise(done => setTimeout(done, every));
    await refresh();
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// What is said. The notice is seen and read out; progress is only read out, seldom, since it is seen anyway.

let noticeEnds = null;

function say(text, bad = false) {
  const notice = $("notice");
  notice.hidden = false;
  notice.className = bad ? "notice bad" : "notice";
  $("notice-text").textContent = text;
  clearTimeout(noticeEnds);
  // What went wrong stays until it was read.
  if (!bad) noticeEnds = setTimeout(() => { notice.hidden = true; }, 12000);
}

let told = 0;

function tellProgress({ target, examined, deleted, freed_bytes: freed }) {
  if (target !== model.open && !model.begun.has(target) || now() - told < 5000) return;
  told = now();
  $("said").textContent = `${target}: ${number(examined)} examined, ${number(deleted)} deleted, ${size(freed)} freed`;
}

/// A run that was set off from this page, or of the target that is looked at, has ended.
function ended(run) {
  if (model.begun.delete(run.target) || run.target === model.open) say(`${run.target}: ${summary(run)}`, run.outcome === "failed");
}

function summary(run) {
  const [would, free] = run.dry_run ? ["would be ", "to free "] : ["", "freed "];
  const parts = [`${files(run.deleted)} ${would}deleted`, `${free}${about(run)}${size(run.freed_bytes)}`];
  if (run.failed) parts.push(`${number(run.failed)} could not be`);
  const counts = `${run.outcome}, ${parts.join(", ")}`;
  return run.outcome === "done" || run.outcome === "partial" ? counts : `${run.outcome}${run.message ? `: ${run.message}` : ""}`;
}

// ---------------------------------------------------------------------------------------------------------------------
// The verdict: what is wrong (bad), what waits for somebody (wait), and what is good to know (note).

const linkTo = name => h("a", { href: `#target/${at(name)}`, class: "name" }, name);

function named(names) {
  const shown = names.slice(0, 3).flatMap((name, place) => [place ? ", " : "", linkTo(name)]);
  return [...shown, names.length > 3 ? ` and ${number(names.length - 3)} more` : ""];
}

function reasons() {
  const found = [];
  const add = (level, key, ...text) => found.push({ level, key, text });
  const status = model.status;
  const several = (level, key, words, test) => {
    const names = [...model.targets.values()].filter(test).map(target => target.name);
    if (names.length) add(level, key, `${words(names.length)}: `, named(names));
  };
  const lastWas = outcome => target => target.last_run?.outcome === outcome;
  const { config, state, log, holds, clock_problem: clockProblem } = status;
  if (clockProblem) add("bad", "clock", `The clock cannot be trusted: ${clockProblem}`);
  if (config.rejection) add("bad", "config", "The config on disk was rejected; the last good one stays in force");
  several("bad", "failed", count => `The last run of ${counted(count, "target")} failed`, lastWas("failed"));
  if (state.error) add("bad", "state", `What must survive a restart cannot be kept: ${state.error}`);
  if (log.error) add("bad", "log", `The log cannot be written: ${log.error}`);
  if (log.lost_records) add("wait", "lost", `${counted(log.lost_records, "record")} of the log ${log.lost_records === 1 ? "was" : "were"} lost`);
  if (holds.length) {
    const words = `${counted(holds.length, "run is", "runs are")} held until somebody releases ${holds.length === 1 ? "it" : "them"}: `;
    add("wait", "held", words, named(holds.map(hold => hold.target)));
  }
  several("wait", "partial", count => `The last run of ${counted(count, "target")} was only partly done`, lastWas("partial"));
  several("wait", "disk", count => `Less is free than the watermark asks for, at ${counted(count, "target")}`, isLow);
  if (!status.is_running) add("wait", "stopped", "The schedule is stopped: nothing runs by itself");
  for (const what of config.needs_restart) add("wait", `restart ${what}`, `Waits for a restart: ${what}`);
  for (const what of config.not_applied) add("wait", `unapplied ${what}`, `Could not be applied: ${what}`);
  if (status.is_running) {
    several("note", "paused", count => `${counted(count, "target is", "targets are")} paused`, target => target.state === "paused");
  }
  return found;
}

function verdict() {
  const gone = model.reached === false;
  const found = model.status ? reasons() : [];
  if (gone) {
    if (model.status) found.unshift({ level: "bad", key: "gone", text: ["What is shown is what it said last"] });
    return { level: "bad", title: "The daemon cannot be reached", found };
  }
  if (!model.status) return { level: "unknown", title: "Asking the daemon …", found };
  const [bad, waiting] = ["bad", "wait"].map(level => found.filter(reason => reason.level === level).length);
  if (bad) return { level: "bad", title: bad === 1 ? "Something is wrong" : `${bad} things are wrong`, found };
  if (waiting) return { level: "wait", title: waiting === 1 ? "Something waits for you" : `${waiting} things wait for you`, found };
  return { level: "ok", title: "All is well", found };
}

const isLow = ({ disk }) => Boolean(disk?.min_free_bytes) && disk.available_bytes < disk.min_free_bytes;

const ICONS = {
  ok: "M6 18a12 12 0 1 0 24 0a12 12 0 1 0 -24 0M12.5 18.5l4 4 7.500-8.500",
  wait: "M18 5L32 30H4ZM18 14v7M18 25.500v.1",
  bad: "M12 5h12l7 7v12l-7 7H12l-7-7V12ZM13.500 13.500l9 9m0-9l-9 9",
  unknown: "M6 18a12 12 0 1 0 24 0a12 12 0 1 0 -24 0M18 11v7l4.500 3",
};

function drawHealth() {
  const { level, title, found } = verdict();
  const health = $("health");
  health.className = `health ${level}`;
  patch(health,
    svg("svg", { class: "icon", viewBox: "0 0 36 36", "aria-hidden": "true" }, svg("path", { d: ICONS[level] })),
    h("div", { role: "status" }, h("h2", { class: "verdict", id: "verdict" }, title)),
    found.length && (!model.open || level === "bad")
      ? h("ul", null, found.map(reason => h("li", { class: reason.level, "data-key": reason.key }, reason.text)))
      : quiet(level === "ok" ? `${counted(model.targets.size, "target")}, nothing held, the config on disk is in force` : ""));
  const open = found.filter(reason => reason.level !== "note").length;
  document.title = `${open ? `(${open}) ` : ""}${model.open ? `${model.open} · ` : ""}janitor`;
}

function drawLine() {
  const status = model.status;
  $("about").textContent = status ? `${status.version} · up ${span(status.uptime_s * 1000)}` : "";
  const hasToken = sessionStorage.getItem(KEPT) !== null;
  const words = { live: ["ok", "live"], polling: ["wait", "every 15 s"], connecting: ["", "connecting"] };
  const [level, text] = model.reached === false ? ["bad", "unreachable"] : words[model.line];
  patch($("line"),
    h("span", { class: `badge ${level}`, id: "news" }, text),
    model.line === "polling" && button("Give the token for live news", "token", {}, "plain"),
    hasToken && button("Forget the token", "forget", {}, "plain"));
}

// ---------------------------------------------------------------------------------------------------------------------
// The overview.

const OUTCOMES = { done: "ok", partial: "wait", held: "wait", cancelled: "note", failed: "bad" };
const STATES = { scheduled: "", queued: "note", running: "note live", paused: "wait", disabled: "" };
const badge = (word, level) => h("span", { class: `badge ${level}` }, word);
const outcome = run => badge(run.outcome + (run.dry_run ? ", dry run" : ""), OUTCOMES[run.outcome]);
const button = (text, what, data = {}, kind = "") => {
  const attributes = Object.fromEntries(Object.entries(data).map(([name, value]) => [`data-${name}`, value]));
  return h("button", { type: "button", class: kind, "data-do": what, "data-key": `${what} ${data.run ?? data.target ?? ""}`, ...attributes }, text);
};

function drawRejection() {
  const rejection = model.status.config.rejection;
  $("rejection").hidden = !rejection;
  if (!rejection) return;
  $("rejection").className = "card alarm";
  const count = rejection.problems.length;
  patch($("rejection"),
    h("h2", null, "The config on disk is not in force"),
    para("It was rejected ", time(rejection.at), `, because of ${counted(count, "problem")}. The last good one stays in force. `,
      "When the file is mended and saved, this goes away."),
    h("pre", { tabindex: "0", role: "region", "aria-label": "Problems of the config" }, rejection.shown ?? rejection.problems.join("\n")));
}

function holdBlock(hold, withName) {
  return [
    h("p", { class: "why" }, withName ? [linkTo(hold.target), ": "] : "", `${hold.why}.`),
    quiet("Held ", time(hold.at), ` by the guard ${hold.guard}; nothing was removed. Run ${hold.run}.`),
    row(button("Release…", "release", { run: hold.run, target: hold.target })),
  ];
}

function drawHeld() {
  const holds = model.status.holds;
  $("held").hidden = !holds.length;
  $("held").className = "card warning";
  patch($("held"), h("h2", { id: "held-title" }, `Held: ${counted(holds.length, "run")}`),
    h("ul", { class: "holds" }, holds.map(hold => h("li", { "data-key": hold.run }, holdBlock(hold, true)))));
}

function drawFacts() {
  const { status } = model;
  const day = model.runs.filter(run => now() - instant(run.started) < DAY && !run.dry_run);
  const sum = field => day.reduce((total, run) => total + run[field], 0);
  const least = model.runsCut ? "at least " : "";
  const { config } = status;
  $("facts").className = "facts";
  const fact = (key, title, big, small, ...buttons) => h("div", { class: "fact", "data-key": key },
    h("h2", null, title), h("p", { class: "big" }, big), quiet(small), buttons.length > 0 && row(buttons));
  patch($("facts"),
    fact("freed", "Freed in 24 h", least + size(sum("freed_bytes")), `${files(sum("deleted"))} in ${counted(day.length, "run")}`),
    fact("next", "Next run", status.next_run ? relative(status.next_run) : "none", status.next_run ? clock(status.next_run) : "nothing is due"),
    fact("schedule", "Schedule", status.is_running ? "running" : "stopped", counted(model.targets.size, "target"),
      status.is_running ? button("Pause all", "pause") : button("Start all", "start")),
    fact("config", "Config", config.rejection ? "rejected" : "in force",
      [h("span", { class: "second path" }, config.path ?? "built in"), `generation ${config.generation}, since `, time(config.in_force_since)],
      button("Read again", "reload")));
}

function drawLists() {
  const next = [...model.targets.values()].filter(target => target.next_run).sort((a, b) => (a.next_run < b.next_run ? -1 : 1)).slice(0, 5);
  patch($("next"), next.length
    ? h("ol", { class: "rows" }, next.map(target => h("li", { "data-key": target.name }, linkTo(target.name),
      h("span", null, time(target.next_run)), aside(clock(target.next_run)))))
    : quiet("Nothing is due."));
  const active = [...model.targets.values()].filter(target => target.running).slice(0, 5).map(({ name, running }) =>
    h("li", { "data-key": running.run },
      h("span", null, linkTo(name), " ", badge("running", STATES.running)),
      figure(size(running.freed_bytes)), aside(files(running.deleted))));
  const ran = model.runs.slice(0, 5 - active.length).map(run =>
    h("li", { "data-key": run.run },
      h("span", null, linkTo(run.target), " ", outcome(run)),
      figure(size(run.freed_bytes)), aside(time(run.started))));
  const none = quiet("Nothing has run yet.");
  patch($("ran"), active.length + ran.length ? h("ol", { class: "rows" }, active, ran) : none);
}

function attention(target) {
  const last = target.last_run?.outcome;
  const places = [last === "failed", target.hold, isLow(target), last === "partial", target.running, target.state === "paused"];
  const place = places.findIndex(Boolean);
  return place < 0 ? places.length : place;
}

const byName = (a, b) => (a.name < b.name ? -1 : 1);
const ORDERS = {
  attention: (a, b) => attention(a) - attention(b) || byName(a, b),
  name: byName,
  next: (a, b) => ((a.next_run ?? "9") < (b.next_run ?? "9") ? -1 : 1),
  freed: (a, b) => (b.last_run?.freed_bytes ?? -1) - (a.last_run?.freed_bytes ?? -1) || byName(a, b),
};

function drawTargets() {
  const wanted = $("filter").value.trim().toLowerCase();
  const fits = target => `${target.name}\n${target.path}`.toLowerCase().includes(wanted);
  const all = [...model.targets.values()].filter(fits).sort(ORDERS[$("sort").value]);
  const pages = Math.max(1, Math.ceil(all.length / PAGE));
  model.page = Math.min(model.page, pages - 1);
  const first = model.page * PAGE;
  const shown = all.slice(first, first + PAGE);
  const head = text => h("th", { role: "columnheader", scope: "col" }, text);
  const turn = (text, by, disabled) =>
    h("button", { type: "button", "data-do": "turn", "data-by": by, "data-key": text, disabled }, text);
  // The roles are written out, since a table that is laid out as cards (on a phone) is no table for screen readers.
  const table = h("table", { class: "targets", role: "table", "aria-labelledby": "targets-title" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      ["Target", "State", "Next run", "Last run", "Freed, by run", "Disk"].map(head))),
    h("tbody", { role: "rowgroup" }, shown.map(targetRow)));
  patch($("targets"),
    all.length ? table : quiet(wanted ? "No target has this in its name or path." : "There is no target."),
    h("div", { class: "pager", hidden: all.length <= PAGE && !wanted },
      h("span", { class: "quiet", id: "count", role: "status" },
        all.length ? `${number(first + 1)}–${number(first + shown.length)} of ${counted(all.length, "target")}` : "0 targets"),
      pages > 1 && row(turn("Previous", -1, model.page === 0), turn("Next", 1, model.page === pages - 1))));
  fillSparks(shown);
}

function states(target) {
  return [badge(target.state, STATES[target.state]), target.hold && badge("held", "wait"), target.dry_run && badge("dry run", "note")];
}

function targetRow(target) {
  const cell = (label, kind, ...children) => h("td", { role: "cell", "data-label": label, class: kind }, children);
  const { running, last_run: last, next_run: next } = target;
  return h("tr", { role: "row", "data-key": target.name },
    h("th", { role: "rowheader", scope: "row", class: "name" }, linkTo(target.name), asPath(target.path)),
    cell("State", "", states(target), running && h("span", { class: "second number" }, `${files(running.deleted)}, ${size(running.freed_bytes)}`)),
    cell("Next run", "", next ? [time(next), h("span", { class: "second" }, clock(next))] : "–"),
    cell("Last run", "", last ? [outcome(last), h("span", { class: "second" }, time(last.started))] : "–"),
    cell("Freed, by run", "", last ? [spark(target.name), h("span", { class: "second number" }, `${size(last.freed_bytes)} last`)] : "–"),
    cell("Disk", "disk", disk(target.disk)));
}

/// How full the disk is, and where the watermark is on it.
function disk(about) {
  if (!about) return "–";
  const used = 100 - (about.available_bytes / about.total_bytes) * 100;
  const mark = about.min_free_bytes ? 100 - (about.min_free_bytes / about.total_bytes) * 100 : null;
  const low = isLow({ disk: about });
  const percent = value => `${value.toFixed(1)}%`;
  const bar = (kind, width) => svg("rect", { class: kind, width, height: "100%", rx: 3 });
  return [
    svg("svg", { class: `diskbar${low ? " low" : ""}`, "aria-hidden": "true" }, bar("all", "100%"), bar("used", percent(used)),
      mark !== null && svg("line", { class: "watermark", x1: percent(mark), x2: percent(mark), y1: 0, y2: "100%" })),
    h("span", { class: "second" }, `${size(about.available_bytes)} free`),
    mark !== null && h("span", { class: "second" }, `${low ? "below the " : ""}watermark ${size(about.min_free_bytes)}`),
  ];
}

// ---------------------------------------------------------------------------------------------------------------------
// Charts of what was freed, drawn by hand: a bar for each run, the newest on the right.

function spark(name) {
  const list = (model.runsOf.get(name)?.list ?? []).slice(0, 16).reverse();
  const most = Math.max(1, ...list.map(run => run.freed_bytes));
  const bars = list.map((run, place) => {
    const height = Math.max(1, (run.freed_bytes / most) * 24);
    return svg("rect", { x: (16 - list.length + place) * 6, y: 24 - height, width: 4.5, height });
  });
  return svg("svg", { class: "spark", viewBox: "0 0 96 24", "aria-hidden": "true" }, bars);
}

let filling = false;

/// The runs of what is seen come one after the other: it is news of the second rank.
async function fillSparks(shown) {
  if (filling || model.open) return;
  filling = true;
  try {
    for (const target of shown) if (target.last_run) await loadRunsOf(target.name);
  } catch { /* The next drawing tries again. */ }
  filling = false;
}

function chart(list, width) {
  const runs = list.slice(0, 30).reverse();
  const most = Math.max(...runs.map(run => run.freed_bytes));
  const [height, left, right, top, bottom] = [170, 58, 2, 10, 24];
  const room = height - top - bottom, step = (width - left - right) / Math.max(runs.length, 10);
  const x = place => width - right - (runs.length - place) * step;
  const bars = runs.map((run, place) => {
    const bar = run.freed_bytes ? Math.max(2, (run.freed_bytes / most) * room) : 2;
    const kind = run.outcome === "done" ? (run.dry_run ? "dry" : "freed") : run.outcome;
    const shape = svg("rect", { class: kind, x: x(place) + step * 0.12, y: height - bottom - bar, width: step * 0.76, height: bar, rx: 1.5 });
    shape.append(svg("title", null, `${clock(run.started)}: ${summary(run)}`));
    return shape;
  });
  const words = (x, y, anchor, text) => svg("text", { x, y, "text-anchor": anchor }, text);
  const total = runs.reduce((sum, run) => sum + (run.dry_run ? 0 : run.freed_bytes), 0);
  const about = `Bytes freed by the last ${counted(runs.length, "run")}: ${size(total)} together, ${size(most)} at most. ` +
    "The runs below have the numbers.";
  return svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": about },
    [1, 0.5, 0].map(part => {
      const y = height - bottom - part * room;
      return [svg("line", { x1: left, x2: width, y1: y, y2: y }), words(left - 8, y + 4, "end", size(Math.round(most * part)))];
    }),
    bars,
    (runs.length - 1) * step > 260 && words(x(0), height - 7, "start", clock(runs[0].started)),
    words(width - right, height - 7, "end", clock(runs.at(-1).started)));
}

// ---------------------------------------------------------------------------------------------------------------------
// One target.

function drawTarget() {
  const target = model.targets.get(model.open);
  const back = h("a", { href: "#", class: "back" }, "← All targets");
  const title = h("h2", { id: "target-title", tabindex: "-1" }, model.open);
  if (!target) {
    const why = model.status ? "There is no target of this name in the config that is in force." : "Asking the daemon …";
    return patch($("target"), back, h("div", { class: "card" }, title, para(why)));
  }
  const { name, running, hold, last_run: last } = target;
  const pair = (term, ...text) => h("div", null, h("dt", null, term), h("dd", null, text));
  patch($("target"), back,
    h("div", { class: "card", "data-key": "about" },
      h("div", { class: "head" }, title, states(target)),
      h("p", { class: "path quiet" }, target.path),
      h("p", { class: "policy", id: "policy" }, quoted(capital(target.policy)), "."),
      target.remarks.length > 0 && h("ul", { class: "remarks quiet" }, target.remarks.map(remark => h("li", null, quoted(remark)))),
      last && ["failed", "partial"].includes(last.outcome) && !running && h("p", { class: "why" }, outcome(last), " ",
        last.message ?? last.failures.map(often).join("; ")),
      running && h("div", { class: "running", id: "running" },
        h("p", { class: "number" }, h("strong", null, "Running: "), `${number(running.examined)} examined, `,
          `${files(running.deleted)} deleted, ${size(running.freed_bytes)} freed`, running.failed ? `, ${number(running.failed)} failed` : ""),
        h("progress", { "aria-label": `Run of ${name}` }),
        quiet("Begun ", time(running.started), `. Run ${running.run}.`)),
      h("dl", { class: "pairs" },
        pair("Next run", target.next_run ? [time(target.next_run), `, ${clock(target.next_run)}`] : "none"),
        pair("Schedule", h("code", null, target.schedule), ` (${target.timezone})`),
        pair("Action", target.action),
        pair("Disk", disk(target.disk)),
        target.skipped_ticks > 0 && pair("Skipped", `${counted(target.skipped_ticks, "time")} due while still running`)),
      h("div", { class: "buttons" },
        target.enabled && !running && button("Run now…", "run", { target: name }, "main"),
        running && button("Pause and stop this run", "stop", { target: name }, "danger"),
        target.enabled && target.state !== "paused" && button("Pause", "pause", { target: name }),
        target.state === "paused" && button("Start", "start", { target: name }))),
    hold && h("div", { class: "card warning", "data-key": "hold" }, h("h3", null, "Held"), holdBlock(hold, false)),
    previewCard(target),
    ranCard(target));
}

function ranCard({ name, action }) {
  const ran = model.runsOf.get(name);
  const list = ran?.list ?? [];
  const width = Math.max(260, Math.min(1000, $("target").clientWidth - 42));
  const drawn = list.some(run => run.freed_bytes);
  const none = action === "trash" ? "Its runs freed nothing: what is in the trash frees space when it is purged." : "Its runs freed nothing.";
  return [
    h("div", { class: "card", "data-key": "chart" }, h("h3", null, "Freed by its last runs"),
      drawn ? chart(list, width) : quiet(!ran ? "Asking …" : list.length ? none : "It has not run yet.")),
    list.length > 0 && h("div", { class: "card", "data-key": "runs" }, h("h3", null, "Last runs"), list.slice(0, model.shownRuns).map(runBlock),
      (ran.next || list.length > model.shownRuns) && row(button("Older runs", "older", { target: name }))),
  ];
}

const often = failure => `${failure.class}: ${counted(failure.count, "entry", "entries")}`;

function runBlock(run) {
  return h("details", { class: "run", "data-key": run.run, "data-run": run.run },
    h("summary", null, h("span", null, outcome(run)),
      h("span", { class: "when" }, time(run.started), " ", aside(clock(run.started))),
      h("span", { class: "what number" }, h("span", null, `${files(run.deleted)}${run.failed ? `, ${number(run.failed)} failed` : ""}`),
        h("span", null, size(run.freed_bytes)), aside(run.trigger))),
    report(run));
}

/// The report of a run. Names of files are in it when the daemon lets us see them.
function report(run) {
  const about = model.details.get(run.run);
  const full = about?.run ?? run;
  const pair = (term, text) => h("div", null, h("dt", null, term), h("dd", { class: "number" }, text));
  const undo = about?.undo;
  return h("div", { class: "report" },
    full.message && h("p", { class: "path" }, full.message),
    full.remarks.length > 0 && h("ul", { class: "remarks" }, full.remarks.map(remark => h("li", null, remark))),
    full.failures.length > 0 && h("ul", { class: "remarks" }, full.failures.map(failure => h("li", null, often(failure),
      failure.examples && h("span", { class: "second path" }, failure.examples.join(" · "))))),
    h("dl", { class: "pairs" },
      ["examined", "candidates", "deleted", "failed", "kept", "vanished", "directories", "skipped_directories"].map(field =>
        pair(capital(field.replace("_", " ")), number(full[field]))),
      pair("Freed", about(full) + size(full.freed_bytes)),
      pair("Took", full.took_s < 10 ? `${full.took_s.toFixed(2)} s` : span(full.took_s * 1000)), pair("Sandbox", full.sandbox ?? "none")),
    h("p", { class: "quiet path" }, `Run ${full.run}, begun ${full.started}`),
    undo && para(`In the trash until ${clock(undo.until)}: ${files(undo.files)} of it, ${size(undo.bytes)}.`),
    undo && row(button("Undo…", "undo", { run: run.run, target: run.target })));
}

const HORIZONS = [["", "now"], ["1d", "in a day"], ["7d", "in a week"], ["14d", "in two weeks"], ["30d", "in 30 days"], ["90d", "in 90 days"]];

function previewCard({ name, path }) {
  const { busy, error, result, horizon } = model.preview?.target === name ? model.preview : {};
  const skipped = result?.skipped_directories ?? [];
  const told = skipped.slice(0, 10).map(({ path: where, because }) => `${where} (${because})`).join(" · ");
  return h("div", { class: "card", "data-key": "preview", "aria-busy": busy ? "true" : "false" },
    h("h3", null, "Preview: what a run would remove"),
    h("div", { class: "tools" },
      h("label", { for: "horizon" }, "When"),
      h("select", { id: "horizon", "data-key": name }, HORIZONS.map(([value, text]) => h("option", { value }, text))),
      h("input", { type: "checkbox", id: "kept", "data-key": name }), h("label", { for: "kept" }, "also what a protection keeps"),
      button("Preview", "preview", { target: name })),
    h("div", { role: "status", id: "previewed", "data-key": "previewed" },
      busy && quiet("Looking what would go …"), busy && h("progress", { "aria-label": "Preview" }),
      error && para(error), result && weight(headline(result.report, horizon))),
    result && [fileTable(result.would_delete, `What would go from ${path}`, "reason"), leftOut(result)],
    result?.kept.length > 0 && [para(`${counted(result.kept.length, "entry", "entries")} kept by a protection:`),
      fileTable(result.kept, `What a protection keeps in ${path}`, "protection")],
    skipped.length > 0 && quiet(`${counted(skipped.length, "directory", "directories")} not entered: `, asPath(told)));
}

function headline(run, horizon) {
  const when = HORIZONS.find(([value]) => value === horizon)[1];
  if (refused(run)) return `A run ${when} would be ${run.outcome}, and remove nothing: ${run.message}.`;
  return run.deleted || run.directories ? `${amount(run)} would go ${when}.` : `Nothing would go ${when}.`;
}

const refused = run => run.outcome !== "done" && run.outcome !== "partial";
const bytesOf = run => Math.max(run.freed_bytes, run.eligible_bytes ?? 0);

function amount(run) {
  const directories = run.directories ? ` and ${counted(run.directories, "directory", "directories")}` : "";
  return `${files(run.deleted)}${directories}, ${size(bytesOf(run))},`;
}

function fileTable(list, label, why) {
  if (!list.length) return null;
  const line = (role, cells) =>
    h("tr", { role: "row" }, cells.map(([kind, text]) => h(role === "cell" ? "td" : "th", { role, class: kind }, text)));
  const cells = entry => (why === "reason"
    ? [["path", entry.path + (entry.directory ? "/" : "")], ["size number", entry.directory ? "" : size(entry.size)], ["", entry.reason]]
    : [["path", entry.path], ["size", entry.protection], ["", entry.because]]);
  const titles = [["", "Path"], ["size", why === "reason" ? "Size" : "Protection"], ["", "Why"]];
  return h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": label },
    h("table", { class: "files", role: "table", "aria-label": label },
      h("thead", { role: "rowgroup" }, line("columnheader", titles)),
      h("tbody", { role: "rowgroup" }, list.map(entry => line("cell", cells(entry))))));
}

function leftOut({ truncated, would_delete: list, report: run }) {
  return truncated && quiet(`These are the first ${number(list.length)} of ${number(run.deleted + run.directories)}.`);
}

// ---------------------------------------------------------------------------------------------------------------------
// What can be done. What deletes is shown first, by a preview, and asked for.

/// Asks. `prepare` finds out what to say: `{ say: nodes, label, danger }`.
function confirmed(title, prepare) {
  const dialog = $("confirm"), go = $("confirm-go"), body = $("confirm-body"), stop = new AbortController();
  $("confirm-title").textContent = title;
  patch(body, quiet("Looking what would go …"), h("progress", { "aria-label": "Preview" }));
  go.textContent = "Run";
  go.disabled = true;
  dialog.returnValue = "";
  dialog.showModal();
  prepare(stop.signal).then(({ say: nodes, label, danger }) => {
    if (stop.signal.aborted) return;
    patch(body, nodes);
    Object.assign(go, { textContent: label, disabled: false, className: danger ? "danger" : "main" });
  }).catch(error => {
    if (stop.signal.aborted) return;
    if (error instanceof Cancelled) dialog.close("");
    else patch(body, para(`It cannot be said what would go, so nothing is done: ${error.message}.`));
  });
  return new Promise(done => dialog.addEventListener("close", () => { stop.abort(); done(dialog.returnValue === "go"); }, { once: true }));
}

async function look(name, more, signal) {
  return (await allowed("GET", `/cleanup/preview?target=${at(name)}${more}`, signal)).targets[0];
}

/// What a run would do now, in words for the question.
async function consequences(name, signal, more = "") {
  const found = await look(name, `&limit=100${more}`, signal);
  const { report: run } = found;
  const target = model.targets.get(name);
  const harmless = (...say) => ({ say, label: "Run all the same", danger: false });
  if (refused(run)) return harmless(weight(`The run will be ${run.outcome}, and remove nothing.`), para(run.message ?? ""));
  if (!run.deleted && !run.directories) return harmless(weight("Nothing would go now."), para("The run only looks, and is remembered."));
  return {
    say: [weight(`${amount(run)} in `, asPath(found.path), ` ${fate(target)}`), fileTable(found.would_delete, "What goes", "reason"),
      leftOut(found), run.failures.length > 0 && para(`Could not be looked at: ${run.failures.map(often).join("; ")}.`),
      quiet("This is what a preview found just now. The run judges each file anew.")],
    label: target.dry_run ? "Run dry" : `${capital(verb(target))} ${files(run.deleted)}`,
    danger: target.action === "delete" && !target.dry_run,
  };
}

const verb = ({ action }) => (action === "delete" ? "delete" : action === "trash" ? "trash" : "move");

function fate({ action, dry_run: dry }) {
  if (dry) return "would go; this target is a dry run, nothing is removed.";
  if (action === "delete") return "will be deleted for good.";
  return action === "trash" ? "will go to the trash, from where undo brings them back." : `will be moved to ${action.replace(/^move:/, "")}.`;
}

/// A run was set off.
function begun(name, answer) {
  if (answer.runs?.[0]) model.begun.set(name, answer.runs[0].run);
  say(`${name}: the run has begun.`);
  refreshSoon();
}

const actions = {
  async run({ target }) {
    if (!await confirmed(`Run ${target} now?`, signal => consequences(target, signal))) return;
    begun(target, await allowed("POST", `/cleanup/manual?target=${at(target)}&wait=false`));
  },
  async release({ run, target }) {
    const hold = model.status.holds.find(held => held.run === run);
    const prepare = async signal => {
      const { say: nodes, ...rest } = await consequences(target, signal, "&released=true");
      const why = hold ? `Held by the guard ${hold.guard}: ${hold.why}. ` : "";
      return { say: [para(`${why}Released, it runs once without this guard.`), ...nodes], ...rest };
    };
    if (!await confirmed(`Release the held run of ${target}?`, prepare)) return;
    begun(target, await allowed("POST", `/cleanup/runs/${at(run)}/release?wait=false`));
  },
  async undo({ run, target }) {
    const prepare = async signal => {
      const about = await allowed("GET", `/cleanup/runs/${at(run)}`, signal);
      if (!about.undo) throw new Error("nothing of this run is in the trash any more");
      const { undo } = about;
      const what = weight(`${files(undo.files)}, ${size(undo.bytes)}, will be put back into `, asPath(model.targets.get(target)?.path ?? target), ".");
      const how = para("Nothing is overwritten: what has another file at its place by now stays in the trash.");
      return { say: [what, how], label: `Put back ${files(undo.files)}`, danger: false };
    };
    if (!await confirmed(`Undo this run of ${target}?`, prepare)) return;
    const answer = await allowed("POST", `/cleanup/runs/${at(run)}/undo`);
    const { restored, occupied, failed: broken } = answer;
    const stayed = occupied.length + broken.length;
    const why = [...occupied.map(path => `${path} is taken`), ...broken].slice(0, 3).join("; ");
    say(`${target}: ${files(restored)} put back${stayed ? `, ${number(stayed)} not: ${why}` : ""}.`, !answer.success);
    model.details.delete(run);
    await openReport(run);
    refreshSoon();
  },
  async pause({ target }) {
    await allowed("POST", `/cleanup/stop${target ? `?target=${at(target)}` : ""}`);
    say(target ? `${target} is paused. Manual runs still work.` : "The schedule is stopped. Manual runs still work.");
    await refresh();
  },
  async start({ target }) {
    await allowed("POST", `/cleanup/start${target ? `?target=${at(target)}` : ""}`);
    say(target ? `${target} is scheduled again.` : "The schedule is running.");
    await refresh();
  },
  async stop({ target }) {
    await allowed("POST", `/cleanup/stop?target=${at(target)}&cancel=true`);
    // It may have ended by now, and been told of.
    if (model.targets.get(target)?.running) say(`${target} is paused, and its run stops before the next file.`);
    await refresh();
  },
  async preview({ target }) {
    const horizon = $("horizon").value;
    const mine = model.preview = { target, busy: true, horizon };
    draw();
    try {
      mine.result = await look(target, `&limit=1000${horizon && `&in=${horizon}`}${$("kept").checked ? "&kept=true" : ""}`);
    } catch (error) {
      if (!(error instanceof Cancelled)) mine.error = `The preview failed: ${error.message}.`;
    }
    mine.busy = false;
    draw();
  },
  async reload() {
    try {
      const answer = await allowed("POST", "/cleanup/reload");
      const { added, changed, removed } = answer;
      say(answer.changed_anything ? `In force now: ${added} added, ${changed} changed, ${removed} removed.` : "The config on disk is the one in force.");
    } finally {
      await refresh();
    }
  },
  async older({ target }) {
    model.shownRuns += 30;
    draw();
    if (model.runsOf.get(target).list.length < model.shownRuns) await loadRunsOf(target, { more: true });
  },
  turn({ by }) { model.page += Number(by); draw(); },
  token: () => askForToken("live news, previews and orders need the daemon's own user, root, or the token"),
  forget() { forgetToken(); wake(); say("The token is forgotten."); },
  dismiss() { $("notice").hidden = true; $("main").focus(); },
  skip() { $("main").focus(); },
  close({ value }, from) { from.closest("dialog").close(value); },
};

async function openReport(run) {
  try {
    model.details.set(run, await allowed("GET", `/cleanup/runs/${at(run)}`));
  } catch (error) {
    // Without the right to see names, what is known without them is shown.
    if (!(error instanceof Cancelled)) say(`The report has no details: ${error.message}`, true);
  }
  draw();
}

async function act(what, data, from) {
  try {
    await actions[what](data, from);
  } catch (error) {
    if (!(error instanceof Cancelled)) say(`${capital(error.message)}.`, true);
  }
  // What was pressed may be gone by now; the keyboard must not have to start over.
  if (document.activeElement === document.body && !document.querySelector("dialog[open]")) (model.open ? $("target-title") : $("main"))?.focus();
}

// ---------------------------------------------------------------------------------------------------------------------
// Drawing, and what comes from the keyboard and the mouse.

let drawing = null;

/// Not with `requestAnimationFrame`: the title has to tell of trouble in a hidden tab, too.
function draw() {
  drawing ??= setTimeout(() => { drawing = null; drawNow(); }, 60);
}

function drawNow() {
  const focused = document.activeElement?.getAttribute("href");
  drawAll();
  // A row that has moved was drawn anew; the focus moves with it.
  if (!focused || document.activeElement !== document.body) return;
  [...document.querySelectorAll("main a")].find(link => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
}

function drawAll() {
  drawHealth();
  drawLine();
  $("overview").hidden = Boolean(model.open) || !model.status;
  $("target").hidden = !model.open;
  if (model.open) return drawTarget();
  if (!model.status) return;
  drawRejection();
  drawHeld();
  drawFacts();
  drawLists();
  drawTargets();
}

/// `#target/NAME` is the address of a target.
function route(event) {
  const [, written] = /^#target\/(.+)$/.exec(location.hash) ?? [];
  const before = model.open;
  try { model.open = written === undefined ? null : decodeURIComponent(written); } catch { model.open = null; }
  if (before !== model.open) Object.assign(model, { preview: null, shownRuns: 10 });
  drawNow();
  if (!event) return;
  window.scrollTo(0, 0);
  if (model.open) {
    $("target-title").focus();
    if (model.targets.has(model.open)) loadRunsOf(model.open).catch(failed);
  } else {
    // Back to where one came from.
    const row = [...document.querySelectorAll("#targets .name a")].find(link => link.textContent === before);
    (row ?? $("targets-title")).focus();
  }
}

document.addEventListener("click", event => {
  const from = event.target.closest("[data-do]");
  if (!from) return;
  if (from.tagName === "A") event.preventDefault();
  act(from.dataset.do, from.dataset, from);
});
document.addEventListener("toggle", event => {
  const { run } = event.target.dataset;
  if (run && event.target.open && !model.details.has(run)) openReport(run);
}, true);
document.addEventListener("keydown", event => {
  if (event.key === "Escape" && model.open && !document.querySelector("dialog[open]")) location.hash = "";
});
$("token-form").addEventListener("submit", event => { event.preventDefault(); $("token").close("given"); });
$("filter").addEventListener("input", () => { model.page = 0; draw(); });
$("sort").addEventListener("change", () => { model.page = 0; draw(); });
window.addEventListener("hashchange", route);
window.addEventListener("resize", draw);
// A browser has six connections for all its tabs together, so one that nobody looks at gives its own back.
let leaving = null;
document.addEventListener("visibilitychange", () => {
  clearTimeout(leaving);
  if (document.hidden) leaving = setTimeout(() => stream.abort(), 60000);
  else if (model.line === "connecting") wakeUp();
  else refresh();
});
setInterval(draw, 15000);

route();
refresh();
listen();
poll();
