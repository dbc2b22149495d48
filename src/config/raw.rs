//! The config as it is written: names and types, nothing more. The JSON schema is made from these types, so their docs
//! are what an operator reads in an editor.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use toml::Spanned;

/// A value and where it stands in the text.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct At<T>(pub(super) Spanned<T>);

impl<T> At<T> {
    pub(super) fn value(&self) -> &T {
        self.0.get_ref()
    }

    pub(super) fn span(&self) -> std::ops::Range<usize> {
        self.0.span()
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// The config of janitor: which directories are kept clean, when, and of what.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "janitor.toml")]
pub(super) struct RawConfig {
    /// Directory where relative paths start, itself relative to the directory of this file (its links not resolved).
    #[schemars(length(min = 1), extend("default" = ".", "examples" = ["..", "/srv/app"]))]
    pub(super) base: Option<At<String>>,
    /// Zone of schedules, of the log and of `next_run`: "local", or an IANA name such as "Europe/Berlin".
    #[schemars(extend("default" = "local", "examples" = ["local", "Europe/Berlin"]))]
    pub(super) timezone: Option<At<String>>,
    /// Directory for what must survive the daemon. No target may be it, hold it or lie in it. By default
    /// `/var/lib/janitor` for a config in /etc/janitor, `$XDG_STATE_HOME/janitor` for one in $XDG_CONFIG_HOME/janitor,
    /// else "state".
    pub(super) state_dir: Option<At<String>>,
    /// Number of sweeps that may work on one file system at a time, 1 to 8.
    #[schemars(range(min = 1, max = 8), extend("default" = 1))]
    pub(super) sweeps_per_filesystem: Option<At<u64>>,
    /// The admin port.
    pub(super) admin: Option<RawAdmin>,
    /// The log.
    pub(super) log: Option<RawLog>,
    /// Any key of a target but `name` and `path`; a target's own key replaces it.
    pub(super) defaults: Option<At<RawDefaults>>,
    /// The directories that are kept clean. With none, nothing is swept.
    pub(super) target: Option<Vec<At<RawTarget>>>,
}

/// The admin port.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "admin")]
pub(super) struct RawAdmin {
    /// Address and port, or "off". Port 0 lets the system choose. An address that is not loopback needs `token_file`.
    #[schemars(extend("default" = "127.0.0.1:8000", "examples" = ["127.0.0.1:8000", "localhost:8100", "off"]))]
    pub(super) listen: Option<At<String>>,
    /// Path of a Unix socket for the same routes, or "off", or "auto": `/run/janitor/admin.sock` for a config in
    /// /etc/janitor, `$XDG_RUNTIME_DIR/janitor/admin.sock` for one in $XDG_CONFIG_HOME/janitor, else
    /// "state/admin.sock".
    #[schemars(extend("default" = "auto", "examples" = ["auto", "off", "/run/janitor/admin.sock"]))]
    pub(super) socket: Option<At<String>>,
    /// File that holds the bearer token, mode 0600.
    pub(super) token_file: Option<At<String>>,
}

/// The log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "log")]
pub(super) struct RawLog {
    /// The log file, or "off": the terminal only. By default `/var/log/janitor/cleanup_scheduler.log` for a config in
    /// /etc/janitor, `$XDG_STATE_HOME/janitor/cleanup_scheduler.log` for one in $XDG_CONFIG_HOME/janitor, else
    /// "cleanup_scheduler.log".
    #[schemars(extend("examples" = ["cleanup_scheduler.log", "off"]))]
    pub(super) file: Option<At<String>>,
    /// Time at which a new file is begun, in local time.
    #[schemars(extend("default" = "daily"))]
    pub(super) rotation: Option<RawRotation>,
    /// A new file is also begun when the log has reached this size, whatever `rotation` says; 64 kB at least.
    #[schemars(extend("default" = "100MB", "pattern" = SIZE))]
    pub(super) max_size: Option<At<String>>,
    /// Number of rotated files that are kept; 0 keeps none.
    #[schemars(extend("default" = 14))]
    pub(super) keep: Option<u16>,
    /// How a record is written: one line of text, or one JSON object a line.
    #[schemars(extend("default" = "text"))]
    pub(super) format: Option<RawFormat>,
    /// The least level that is written. "debug" says for each file why it went or stayed.
    #[schemars(extend("default" = "info"))]
    pub(super) level: Option<RawLevel>,
}

/// Rotation of the log.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum RawRotation {
    Hourly,
    Daily,
    Never,
}

/// How a log record is written.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum RawFormat {
    Text,
    Json,
}

/// The least level that is written.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum RawLevel {
    Debug,
    Info,
    Warning,
    Error,
}

