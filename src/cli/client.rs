//! `trigger`, `start`, `stop`, `reload`, `release`: requests to the daemon from the shell, by its socket or its port.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::args::{Client, Release, Stop, Switch, Trigger};
use super::door::{Door, Servers, Stream, reachable};
use super::load::{admin, client_trust};
use super::output::{self, complain};
use super::{Done, Exit};
use crate::admin::Token;
use crate::entry::ActionKind;
use crate::fsys::Trust;
use crate::names::{OneLine, RunId};
use crate::report::about;

/// Reason for which nobody is asked where the config wants no doors.
const NO_DOOR: &str =
    "the config turns the admin port and the socket off (admin.listen = \"off\", admin.socket = \"off\")";

/// Time for an answer that does not wait for a run.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// Size of the largest answer that is read, in bytes. No answer of the daemon is larger.
const MAX_ANSWER: usize = 64 << 20;

/// The doors at which the daemon may be, and what opens them.
pub(super) struct Daemon {
    /// Doors that are tried in turn, until one can be reached.
    doors: Vec<Door>,
    /// Reason for which there are no doors, if there are none.
    no_door: &'static str,
    token: Option<Token>,
    servers: Servers,
}

/// Result of asking once.
enum Asked {
    Answer(StatusCode, Value),
    /// The token would have been sent, but not to the server that is there, for this reason.
    Withheld(String),
}

/// Reason for which there is no answer.
pub(super) struct Failure {
    pub(super) message: String,
    /// Whether nobody listens, so that there is nobody to ask.
    pub(super) is_absent: bool,
}

impl Failure {
    fn broken(message: String) -> Self {
        Self { message, is_absent: false }
    }
}

impl Daemon {
    /// Returns whether the config wants no doors, so that nobody can be asked.
    pub(super) fn has_no_door(&self) -> bool {
        self.no_door == NO_DOOR
    }

    /// Finds the daemon where the config has it, or where the command line says.
    pub(super) fn find(config: Option<&Path>, client: &Client) -> Result<Self, Exit> {
        let said = client.admin.as_ref().map(|admin| match admin.contains('/') {
            true => Door::Socket(admin.into()),
            false => Door::Port(admin.clone()),
        });
        let settings = admin(config)?;
        let believed = client_trust(config);
        // Root takes no config from others, so whoever root believes may have the token.
        let confided_in = if rustix::process::geteuid().is_root() { believed } else { Trust::of_process() };
        let servers = Servers { believed, confided_in, is_named: said.is_some() };
        let Some(settings) = settings else {
            let Some(door) = said else {
                complain(
                    "the config is too wrong to tell the admin port from (`janitor check` tells what is wrong); say with --admin where the daemon is",
                );
                return Err(Exit::Config);
            };
            return Ok(Self { doors: vec![door], no_door: "", token: None, servers });
        };
        let no_door = match (settings.listen, &settings.socket) {
            (None, None) => NO_DOOR,
            (None, Some(_)) => "there is no socket where the config has it (is `janitor run` running?)",
            (Some(_), _) => {
                "the config lets the system choose the port; say with --admin which it is, the daemon's log has it"
            }
        };
        let doors = match said {
            Some(door) => vec![door],
            None => {
                // A socket that is new in the config is made only when the daemon starts anew.
                let socket = settings.socket.filter(|path| path.symlink_metadata().is_ok()).map(Door::Socket);
                let port = settings.listen.filter(|listen| listen.port() != 0);
                let port = port.map(|listen| Door::Port(reachable(listen).to_string()));
                socket.into_iter().chain(port).collect()
            }
        };
        let token = settings.token_file.and_then(|file| token(&file, config));
        Ok(Self { doors, no_door, token, servers })
    }

    /// Sends a request, and returns the JSON of the answer.
    pub(super) async fn ask(&self, method: &str, path: &str, patience: Option<Duration>) -> Result<Value, Failure> {
        let Some(patience) = patience else { return self.wait_for(method, path).await };
        let late = |_| Failure::broken(format!("the daemon does not answer within {} s", patience.as_secs()));
        timeout(patience, self.wait_for(method, path)).await.map_err(late)?
    }

