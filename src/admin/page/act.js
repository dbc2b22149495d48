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
    danger: (target.action === "delete" || makesRoom(target)) && !target.dry_run,
  };
}

const verb = ({ action }) => (action === "delete" ? "delete" : action === "trash" ? "trash" : "move");

/// Whether files may go for good all the same: a trash makes no room.
const makesRoom = ({ action, disk }) => action === "trash" && Boolean(disk?.min_free_bytes);

function fate(target) {
  const { action, dry_run: dry } = target;
  if (dry) return "would go; this target is a dry run, nothing is removed.";
  if (action === "delete") return "will be deleted for good.";
  if (makesRoom(target)) return "will go to the trash, from where undo brings them back; those that make room for min_free will be deleted for good.";
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
