//! The database file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use super::{Change, Hold, Known, Remembered, went_on};
use crate::fsys::{Denied, OwnDir};
use crate::names::{RunId, TargetName};
use crate::report::{KnownRoot, Report, RootSeen};

/// Name of the database in the state directory.
pub(super) const FILE: &str = crate::config::STATE_FILE;

/// Maximum number of runs kept of each target.
const RUNS_KEPT: u32 = 100;

/// Maximum number of runs kept of all targets together, when the file is opened.
const ALL_KEPT: u32 = 50_000;

/// Time to wait for another process that has the file locked. A change that cannot be written then is written later.
const BUSY: Duration = Duration::from_secs(2);

/// Steps, each of which brings the file from one version to the next. A step that has been released is never changed.
const STEPS: [&str; 1] = ["
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, target TEXT NOT NULL, started INTEGER NOT NULL, outcome TEXT NOT NULL, report TEXT NOT NULL
    ) STRICT;
    CREATE INDEX runs_of_target ON runs (target, started);
    CREATE TABLE due (target TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT;
    CREATE TABLE holds (run TEXT PRIMARY KEY, target TEXT NOT NULL UNIQUE, report TEXT NOT NULL) STRICT;
    CREATE TABLE roots (target TEXT PRIMARY KEY, path BLOB NOT NULL, seen TEXT NOT NULL, boot TEXT NOT NULL) STRICT;
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"];

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// The open database.
#[derive(Debug)]
pub(super) struct Db(Connection);

/// Judges the file and what SQLite keeps beside it by the rule of trust.
pub(super) fn check(dir: &OwnDir) -> std::result::Result<(), Denied> {
    ["", "-wal", "-shm", "-journal"].iter().try_for_each(|end| dir.check(OsStr::new(&format!("{FILE}{end}"))))
}

/// Turns an error that is not SQLite's into one that is.
pub(super) fn failed(error: &dyn std::fmt::Display) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN), Some(error.to_string()))
}

/// Returns whether a change that failed with this error may be done later, once the file or its disk is as it should
/// be.
pub(super) fn may_pass(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, FileLockingProtocolFailed, NotADatabase,
        OperationInterrupted, OutOfMemory, PermissionDenied, ReadOnly, SystemIoFailure,
    };
    let code = error.sqlite_error_code();
    let is_of_the_file =
        matches!(code, Some(CannotOpen | DatabaseCorrupt | NotADatabase | PermissionDenied | ReadOnly));
    let is_of_others = matches!(code, Some(DatabaseBusy | DatabaseLocked | FileLockingProtocolFailed));
    let is_of_the_system = matches!(code, Some(DiskFull | OperationInterrupted | OutOfMemory | SystemIoFailure));
    is_of_the_file || is_of_others || is_of_the_system
}

pub(super) fn is_no_good(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

fn text(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| failed(&error))
}

fn nanos(at: Timestamp) -> i64 {
    // The number is in range until the year 2262.
    i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX)
}

fn instant(nanos: i64) -> Option<Timestamp> {
    Timestamp::from_nanosecond(nanos.into()).ok()
}

impl Db {
    /// Opens the database to work with it. A damaged file is put aside, under its name and the time, and a new one
    /// begun.
    pub(super) fn open(dir: &OwnDir, now: Timestamp) -> Result<Self> {
        match Self::at(dir) {
            Err(error) if is_no_good(&error) => {
                let aside = format!("{FILE}.damaged-{}", now.strftime("%Y%m%dT%H%M%SZ"));
                tracing::error!("The state is damaged ({error}); it is kept as `{aside}`, and a new one begins");
                for end in ["-wal", "-shm", ""] {
                    let (from, to) = (format!("{FILE}{end}"), format!("{aside}{end}"));
                    // A file that is missing needs not to be put aside.
                    drop(dir.rename_to(OsStr::new(&from), OsStr::new(&to)));
                }
                Self::at(dir)
            }
            done => done,
        }
    }