    async fn wait_for(&self, method: &str, path: &str) -> Result<Value, Failure> {
        let (mut refused, mut withheld) = (None, None);
        for with_token in self.tries() {
            match self.once(method, path, *with_token).await? {
                Asked::Answer(status, answer) if !matches!(status.as_u16(), 401 | 403 | 429) => return Ok(answer),
                Asked::Answer(_, answer) if *with_token || refused.is_none() => refused = Some(answer),
                Asked::Answer(..) => {}
                Asked::Withheld(why) => withheld = Some(why),
            }
        }
        match (refused, withheld) {
            (Some(answer), None) => Ok(answer),
            (Some(answer), Some(why)) => Err(Failure::broken(format!("{}; {why}", text(&answer, "message")))),
            (None, _) => Err(Failure::broken("nobody was asked".to_owned())),
        }
    }

    /// Returns whether the token is sent, at the first try and at the next. Root mostly needs no token, and then shows
    /// it to nobody. Where the file has a new token that the daemon has not read yet, the daemon's own user can still
    /// have it read.
    fn tries(&self) -> &'static [bool] {
        match (&self.token, rustix::process::geteuid().is_root()) {
            (None, _) => &[false],
            (Some(_), true) => &[false, true],
            (Some(_), false) => &[true, false],
        }
    }

    async fn once(&self, method: &str, path: &str, with_token: bool) -> Result<Asked, Failure> {
        let token = self.token.as_ref().filter(|_| with_token);
        let mut failure: Option<Failure> = None;
        for door in &self.doors {
            let (why, is_absent) = match door.connect().await {
                Ok((stream, server)) => {
                    self.servers.check(door, server).map_err(Failure::broken)?;
                    if token.is_some()
                        && let Err(why) = self.servers.check_for_token(door, server)
                    {
                        return Ok(Asked::Withheld(why));
                    }
                    let exchanged = match stream {
                        Stream::Port(stream) => exchange(stream, door, method, path, token).await,
                        Stream::Socket(stream) => exchange(stream, door, method, path, token).await,
                    };
                    return exchanged.map(|(status, answer)| Asked::Answer(status, answer));
                }
                Err(unreachable) => unreachable,
            };
            let message = format!("cannot reach the daemon at {door}: {why}");
            failure = Some(match failure {
                None => Failure { message, is_absent },
                Some(before) => Failure {
                    message: format!("{}; {message}", before.message),
                    is_absent: before.is_absent && is_absent,
                },
            });
        }
        Err(failure.unwrap_or_else(|| Failure { message: self.no_door.to_owned(), is_absent: true }))
    }
}

/// Reads the token that is sent to the daemon. A token that cannot be read is not needed by the daemon's own user, or
/// the daemon will say that it is needed. A token that somebody else could have put there is sent to nobody.
fn token(file: &Path, config: Option<&Path>) -> Option<Token> {
    match Token::read(file, &client_trust(config)) {
        Ok(token) => Some(token),
        Err(error) => {
            if error.is_breach() {
                complain(format_args!("warning: no token is sent: {error}"));
            }
            None
        }
    }
}

async fn exchange<S>(
    stream: S,
    door: &Door,
    method: &str,
    path: &str,
    token: Option<&Token>,
) -> Result<(StatusCode, Value), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: &dyn std::fmt::Display| Failure::broken(format!("the daemon at {door} broke off: {error}"));
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| broken(&error))?;
    // Errors of the connection show in the answer.
    tokio::spawn(async move { drop(connection.await) });
    let host = match door {
        Door::Port(address) => address.as_str(),
        Door::Socket(_) => "localhost",
    };
    let mut request = Request::builder().method(method).uri(path).header("Host", host);
    if let Some(token) = token {
        request = request.header("Authorization", token.bearer());
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| Failure::broken(error.to_string()))?;
    let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| broken(&error))?.to_bytes();
    let answer = serde_json::from_slice(&body);
    let answer =
        answer.map_err(|_| Failure::broken(format!("what answers at {door} is no janitor: HTTP status {status}")))?;
    Ok((status, answer))
}

pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Exit>>) -> Result<T, Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        complain(format_args!("cannot start: {error}"));
        Exit::Failed
    })?;
    runtime.block_on(work)
}

/// Sends a request, and prints the answer: as JSON, or its message and runs.
fn ask(config: Option<&Path>, client: &Client, path: &str, patience: Option<Duration>) -> Done {
    let daemon = Daemon::find(config, client)?;
    let json = client.printed.json;
    let answer =
        block_on(async { daemon.ask("POST", path, patience).await.map_err(|failure| failed(&failure, json)) })?;
    print(&answer, json, show_message)
}

