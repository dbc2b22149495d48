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
      const isAsked = news.dry_run && news.trigger === "manual";
      if (!isAsked && ["done", "partial"].includes(news.outcome)) target.over_limits = news.over_limits;
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
  $("said").textContent = `${target}: ${number(examined)} examined, ${number(deleted)} gone, ${size(freed)} freed`;
}

/// A run that was set off from this page, or of the target that is looked at, has ended.
function ended(run) {
  if (model.begun.delete(run.target) || run.target === model.open) say(`${run.target}: ${summary(run)}`, run.outcome === "failed");
}

function summary(run) {
  const [would, free] = run.dry_run ? ["would be ", "to free "] : ["", "freed "];
  const gone = { delete: "deleted", trash: "trashed", move: "moved" }[run.action];
  const parts = [`${files(run.deleted)} ${would}${gone}`, `${free}${freedBy(run)}`];
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
  if (state.stop_unknown) add("bad", "stop-unknown", `Nobody can say what was stopped, so everything is: ${state.stop_unknown}`);
  if (state.stop_not_kept) add("bad", "stop-not-kept", `What is stopped is not written down, a restart forgets it: ${state.stop_not_kept}`);
  if (state.error) add("bad", "state", `What must survive a restart cannot be kept: ${state.error}`);
  if (log.error) add("bad", "log", `The log cannot be written: ${log.error}`);
  if (log.lost_records) add("wait", "lost", `${counted(log.lost_records, "record")} of the log ${log.lost_records === 1 ? "was" : "were"} lost`);
  if (holds.length) {
    const words = `${counted(holds.length, "run is", "runs are")} held until somebody releases ${holds.length === 1 ? "it" : "them"}: `;
    add("wait", "held", words, named(holds.map(hold => hold.target)));
  }
  several("wait", "partial", count => `The last run of ${counted(count, "target")} was only partly done`, lastWas("partial"));
  several("wait", "over", count => `${counted(count, "target")} ${count === 1 ? "is" : "are"} over ${count === 1 ? "its" : "their"} limit`, isOver);
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

