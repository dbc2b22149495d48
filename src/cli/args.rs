//! The grammar of the command line.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::admin::Listed;
use crate::fsys::Owner;
use crate::verdict::Protection;

const EXIT_CODES: &str = "\
Exit codes:
  0   ok
  1   a run failed or was only partly done; the daemon could not be reached, or its port was taken
  64  the command line is wrong
  75  held by a guard: nothing was removed
  78  the config is wrong

The config is the file of --config, else of $JANITOR_CONFIG, else config/janitor.toml in the working directory, else (not
as root) $XDG_CONFIG_HOME/janitor/janitor.toml, else /etc/janitor/janitor.toml, else the built-in target `marked_images`
in the working directory. Each command says on stderr which it is.";

/// Keeps many directories clean from one TOML file.
#[derive(Debug, Parser)]
#[command(name = "janitor", version, about, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(super) struct Args {
    /// The config file
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) config: Option<PathBuf>,
    /// Trust one more owner of the config, the log, the state and the token, by number
    #[arg(long, global = true, value_name = "UID[:GID]", env = "JANITOR_TRUST_OWNER", hide_env_values = true)]
    pub(super) trust_owner: Option<Owner>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the daemon: sweep each target on its schedule until told to stop
    #[command(
        after_help = "SIGHUP reads the config again and opens the log anew; SIGTERM and SIGINT stop between two files."
    )]
    Run,
    /// Check the config, and print the targets with their next three runs
    Check(Check),
    /// Tell what a run would remove now, and why; removes nothing
    Preview(Preview),
    /// Print why a file goes or stays, and from when it would go
    #[command(after_help = "Example: janitor explain uploads/a.png")]
    Explain(Explain),
    /// Sweep now, in this process; no daemon is needed
    #[command(after_help = "Example: janitor clean marked_images --dry-run")]
    Clean(Clean),
    /// Print when a schedule fires, one RFC 3339 instant a line
    #[command(
        after_help = "Example: janitor next --cron '30 2 * * *' --timezone America/New_York --from 2026-03-07T12:00:00Z"
    )]
    Next(Next),
    /// Print the JSON schema of the config
    Schema,
    /// Print the daemon's status
    Status(Status),
    /// Sweep now, in the daemon, and wait for the end
    Trigger(Trigger),
    /// Start the schedule of one target, or of all
    Start(Switch),
    /// Stop the schedule of one target, or of all; manual runs go on working
    Stop(Stop),
    /// Have the daemon read its config again, now
    Reload(Client),
    /// Have the daemon sweep the target of a held run once, without the guard that held it
    #[command(after_help = "`janitor status` lists the held runs.")]
    Release(Release),
    /// Print the runs that are remembered, newest first
    History(History),
    /// Put back what a run has put into the trash (`action = "trash"`)
    Undo(Undo),
    /// List what is in the trash, or empty it
    Trash(Trash),
    /// Make the file with the bearer token that the config names (`admin.token_file`)
    #[command(after_help = "It is made for the user who runs this; the daemon has to be able to read it.")]
    Token(Token),
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub(super) struct Printed {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Check {
    /// Fail, too, when the last run of a target left it over its limit, or missed with an exclude
    #[arg(long)]
    pub(super) strict: bool,
    #[command(flatten)]
    pub(super) printed: Printed,
}

/// The value of `--kept` for every protection.
const ALL: &str = "all";

/// Reads the value of `--kept`.
fn protections() -> impl TypedValueParser<Value = Listed> {
    let words = Protection::ALL.iter().map(|protection| protection.word());
    PossibleValuesParser::new([ALL].into_iter().chain(words)).map(|word| {
        let wanted = Protection::ALL.iter().find(|protection| protection.word() == word);
        wanted.map_or(Listed::All, |protection| Listed::Only(*protection))
    })
}

#[derive(Debug, ClapArgs)]
pub(super) struct Preview {
    /// The targets; all that are enabled if none is named
    #[arg(value_name = "TARGET")]
    pub(super) targets: Vec<String>,
    /// Time that the preview takes for now
    #[arg(long, value_name = "RFC3339", conflicts_with = "ahead")]
    pub(super) at: Option<String>,
    /// Duration after which the preview is made, as in 14d
    #[arg(long = "in", value_name = "DURATION")]
    pub(super) ahead: Option<String>,
    /// List also what stays because of a protection; with a value, only what this protection keeps
    #[arg(long, value_name = "PROTECTION", num_args = 0..=1, default_missing_value = ALL, value_parser = protections())]
    pub(super) kept: Option<Listed>,
    #[command(flatten)]
    pub(super) printed: Printed,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Explain {
    /// Files or directories in a target
    #[arg(value_name = "PATH", required = true)]
    pub(super) paths: Vec<std::path::PathBuf>,
    #[command(flatten)]
    pub(super) printed: Printed,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Clean {
    /// The targets; all that are enabled if none is named
    #[arg(value_name = "TARGET")]
    pub(super) targets: Vec<String>,
    /// Only log what would be removed
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    pub(super) quiet: bool,
    #[command(flatten)]
    pub(super) printed: Printed,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Next {
    /// A crontab expression
    #[arg(long, value_name = "EXPR", conflicts_with = "target")]
    pub(super) cron: Option<String>,
    /// The schedule of this target; of all that are enabled if neither is given
    #[arg(long, value_name = "NAME")]
    pub(super) target: Option<String>,
    /// The zone, "local" or an IANA name; that of the target, or local, if not given
    #[arg(long, value_name = "ZONE")]
    pub(super) timezone: Option<String>,
    /// Only what lies strictly after this; now if not given
    #[arg(long, value_name = "RFC3339")]
    pub(super) from: Option<String>,
    /// Number of runs
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) count: u32,
    #[command(flatten)]
    pub(super) printed: Printed,
}

/// Arguments of every client of the daemon.
#[derive(Clone, Debug, ClapArgs)]
pub(super) struct Client {
    /// The daemon's admin port or socket (a path with a `/`), if not those of the config. Its token is sent there, on this
    /// machine only to root, this user or the owner of the state
    #[arg(long, value_name = "ADDRESS:PORT|SOCKET")]
    pub(super) admin: Option<String>,
    #[command(flatten)]
    pub(super) printed: Printed,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Status {
    /// Print it again every 30 seconds
    #[arg(long)]
    pub(super) watch: bool,
    #[command(flatten)]
    pub(super) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Trigger {
    /// The target; all that are enabled if none is named
    #[arg(value_name = "TARGET")]
    pub(super) target: Option<String>,
    /// Only log what would be removed
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not wait for the end
    #[arg(long)]
    pub(super) no_wait: bool,
    #[command(flatten)]
    pub(super) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Release {
    /// The held run, or its target
    #[arg(value_name = "RUN|TARGET")]
    pub(super) held: String,
    /// Do not wait for the end
    #[arg(long)]
    pub(super) no_wait: bool,
    #[command(flatten)]
    pub(super) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(super) struct History {
    /// The target; all of them if none is named
    #[arg(value_name = "TARGET")]
    pub(super) target: Option<String>,
    /// Number of runs
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(super) count: u32,
    #[command(flatten)]
    pub(super) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Undo {
    /// The run
    #[arg(value_name = "RUN")]
    pub(super) run: String,
    #[command(flatten)]
    pub(super) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Trash {
    /// Only what runs of this target have put there
    #[arg(value_name = "TARGET")]
    pub(super) target: Option<String>,
    /// Remove all of it for good; asks first
    #[arg(long)]
    pub(super) empty: bool,
    /// Do not ask before --empty
    #[arg(long, requires = "empty")]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) printed: Printed,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Switch {
    /// The target; all of them if none is named
    #[arg(value_name = "TARGET")]
    pub(super) target: Option<String>,
    #[command(flatten)]
    pub(super) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Stop {
    /// The target; all of them if none is named
    #[arg(value_name = "TARGET")]
    pub(super) target: Option<String>,
    /// Stop what is being swept, too, before its next file
    #[arg(long)]
    pub(super) cancel: bool,
    #[command(flatten)]
    pub(super) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Token {
    /// Put a new token in the place of the one that is there
    #[arg(long)]
    pub(super) rotate: bool,
    #[command(flatten)]
    pub(super) printed: Printed,
}