/// Stamp of a file from which its age is counted.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum RawAgeBy {
    Modified,
    Accessed,
    Changed,
    Created,
    Newest,
}

/// Order in which a quota or a watermark takes files.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum RawOrder {
    Oldest,
    Largest,
}

/// Treatment of missed runs.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum RawCatchUp {
    Once,
    None,
}

/// Treatment of a run whose directory is missing.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum RawMissing {
    Fail,
    Skip,
    Create,
}

/// Whether the kernel keeps a sweep to its target.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum RawSandbox {
    Prefer,
    Require,
    Off,
}

/// Guard against a directory that is not what it was in the last run.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum RawRoot {
    Same,
    Any,
}

/// Treatment of a file that cannot be verified where that is needed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum RawUnverifiable {
    Skip,
    Plain,
}

/// Pattern with which an editor checks a duration. Every duration matches, and some other texts.
pub(super) const DURATION: &str =
    r"^\s*([0-9]+\s*(s|secs?|seconds?|min|mins|minutes?|h|hrs?|hours?|d|days?|w|weeks?)\s*)+$";

/// Pattern for a size.
pub(super) const SIZE: &str = r"^\s*[0-9.]+\s*([kKmMgGtTpP][iI]?)?[bB]\s*$";

/// Pattern for a share or a size.
pub(super) const SHARE_OR_SIZE: &str = r"^\s*([0-9]+(\.[0-9]{1,2})?\s*%|[0-9.]+\s*([kKmMgGtTpP][iI]?)?[bB])\s*$";

/// Pattern for an action.
pub(super) const ACTION: &str = "^(delete|trash|move:.+)$";

