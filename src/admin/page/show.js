// ---------------------------------------------------------------------------------------------------------------------
// The overview.

const OUTCOMES = { done: "ok", partial: "wait", held: "wait", cancelled: "note", failed: "bad" };
const STATES = { scheduled: "", queued: "note", running: "note live", paused: "wait", unreachable: "bad", disabled: "" };
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
    fact("freed", "Freed in 24 h", least + freedBy({ estimated_bytes: sum("estimated_bytes"), freed_bytes: sum("freed_bytes") }), `${files(sum("deleted"))} in ${counted(day.length, "run")}`),
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
      figure(freedBy(run)), aside(time(run.started))));
  const none = quiet("Nothing has run yet.");
  patch($("ran"), active.length + ran.length ? h("ol", { class: "rows" }, active, ran) : none);
}

const isOver = target => target.over_limits.length > 0;

function attention(target) {
  const last = target.last_run?.outcome;
  const places = [last === "failed", target.hold, isLow(target) || isOver(target), last === "partial", target.running, target.state === "paused"];
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
  return [badge(target.state, STATES[target.state]), target.hold && badge("held", "wait"), isOver(target) && badge("over its limit", "wait"),
    target.dry_run && badge("dry run", "note")];
}

function targetRow(target) {
  const cell = (label, kind, ...children) => h("td", { role: "cell", "data-label": label, class: kind }, children);
  const { running, last_run: last, next_run: next } = target;
  return h("tr", { role: "row", "data-key": target.name },
    h("th", { role: "rowheader", scope: "row", class: "name" }, linkTo(target.name), asPath(target.path)),
    cell("State", "", states(target), running && h("span", { class: "second number" }, `${files(running.deleted)}, ${size(running.freed_bytes)}`)),
    cell("Next run", "", next ? [time(next), h("span", { class: "second" }, clock(next))] : "–"),
    cell("Last run", "", last ? [outcome(last), h("span", { class: "second" }, time(last.started))] : "–"),
    cell("Freed, by run", "", last ? [spark(target.name), h("span", { class: "second number" }, `${freedBy(last)} last`)] : "–"),
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
      isOver(target) && h("p", { class: "why" }, badge("over its limit", "wait"), " ", target.over_limits.map(capital).join("; "), "."),
      running && h("div", { class: "running", id: "running" },
        h("p", { class: "number" }, h("strong", null, "Running: "), `${number(running.examined)} examined, `,
          `${files(running.deleted)} gone, ${size(running.freed_bytes)} freed`, running.failed ? `, ${number(running.failed)} failed` : ""),
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
        h("span", null, freedBy(run)), aside(run.trigger))),
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
      pair("Freed", freedBy(full)),
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