/// Reports that there is no answer.
pub(super) fn failed(Failure { message, .. }: &Failure, json: bool) -> Exit {
    complain(OneLine(message));
    if json {
        // A failure to print has been reported on stderr by then.
        _ = output::json(&json!({ "success": false, "error": "unreachable", "message": message }));
    }
    Exit::Failed
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Prints an answer: as JSON, or with `show`.
pub(super) fn print(answer: &Value, json: bool, show: impl FnOnce(&Value) -> Done) -> Done {
    let success = answer["success"] == true;
    let printed = if json {
        output::json(answer)
    } else if success {
        show(answer)
    } else {
        complain(OneLine(text(answer, "message")));
        for problem in answer["problems"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            complain(OneLine(problem));
        }
        show_runs(answer)
    };
    match (success, &answer["error"]) {
        (true, _) => printed,
        (false, error) if error == "unknown_target" => Err(Exit::Usage),
        (false, _) => Err(Exit::Failed),
    }
}

fn show_message(answer: &Value) -> Done {
    // A change that does not survive a restart is reported on stderr, so that nobody overlooks it.
    if answer["not_kept"].is_string() {
        complain(OneLine(text(answer, "message")));
    } else {
        output::foreign(text(answer, "message"))?;
    }
    show_runs(answer)
}

pub(super) fn show_runs(answer: &Value) -> Done {
    for run in answer["runs"].as_array().into_iter().flatten() {
        let (target, id) = (text(run, "target"), text(run, "run"));
        let outcome = match run["outcome"].as_str() {
            None => format!("{target}: run {id}"),
            Some(outcome) => {
                // An older daemon does not tell the action.
                let action = ActionKind::deserialize(&run["action"]).unwrap_or_default();
                let deleted = action.told(run["dry_run"] == true);
                let about = about(run["estimated_bytes"].as_u64().unwrap_or_default());
                let freed = crate::units::Bytes(run["freed_bytes"].as_u64().unwrap_or_default());
                format!(
                    "{target}: {outcome}, {deleted} {} file(s), {} failed, freed {about}{freed}",
                    run["deleted"], run["failed"]
                )
            }
        };
        output::foreign(&outcome)?;
        complain_of_limits(run);
    }
    Ok(())
}

/// Reports on stderr the limits that the target of a run is over, if there are any.
pub(super) fn complain_of_limits(run: &Value) {
    for over in run["over_limits"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let over = OneLine(over);
        complain(format_args!("{}: over its limit: {over}", OneLine(text(run, "target"))));
    }
}

/// Returns the path of a route with its parameters.
pub(super) fn path(route: &str, parameters: &[(&str, &str)]) -> String {
    if parameters.is_empty() {
        return route.to_owned();
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("{route}?{query}")
}

/// Runs `janitor trigger`.
pub(super) fn trigger(config: Option<&Path>, args: &Trigger) -> Done {
    let mut parameters = Vec::new();
    if let Some(target) = &args.target {
        parameters.push(("target", target.as_str()));
    }
    if args.dry_run {
        parameters.push(("dry_run", "true"));
    }
    if args.no_wait {
        parameters.push(("wait", "false"));
    }
    // A run may take hours.
    let patience = args.no_wait.then_some(PATIENCE);
    ask(config, &args.client, &path("/cleanup/manual", &parameters), patience)
}

/// Runs `janitor start`.
pub(super) fn start(config: Option<&Path>, args: &Switch) -> Done {
    let target = args.target.as_deref().map(|target| ("target", target));
    ask(config, &args.client, &path("/cleanup/start", target.as_slice()), Some(PATIENCE))
}

/// Runs `janitor stop`.
pub(super) fn stop(config: Option<&Path>, args: &Stop) -> Done {
    let target = args.target.as_deref().map(|target| ("target", target));
    let cancel = args.cancel.then_some(("cancel", "true"));
    let parameters: Vec<_> = target.into_iter().chain(cancel).collect();
    ask(config, &args.client, &path("/cleanup/stop", &parameters), Some(PATIENCE))
}

/// Runs `janitor reload`.
pub(super) fn reload(config: Option<&Path>, args: &Client) -> Done {
    ask(config, args, "/cleanup/reload", Some(PATIENCE))
}

/// Runs `janitor release`. A name that has the form of an id is taken for one.
pub(super) fn release(config: Option<&Path>, args: &Release) -> Done {
    let wait = if args.no_wait { &[("wait", "false")][..] } else { &[] };
    let route = match RunId::parse(&args.held) {
        Some(run) => format!("/cleanup/runs/{run}/release"),
        None => format!("/cleanup/targets/{}/release", utf8_percent_encode(&args.held, NON_ALPHANUMERIC)),
    };
    ask(config, &args.client, &path(&route, wait), args.no_wait.then_some(PATIENCE))
}