/// `[[target]]` and `[defaults]` share their keys, so they are written once.
macro_rules! keys {
    ($($(#[$attribute:meta])* $key:ident: $type:ty,)*) => {
        /// A directory that is kept clean.
        #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[schemars(rename = "target")]
        pub(super) struct RawTarget {
            /// Unique name, for the log and the routes. By default the last component of `path`.
            #[schemars(length(min = 1, max = 100))]
            pub(super) name: Option<At<String>>,
            /// The directory; a relative one starts at `base`.
            #[schemars(required, length(min = 1))]
            pub(super) path: Option<At<String>>,
            $($(#[$attribute])* pub(super) $key: Option<$type>,)*
        }

        /// Defaults for every target that does not say otherwise.
        #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[schemars(rename = "defaults")]
        pub(super) struct RawDefaults {
            $($(#[$attribute])* pub(super) $key: Option<$type>,)*
        }

        /// The keys that both have.
        #[derive(Clone, Debug, Default)]
        pub(super) struct RawKeys {
            $(pub(super) $key: Option<$type>,)*
        }

        impl RawTarget {
            pub(super) fn keys(&self) -> RawKeys {
                RawKeys { $($key: self.$key.clone(),)* }
            }
        }

        impl RawDefaults {
            pub(super) fn keys(&self) -> RawKeys {
                RawKeys { $($key: self.$key.clone(),)* }
            }
        }
    };
}

keys! {
    /// Schedule of the sweeps: a crontab expression (minute, hour, day of month, month, day of week; with six fields,
    /// seconds first) or @hourly, @daily, @weekly, @monthly, @yearly. Required, here or in [defaults].
    #[schemars(extend("examples" = ["0 2 * * *", "*/15 * * * *", "@hourly"]))]
    schedule: At<String>,
    /// Treatment of runs that were missed because no daemon was there: "once" makes up for them with one, "none" not.
    #[schemars(extend("default" = "once"))]
    catch_up: RawCatchUp,
    /// false: it is checked and shown, and never swept.
    #[schemars(extend("default" = true))]
    enabled: bool,
    /// Only files that one of these globs names, relative to `path`. `*` does not cross `/`, `**` does. "*" is the top
    /// level, "**" everything.
    #[schemars(length(min = 1), extend("examples" = [["*"], ["**/*.tmp", "cache/**"]]))]
    include: At<Vec<At<String>>>,
    /// Files and directories that stay. A glob without an inner `/` holds at any depth; a trailing `/` means
    /// directories only. Beats `include`.
    #[schemars(extend("examples" = [["*.keep", "pinned/"]]))]
    exclude: At<Vec<At<String>>>,
    /// Reason to go: an age of at least this, such as "12h", "30d", "2w".
    #[schemars(extend("pattern" = DURATION, "examples" = ["90s", "15min", "12h", "30d", "2w"]))]
    older_than: At<String>,
    /// Time stamp from which an age is counted. "newest" is the newest of modified, changed and created.
    #[schemars(extend("default" = "modified"))]
    age_by: RawAgeBy,
    /// Filter: only files of more than this, such as "500MB", "1GiB".
    #[schemars(extend("pattern" = SIZE, "examples" = ["500MB", "10GB", "1GiB"]))]
    larger_than: At<String>,
    /// Filter: only files of less than this.
    #[schemars(extend("pattern" = SIZE, "examples" = ["1kB"]))]
    smaller_than: At<String>,
    /// Protection: files younger than this stay, whatever else is asked.
    #[schemars(extend("pattern" = DURATION, "examples" = ["10min", "1h"]))]
    min_age: At<String>,
    /// Reason to go: the candidates have more allocated bytes than this together. The oldest go until they have not.
    #[schemars(extend("pattern" = SIZE, "examples" = ["10GB"]))]
    max_size: At<String>,
    /// Reason to go: there are more candidates than this. The oldest go until there are not.
    #[schemars(range(min = 1), extend("examples" = [1000]))]
    max_files: At<u64>,
    /// Reason to go: the file system has less free space than this, in bytes or as a share of its size. The oldest
    /// go until it has.
    #[schemars(extend("pattern" = SHARE_OR_SIZE, "examples" = ["10%", "20GB"]))]
    min_free: At<String>,
    /// Candidates that `max_size`, `max_files` and `min_free` take first.
    #[schemars(extend("default" = "oldest"))]
    order: RawOrder,
    /// Protection: as many of the newest candidates of each directory stay.
    #[schemars(range(min = 1, max = 100_000), extend("examples" = [3]))]
    keep_newest: At<u64>,
    /// Each directory directly below `path` is one unit: its age is the newest stamp anywhere inside, and it goes or
    /// stays whole.
    #[schemars(extend("default" = false))]
    whole_dirs: bool,
    /// Directories that a run empties go too, and those that were empty before and are old enough.
    #[schemars(extend("default" = false))]
    remove_empty_dirs: bool,
    /// Protection: files that a process has open, mapped or executing stay.
    #[schemars(extend("default" = false))]
    skip_open: bool,
    /// Action on a file that goes: "delete"; "trash", which renames it into the trash beside the target, from where
    /// `janitor undo` puts it back; or "move:/dir", which moves it below that directory.
    #[schemars(extend("default" = "delete", "pattern" = ACTION, "examples" = ["delete", "trash", "move:/archive"]))]
    action: At<String>,
    /// Duration for which the trash keeps the files of a run.
    #[schemars(extend("default" = "7d", "pattern" = DURATION, "examples" = ["12h", "7d"]))]
    trash_keep: At<String>,
    /// In a directory that others can write, a file goes only after it was verified to be the one that was judged, and
    /// that nobody has it open. Where the system cannot do that, "skip" leaves it and "plain" removes it all the same.
    #[schemars(extend("default" = "skip"))]
    on_unverifiable: RawUnverifiable,
    /// Each sweep's threads can be kept by the kernel (Landlock) from touching anything but the target. "prefer" does
    /// so where the kernel can, "require" fails the run where it cannot.
    #[schemars(extend("default" = "prefer"))]
    sandbox: RawSandbox,
    /// Guard: a run that would take more files than this removes nothing and is held.
    #[schemars(range(min = 1), extend("examples" = [10_000]))]
    max_deletes: At<u64>,
    /// Guard: this entry must exist directly below `path`, else the run removes nothing and is held. It never goes.
    #[schemars(length(min = 1, max = 255), extend("examples" = [".mounted"]))]
    require: At<String>,
    /// Guard: a run is held when `path` lies on another file system than in the last run ("same"), or not ("any").
    #[schemars(extend("default" = "same"))]
    root: RawRoot,
    /// Treatment of a run when the directory is missing: "fail" fails it, "skip" ends it as done, "create" makes the
    /// directory (the one above it has to be there).
    #[schemars(extend("default" = "fail"))]
    missing: RawMissing,
    /// Runs only log what they would remove.
    #[schemars(extend("default" = false))]
    dry_run: bool,
    /// Number of threads of a sweep, 1 to 64. By default the number of cores, 8 at most.
    #[schemars(range(min = 1, max = 64))]
    threads: At<u64>,
    /// Whether a sweep takes only what processor and disk have left over (the idle scheduling class).
    #[schemars(extend("default" = false))]
    idle: bool,
    /// Zone of this target's schedule, if not that of the daemon: "local", or an IANA name such as "Europe/Berlin".
    #[schemars(extend("examples" = ["local", "Europe/Berlin"]))]
    timezone: At<String>,
}

/// Keys of the design that this version does not know yet: naming them gets an honest answer.
pub(super) const LATER: [&str; 1] = ["jitter"];

/// Keys of earlier versions, with what to write today.
pub(super) const REPLACED: [(&str, &str); 1] =
    [("create", "write `missing = \"create\"` for true, `missing = \"fail\"` (the default) or `\"skip\"` for false")];
