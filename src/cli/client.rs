//! `status`, `trigger`, `start`, `stop`, `reload`: the daemon's admin port from the shell.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::args::{Client, Release, Status, Switch, Trigger};
use super::load::admin;
use super::output::{self, complain};
use super::table::table;
use super::{Done, Exit};
use crate::names::{OneLine, RunId};

const CONNECT: Duration = Duration::from_secs(5);

/// How long an answer may take that does not wait for a run.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often `status --watch` asks.
const WATCH: Duration = Duration::from_secs(30);

/// No answer of the daemon is larger.
const MAX_ANSWER: usize = 64 << 20;

/// Where the daemon is, and what opens its door.
struct Daemon {
    address: String,
    token: Option<String>,
}

impl Daemon {
    fn find(config: Option<&Path>, client: &Client) -> Result<Self, Exit> {
        let Some(settings) = admin(config)? else {
            let Some(address) = &client.admin else {
                complain("the config is too wrong to tell the admin port from; say with --admin where the daemon is");
                return Err(Exit::Config);
            };
            return Ok(Self { address: address.clone(), token: None });
        };
        let address = match (&client.admin, settings.listen) {
            (Some(address), _) => address.clone(),
            (None, None) => {
                complain("the config turns the admin port off (admin.listen = \"off\")");
                return Err(Exit::Failed);
            }
            (None, Some(listen)) if listen.port() == 0 => {
                complain(
                    "the config lets the system choose the port; say with --admin which it is, the daemon's log has it",
                );
                return Err(Exit::Failed);
            }
            (None, Some(listen)) => reachable(listen).to_string(),
        };
        // One that cannot be read is not needed by the daemon's own user, or the daemon will say that it is.
        let token = settings.token_file.and_then(|file| std::fs::read_to_string(file).ok());
        Ok(Self { address, token: token.map(|token| token.trim().to_owned()) })
    }

    /// Asks, and takes the answer's JSON.
    async fn ask(&self, method: &str, path: &str, patience: Option<Duration>) -> Result<Value, String> {
        let Some(patience) = patience else { return self.wait_for(method, path).await };
        let late = |_| format!("the daemon at {} does not answer within {} s", self.address, patience.as_secs());
        timeout(patience, self.wait_for(method, path)).await.map_err(late)?
    }

    async fn wait_for(&self, method: &str, path: &str) -> Result<Value, String> {
        let address = &self.address;
        let connecting = timeout(CONNECT, TcpStream::connect(address)).await;
        let stream = match connecting {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return Err(format!(
                    "cannot reach the daemon at {address}: {error} (is `janitor run` running? If admin.listen was \
                     changed, it still listens where it did: say so with --admin)"
                ));
            }
            Err(_) => {
                return Err(format!("cannot reach the daemon at {address}: no answer in {} s", CONNECT.as_secs()));
            }
        };
        let broken = |error: hyper::Error| format!("the daemon at {address} broke off: {error}");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // What goes wrong with the connection shows in the answer.
        tokio::spawn(async move { drop(connection.await) });
        let mut request = Request::builder().method(method).uri(path).header("Host", address);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| format!("the daemon at {address} broke off: {error}"))?.to_bytes();
        serde_json::from_slice(&body)
            .map_err(|_| format!("what answers at {address} is no janitor: HTTP status {status}"))
    }
}

/// Where a client finds a port that listens everywhere.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(if listen.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    listen
}

fn block_on<T>(work: impl Future<Output = Result<T, Exit>>) -> Result<T, Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        complain(format_args!("cannot start: {error}"));
        Exit::Failed
    })?;
    runtime.block_on(work)
}

/// Asks once, and prints the answer: as JSON, or with `show`.
fn ask(config: Option<&Path>, client: &Client, path: &str, patience: Option<Duration>) -> Done {
    let daemon = Daemon::find(config, client)?;
    let json = client.printed.json;
    let answer = block_on(async { daemon.ask("POST", path, patience).await.map_err(|message| failed(message, json)) })?;
    print(&answer, json, show_message)
}