    fn at(dir: &OwnDir) -> Result<Self> {
        // The database names files, which not everybody may list, so SQLite is not left to make the file.
        dir.open_or_make(OsStr::new(FILE)).map_err(|denied| failed(&denied))?;
        let mut db = Self::connect(dir, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        let fine: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if fine != "ok" {
            let damaged = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(rusqlite::Error::SqliteFailure(damaged, Some(fine)));
        }
        migrate(&mut db)?;
        let prune = "DELETE FROM runs WHERE id IN (SELECT id FROM runs ORDER BY started DESC LIMIT -1 OFFSET ?1)";
        db.execute(prune, [ALL_KEPT])?;
        // A target of which no run is known has been gone for long.
        let prune = "DELETE FROM facts WHERE (name LIKE 'success %' OR name LIKE 'stalled %')
                AND substr(name, 9) NOT IN (SELECT target FROM runs)";
        db.execute(prune, [])?;
        Ok(Self(db))
    }

    /// Opens the database to read it, beside whoever works with it. A transaction that a killed writer left undone is
    /// rolled back, which takes a connection that can write.
    pub(super) fn look(dir: &OwnDir) -> Result<Self> {
        let db = Self::connect(dir, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        match version(&db) {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ReadOnly) => {
                drop(db);
                let db = Self::connect(dir, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
                version(&db)?;
                Ok(Self(db))
            }
            known => known.map(|_| Self(db)),
        }
    }

    /// Opens the file and what SQLite keeps beside it, after a look at each. SQLite opens by path. Nobody else can
    /// change anything on the way or in the directory, and that the way is the same afterwards is checked.
    fn connect(dir: &OwnDir, flags: OpenFlags) -> Result<Connection> {
        check(dir).map_err(|denied| failed(&denied))?;
        let db = Connection::open_with_flags(dir.path().join(FILE), flags | OpenFlags::SQLITE_OPEN_NOFOLLOW)?;
        db.busy_timeout(BUSY)?;
        if !dir.is_still_there() {
            return Err(failed(&"the state directory was exchanged while it was opened"));
        }
        Ok(db)
    }

    /// Writes what is in the journal into the file, and gives back the journal's room.
    pub(super) fn shrink(&self) {
        // This is tried before a write that may fail. The error of that write says what an error here would.
        drop(self.0.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
    }

    fn all<T>(&self, query: &str, each: impl Fn(&Row<'_>) -> Result<Option<T>>) -> Result<Vec<T>> {
        let mut query = self.0.prepare(query)?;
        // A row that an older or newer version wrote and this one does not understand is left out.
        query.query_map([], |row| each(row))?.filter_map(Result::transpose).collect::<Result<Vec<T>>>()
    }

    pub(super) fn remembered(&mut self, boot: &str) -> Result<Remembered> {
        let name = |row: &Row<'_>| -> Result<_> { Ok(TargetName::new(&row.get::<_, String>(0)?).ok()) };
        let last = "SELECT target, report, max(started) FROM runs GROUP BY target";
        let last_runs = self.all(last, |row| Ok(name(row)?.zip(json::<Report>(&row.get::<_, String>(1)?))))?;
        let successes = "SELECT substr(name, 9), value FROM facts WHERE name LIKE 'success %'";
        let last_successes =
            self.all(successes, |row| Ok(name(row)?.zip(row.get::<_, String>(1)?.parse().ok().and_then(instant))))?;
        let due = self.all("SELECT target, at FROM due", |row| Ok(name(row)?.zip(instant(row.get(1)?))))?;
        let holds = self.all("SELECT report FROM holds ORDER BY run", |row| {
            Ok(json::<Report>(&row.get::<_, String>(0)?).and_then(|report| Hold::of(&report)))
        })?;
        let roots = self.all("SELECT target, path, seen FROM roots", |row| {
            let path = OsStr::from_bytes(&row.get::<_, Vec<u8>>(1)?).into();
            let seen: Option<RootSeen> = json(&row.get::<_, String>(2)?);
            Ok(name(row)?.zip(seen.map(|seen| KnownRoot { path, seen })))
        })?;
        let stalled = "SELECT substr(name, 9), value FROM facts WHERE name LIKE 'stalled %'";
        let stalled = self.all(stalled, |row| Ok(name(row)?.zip(json(&row.get::<_, String>(1)?))))?;
        Ok(Remembered {
            stalled: stalled.into_iter().collect(),
            last_runs: last_runs.into_iter().map(|(target, report)| (target, Arc::new(report))).collect(),
            last_successes: last_successes.into_iter().collect(),
            due: due.into_iter().collect(),
            holds,
            roots: roots.into_iter().collect(),
            newest_run: self.newest_run()?,
            clock_offset: self.clock_offset(boot)?,
        })
    }

    fn fact(&self, name: &str) -> Result<Option<String>> {
        self.0.query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| row.get(0)).optional()
    }

    fn due(&mut self, target: &TargetName, at: Timestamp) -> Result<()> {
        let put = "INSERT INTO due VALUES (?1, ?2) ON CONFLICT (target) DO UPDATE SET at = ?2";
        self.0.execute(put, params![target.as_str(), nanos(at)]).map(drop)
    }

    /// Applies a change.
    pub(super) fn apply(&mut self, change: &Change, boot: &str) -> Result<()> {
        match change {
            Change::Due(target, at) => self.due(target, *at),
            Change::Ended(report) => self.ended(report, boot),
            Change::Held(report) => self.held(report),
            Change::Released(run) => self.released(run),
            Change::Clock(offset) => self.clock(boot, *offset),
        }
    }

    pub(super) fn ended(&mut self, report: &Report, boot: &str) -> Result<()> {
        let step = self.0.transaction()?;
        insert(&step, report)?;
        let target = report.target.as_str();
        match Hold::of(report) {
            Some(later) => {
                let known = "SELECT report FROM holds WHERE target = ?1";
                let known = step.query_row(known, [target], |row| row.get::<_, String>(0)).optional()?;
                let known = known.and_then(|known| json::<Report>(&known)).and_then(|known| Hold::of(&known));
                if !known.is_some_and(|known| known.is_confirmed_by(&later)) {
                    hold(&step, report)?;
                }
            }
            None if went_on(report) => {
                step.execute("DELETE FROM holds WHERE target = ?1", [target])?;
            }
            None => {}
        }
        if let (Some((path, seen)), true) = (&report.root, went_on(report)) {
            step.execute(
                "INSERT OR REPLACE INTO roots VALUES (?1, ?2, ?3, ?4)",
                params![target, path.as_os_str().as_bytes(), text(seen)?, boot],
            )?;
        }
        stall(&step, report)?;
        if went_on(report) {
            step.execute(
                "INSERT OR REPLACE INTO facts VALUES ('newest_run', ?1)",
                [nanos(report.started).to_string()],
            )?;
        }
        step.commit()
    }

    /// Returns the knowledge that the next run of a target goes by.
    pub(super) fn known(&self, target: &str, boot: &str) -> Result<Known> {
        if version(&self.0)? == 0 {
            // Nothing was ever written to this file.
            return Ok(Known::default());
        }
        let root = self.0.query_row("SELECT path, seen FROM roots WHERE target = ?1", [target], |row| {
            let seen: Option<RootSeen> = json(&row.get::<_, String>(1)?);
            Ok((OsStr::from_bytes(&row.get::<_, Vec<u8>>(0)?).into(), seen))
        });
        let root = root.optional()?.and_then(|(path, seen)| Some(KnownRoot { path, seen: seen? }));
        let stalled = self.fact(&format!("stalled {target}"))?.and_then(|value| json(&value));
        Ok(Known { root, stalled, newest_run: self.newest_run()?, clock_offset: self.clock_offset(boot)? })
    }

    fn newest_run(&self) -> Result<Option<Timestamp>> {
        Ok(self.fact("newest_run")?.and_then(|value| value.parse().ok()).and_then(instant))
    }

    fn clock_offset(&self, boot: &str) -> Result<Option<i128>> {
        Ok(self.fact(&format!("clock {boot}"))?.and_then(|value| value.parse().ok()))
    }

    fn held(&mut self, report: &Report) -> Result<()> {
        let step = self.0.transaction()?;
        insert(&step, report)?;
        hold(&step, report)?;
        step.commit()
    }

    fn released(&mut self, run: &RunId) -> Result<()> {
        self.0.execute("DELETE FROM holds WHERE run = ?1", [run.as_str()]).map(drop)
    }

    fn clock(&mut self, boot: &str, offset: i128) -> Result<()> {
        let step = self.0.transaction()?;
        step.execute("DELETE FROM facts WHERE name LIKE 'clock %'", [])?;
        step.execute("INSERT INTO facts VALUES (?1, ?2)", params![format!("clock {boot}"), offset.to_string()])?;
        step.commit()
    }

    /// Limits the number of pages that the file may have.
    #[cfg(test)]
    pub(super) fn limit(&mut self, pages: u32) -> Result<()> {
        self.0.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
    }

    /// Returns the runs, newest first. There are none where the run `before` is not known any more.
    pub(super) fn runs(&self, target: Option<&str>, before: Option<&RunId>, count: usize) -> Result<Vec<Report>> {
        let mut query = self.0.prepare(
            "SELECT report FROM runs WHERE (?1 IS NULL OR target = ?1)
                AND (?3 IS NULL OR (started, id) < (SELECT started, id FROM runs WHERE id = ?3))
                ORDER BY started DESC, id DESC LIMIT ?2",
        )?;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let found =
            query.query_map(params![target, count, before.map(RunId::as_str)], |row| row.get::<_, String>(0))?;
        found.map(|report| Ok(json(&report?))).filter_map(Result::transpose).collect()
    }

    /// Returns one run.
    pub(super) fn run(&self, run: &RunId) -> Result<Option<Report>> {
        let query = "SELECT report FROM runs WHERE id = ?1";
        let found = self.0.query_row(query, [run.as_str()], |row| row.get::<_, String>(0)).optional()?;
        Ok(found.and_then(|report| json(&report)))
    }
}

fn insert(step: &rusqlite::Transaction<'_>, report: &Report) -> Result<()> {
    let (run, target) = (report.run.as_str(), report.target.as_str());
    step.execute(
        "INSERT OR REPLACE INTO runs VALUES (?1, ?2, ?3, ?4, ?5)",
        params![run, target, nanos(report.started), report.outcome.to_string(), text(report)?],
    )?;
    step.execute(
        "DELETE FROM runs WHERE target = ?1 AND started < (
            SELECT started FROM runs WHERE target = ?1 ORDER BY started DESC LIMIT 1 OFFSET ?2)",
        params![target, RUNS_KEPT - 1],
    )?;
    if report.is_success() {
        step.execute(
            "INSERT OR REPLACE INTO facts VALUES (?1, ?2)",
            params![format!("success {target}"), nanos(report.ended()).to_string()],
        )?;
    }
    Ok(())
}

/// Records a run as the one of its target that is held.
fn hold(step: &rusqlite::Transaction<'_>, report: &Report) -> Result<()> {
    let (run, target) = (report.run.as_str(), report.target.as_str());
    step.execute("INSERT OR REPLACE INTO holds VALUES (?1, ?2, ?3)", params![run, target, text(report)?]).map(drop)
}

/// Records whether deleting freed anything, for the next run of the target.
fn stall(step: &rusqlite::Transaction<'_>, report: &Report) -> Result<()> {
    if !went_on(report) {
        return Ok(());
    }
    let name = format!("stalled {}", report.target);
    match &report.stalled {
        Some(stalled) => step.execute("INSERT OR REPLACE INTO facts VALUES (?1, ?2)", params![name, text(stalled)?])?,
        None => step.execute("DELETE FROM facts WHERE name = ?1", [name])?,
    };
    Ok(())
}

fn version(db: &Connection) -> Result<u32> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn migrate(db: &mut Connection) -> Result<()> {
    let version = version(db)? as usize;
    if version > STEPS.len() {
        return Err(failed(&format!("it is of version {version}, and this janitor knows {} only", STEPS.len())));
    }
    for (done, step) in STEPS.iter().enumerate().skip(version) {
        // Each step is applied whole or not at all.
        let change = db.transaction()?;
        change.execute_batch(step)?;
        change.pragma_update(None, "user_version", done as u32 + 1)?;
        change.commit()?;
    }
    Ok(())
}
