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

/// What a run has freed, and whether that is an estimate.
const freedBy = run => (run.estimated_bytes ? "about " : "") + size(run.freed_bytes);

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

