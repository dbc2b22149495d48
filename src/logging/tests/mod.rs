mod files;

use std::path::Path;

use jiff::Timestamp;

use super::*;
use crate::config::Rotation;

fn settings(file: &Path) -> LogSettings {
    LogSettings {
        file: Some(file.into()),
        rotation: Rotation::Never,
        max_size: None,
        keep: 14,
        format: LogFormat::Text,
        level: LogLevel::Info,
    }
}

/// Everything that `work` logs, as it stands in the file.
fn logged(change: impl FnOnce(&mut LogSettings), work: impl FnOnce(&Logging)) -> String {
    let yard = tempfile::tempdir().expect("a temporary directory");
    let file = yard.path().join("logs/janitor.log");
    let mut settings = settings(&file);
    change(&mut settings);
    let logging = Logging::new(&settings, &TimeZone::UTC, Arc::default(), Terminal::Off);
    tracing::subscriber::with_default(logging.subscriber(), || work(&logging));
    std::fs::read_to_string(file).expect("the log is there")
}

/// The lines without the time, which is checked to be one.
fn told(text: &str) -> Vec<String> {
    let tell = |line: &str| {
        let (time, rest) = line.split_at(19);
        assert!(jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", time).is_ok(), "{line}");
        rest.to_owned()
    };
    text.lines().map(tell).collect()
}

#[test]
fn a_record_is_one_line_in_the_words_of_old() {
    let text = logged(
        |_| {},
        |_| {
            tracing::info!(target_name = "marked_images", "Deleted file: tmp11ypg1rb_marked.png");
            tracing::warn!("Shutting down");
            tracing::error!(target_name = %"a b", count = 3, "Failed");
            tracing::debug!("not at this level");
        },
    );
    assert_eq!(
        told(&text),
        [
            " - marked_images - INFO - Deleted file: tmp11ypg1rb_marked.png",
            " - janitor - WARNING - Shutting down",
            " - a b - ERROR - Failed count=3"
        ]
    );
    let at: Timestamp = "2024-09-25T00:00:00Z".parse().expect("an instant");
    let zone = TimeZone::get("Europe/Berlin").expect("tzdata is installed");
    assert_eq!(Record::note(at, "x".into()).text(&zone), "2024-09-25 02:00:00 - janitor - WARNING - x");
}

#[test]
fn nothing_in_a_record_can_make_a_second_one() {
    let hostile = "a\n2024-09-25 02:00:00 - janitor - INFO - forged\r\u{1b}[31m\u{202e}\u{2028}\u{85}\0";
    let text = logged(|_| {}, |_| tracing::info!(target_name = hostile, field = hostile, "{hostile}"));
    assert_eq!(text.lines().count(), 1);
    let harmless = |character: char| !character.is_control() && !"\u{202e}\u{2028}".contains(character);
    assert!(text.trim_end_matches('\n').chars().all(harmless), "{text:?}");
    let json = logged(|settings| settings.format = LogFormat::Json, |_| tracing::info!(field = hostile, "{hostile}"));
    assert_eq!(json.lines().count(), 1);
}

#[test]
fn json_carries_the_same() {
    let text = logged(
        |settings| settings.format = LogFormat::Json,
        |_| tracing::info!(target_name = "a", count = 3, "Deleted file: \"b\""),
    );
    let value: serde_json::Value = serde_json::from_str(&text).expect("one object");
    assert!(value["time"].as_str().is_some_and(|time| time.parse::<Timestamp>().is_ok()), "{value}");
    assert_eq!((&value["target"], &value["level"]), (&"a".into(), &"INFO".into()));
    assert_eq!((&value["message"], &value["count"]), (&"Deleted file: \"b\"".into(), &"3".into()));
}

#[test]
fn the_level_and_the_rest_can_change_while_it_runs() {
    let text = logged(
        |settings| settings.level = LogLevel::Error,
        |logging| {
            tracing::warn!("too little");
            let file = logging.file().as_ref().expect("a file").path().to_path_buf();
            let mut new = settings(&file);
            new.level = LogLevel::Debug;
            logging.apply(&new, &TimeZone::UTC).expect("the same file");
            tracing::debug!("enough");
            new.file = Some("/proc/nowhere/log".into());
            new.level = LogLevel::Error;
            assert!(logging.apply(&new, &TimeZone::UTC).is_err());
            tracing::debug!("still");
        },
    );
    assert_eq!(told(&text), [" - janitor - DEBUG - enough", " - janitor - DEBUG - still"]);
}

#[test]
fn a_place_that_has_spoken_follows_the_level_too() {
    fn speak() {
        tracing::info!("spoken");
    }
    let text = logged(
        |_| {},
        |logging| {
            let file = logging.file().as_ref().expect("a file").path().to_path_buf();
            for level in [LogLevel::Info, LogLevel::Error, LogLevel::Debug] {
                logging.apply(&LogSettings { level, ..settings(&file) }, &TimeZone::UTC).expect("the same file");
                speak();
            }
        },
    );
    assert_eq!(told(&text).len(), 2, "{text}");
}

#[test]
fn others_are_not_logged() {
    let text = logged(
        |settings| settings.level = LogLevel::Debug,
        |_| {
            tracing::info!(target: "hyper::proto", "noise");
            tracing::info!(target: "janitors", "noise");
            tracing::info!(target: "janitor::sweep", "ours");
        },
    );
    assert_eq!(told(&text), [" - janitor - INFO - ours"]);
}

#[test]
fn nothing_is_lost_or_mixed_under_load() {
    const THREADS: usize = 8;
    const RECORDS: usize = 2000;
    let text = logged(
        |_| {},
        |logging| {
            std::thread::scope(|scope| {
                for thread in 0..THREADS {
                    let subscriber = logging.subscriber();
                    scope.spawn(move || {
                        tracing::subscriber::with_default(subscriber, || {
                            for record in 0..RECORDS {
                                tracing::info!("thread {thread} record {record} {}", "x".repeat(record % 300));
                            }
                        });
                    });
                }
            });
        },
    );
    let lines = told(&text);
    assert_eq!(lines.len(), THREADS * RECORDS);
    for thread in 0..THREADS {
        let of_thread = format!(" - janitor - INFO - thread {thread} record ");
        let numbers = lines.iter().filter_map(|line| line.strip_prefix(&of_thread));
        let numbers: Vec<usize> =
            numbers.map(|rest| rest.split(' ').next().expect("a number").parse().expect("a number")).collect();
        assert_eq!(numbers, (0..RECORDS).collect::<Vec<_>>());
    }
}