fn failed(message: String, json: bool) -> Exit {
    complain(OneLine(&message));
    if json {
        // What cannot be printed either has been told on stderr.
        _ = output::json(&json!({ "success": false, "error": "unreachable", "message": message }));
    }
    Exit::Failed
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn print(answer: &Value, json: bool, show: fn(&Value) -> Done) -> Done {
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
    output::foreign(text(answer, "message"))?;
    show_runs(answer)
}

fn show_runs(answer: &Value) -> Done {
    for run in answer["runs"].as_array().into_iter().flatten() {
        let (target, id) = (text(run, "target"), text(run, "run"));
        let outcome = match run["outcome"].as_str() {
            None => format!("{target}: run {id}"),
            Some(outcome) => {
                let deleted = if run["dry_run"] == true { "would delete" } else { "deleted" };
                let freed = crate::units::Bytes(run["freed_bytes"].as_u64().unwrap_or_default());
                format!(
                    "{target}: {outcome}, {deleted} {} file(s), {} failed, freed {freed}",
                    run["deleted"], run["failed"]
                )
            }
        };
        output::foreign(&outcome)?;
    }
    Ok(())
}

fn path(route: &str, parameters: &[(&str, &str)]) -> String {
    if parameters.is_empty() {
        return route.to_owned();
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("{route}?{query}")
}

/// `janitor trigger`.
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

/// `janitor start` and `janitor stop`.
pub(super) fn switch(config: Option<&Path>, route: &str, args: &Switch) -> Done {
    let target = args.target.as_deref().map(|target| ("target", target));
    ask(config, &args.client, &path(route, target.as_slice()), Some(PATIENCE))
}

/// `janitor reload`.
pub(super) fn reload(config: Option<&Path>, args: &Client) -> Done {
    ask(config, args, "/cleanup/reload", Some(PATIENCE))
}

/// `janitor release`.
pub(super) fn release(config: Option<&Path>, args: &Release) -> Done {
    let Some(run) = RunId::parse(&args.run) else {
        complain("this is not the id of a run; `janitor status` lists those that are held");
        return Err(Exit::Usage);
    };
    let wait = if args.no_wait { &[("wait", "false")][..] } else { &[] };
    let route = path(&format!("/cleanup/runs/{run}/release"), wait);
    ask(config, &args.client, &route, args.no_wait.then_some(PATIENCE))
}

/// `janitor status`.
pub(super) fn status(config: Option<&Path>, args: &Status) -> Done {
    let daemon = Daemon::find(config, &args.client)?;
    let json = args.client.printed.json;
    block_on(async {
        loop {
            let done = match daemon.ask("GET", "/cleanup/status", Some(PATIENCE)).await {
                Ok(answer) => print(&answer, json, show_status),
                Err(message) => Err(failed(message, json)),
            };
            // Who watches wants to see the daemon come back.
            if !args.watch || done == Err(Exit::Ok) {
                return done;
            }
            sleep(WATCH).await;
            output::line("")?;
        }
    })
}

fn show_status(answer: &Value) -> Done {
    let status = &answer["scheduler_status"];
    let running = if status["is_running"] == true { "the schedule is running" } else { "the schedule is stopped" };
    let next = status["next_run"].as_str().map(|next| format!(", next run {next}")).unwrap_or_default();
    output::foreign(&format!("janitor {}: {running}{next}", text(status, "version")))?;
    let config = &status["config"];
    if let Some(problems) = config["rejection"]["problems"].as_array() {
        output::foreign(&format!(
            "CONFIG REJECTED at {}, the last good one is in force since {}:",
            text(&config["rejection"], "at"),
            text(config, "in_force_since")
        ))?;
        for problem in problems.iter().filter_map(Value::as_str) {
            output::foreign(&format!("  {problem}"))?;
        }
    }
    for key in config["needs_restart"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output::foreign(&format!("{key} has a new value that waits for a restart"))?;
    }
    for failure in config["not_applied"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output::foreign(&format!("COULD NOT BE APPLIED: {failure}"))?;
    }
    for hold in status["holds"].as_array().into_iter().flatten() {
        let (target, run, why) = (text(hold, "target"), text(hold, "run"), text(hold, "why"));
        output::foreign(&format!("HELD: {target}: {why}; to run it all the same: janitor release {run}"))?;
    }
    if let Some(why) = status["clock_problem"].as_str() {
        output::foreign(&format!("THE CLOCK IS NOT TRUSTED, runs that ask for ages are held: {why}"))?;
    }
    if let Some(error) = status["state"]["error"].as_str() {
        output::foreign(&format!("NOTHING IS REMEMBERED: {error}"))?;
    }
    if let Some(error) = status["log"]["error"].as_str() {
        output::foreign(&format!(
            "THE LOG CANNOT BE WRITTEN ({} records lost): {error}",
            status["log"]["lost_records"]
        ))?;
    }
    let row = |target: &Value| {
        let last = &target["last_run"];
        let bytes = |value: &Value| value.as_u64().map(|bytes| crate::units::Bytes(bytes).to_string());
        let number = |value: &Value| value.as_u64().map(|number| number.to_string());
        let cells = [
            Some(text(target, "name").to_owned()),
            Some(text(target, "state").to_owned()),
            target["next_run"].as_str().map(str::to_owned),
            last["outcome"].as_str().map(str::to_owned),
            number(&last["deleted"]),
            bytes(&last["freed_bytes"]),
        ];
        cells.into_iter().map(|cell| OneLine(&cell.unwrap_or_else(|| "-".to_owned())).to_string()).collect()
    };
    let rows: Vec<Vec<String>> = status["targets"].as_array().into_iter().flatten().map(row).collect();
    output::print(&table(&["target", "state", "next run", "last run", "deleted", "freed"], &rows))
}
