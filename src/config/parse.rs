//! From text to the raw config, with every problem of names and types at once.
//!
//! serde stops at the first error. So each table that does not fit is taken key by key: a key that does not fit alone
//! is a problem and is taken out, and what is left fits.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::problems::Problem;
use super::raw::{LATER, RawAdmin, RawConfig, RawDefaults, RawLog, RawTarget};

/// Keys that were written, but wrongly: where their table begins, and their name (or the one that was meant). They are
/// not to be reported as missing.
pub(super) type Blamed = BTreeSet<(usize, String)>;

/// What could be read.
pub(super) struct Parsed {
    pub(super) raw: RawConfig,
    pub(super) problems: Vec<Problem>,
    pub(super) blamed: Blamed,
}

struct Scrub {
    problems: Vec<Problem>,
    blamed: Blamed,
}

/// Reads the text. A text that is not TOML gives an empty config and its syntax errors.
pub(super) fn parse(text: &str) -> Parsed {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let problem = |error: &toml::de::Error| Problem {
            span: error.span().unwrap_or(0..0),
            message: error.message().to_owned(),
            help: None,
        };
        let problems = errors.iter().map(problem).collect();
        return Parsed { raw: RawConfig::default(), problems, blamed: Blamed::new() };
    }
    of_table(root)
}

/// Reads what can be read of a text, whatever is wrong with the rest of it.
pub(super) fn recover(text: &str) -> Parsed {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut parsed = of_table(root);
    let problem = |error: &toml::de::Error| Problem {
        span: error.span().unwrap_or(0..0),
        message: error.message().to_owned(),
        help: None,
    };
    parsed.problems.extend(errors.iter().map(problem));
    parsed
}

fn of_table(root: Spanned<DeTable<'_>>) -> Parsed {
    let mut scrub = Scrub { problems: Vec::new(), blamed: Blamed::new() };
    let raw = match RawConfig::deserialize_from(root.clone()) {
        Ok(raw) => raw,
        Err(_) => scrub.config(root),
    };
    Parsed { raw, problems: scrub.problems, blamed: scrub.blamed }
}

trait FromTable: DeserializeOwned {
    fn deserialize_from(table: Spanned<DeTable<'_>>) -> Result<Self, toml::de::Error> {
        Self::deserialize(Deserializer::from(table))
    }
}

impl<T: DeserializeOwned> FromTable for T {}

impl Scrub {
    fn config(&mut self, mut root: Spanned<DeTable<'_>>) -> RawConfig {
        for (key, value) in root.get_mut().iter_mut() {
            let span = value.span();
            match (key.get_ref().as_ref(), value.get_mut()) {
                ("admin", DeValue::Table(table)) => self.table::<RawAdmin>(table, span),
                ("log", DeValue::Table(table)) => self.table::<RawLog>(table, span),
                ("defaults", DeValue::Table(table)) => self.table::<RawDefaults>(table, span),
                ("target", DeValue::Array(targets)) => {
                    for target in targets.iter_mut() {
                        let span = target.span();
                        if let DeValue::Table(table) = target.get_mut() {
                            self.table::<RawTarget>(table, span);
                        }
                    }
                }
                _ => {}
            }
        }
        let span = root.span();
        self.table::<RawConfig>(root.get_mut(), span);
        // What is left fits, key by key; if it did not fit together, that is a problem like any other.
        RawConfig::deserialize_from(root).unwrap_or_else(|error| {
            self.problem(&error, 0..0);
            RawConfig::default()
        })
    }

    /// Takes every key out of the table that `T` does not take.
    fn table<T: DeserializeOwned>(&mut self, table: &mut DeTable<'_>, span: Range<usize>) {
        if T::deserialize_from(Spanned::new(span.clone(), table.clone())).is_ok() {
            return;
        }
        let keys: Vec<_> = table.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        for (key, value) in keys {
            let mut alone = DeTable::new();
            alone.insert(key.clone(), value);
            if let Err(error) = T::deserialize_from(Spanned::new(span.clone(), alone)) {
                table.remove(&key);
                self.blamed.insert((span.start, key.get_ref().to_string()));
                if let Some(meant) = self.problem(&error, key.span()) {
                    self.blamed.insert((span.start, meant));
                }
            }
        }
    }

    /// Notes a problem; gives back the key that was probably meant.
    fn problem(&mut self, error: &toml::de::Error, key: Range<usize>) -> Option<String> {
        let span = error.span().filter(|span| !span.is_empty()).unwrap_or(key);
        let message = &in_words(error.message());
        // serde quotes what it found and then what it knows: unknown field `a`, expected one of `b`, `c`
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let (Some(kind), Some((wrong, known))) = (message.strip_prefix("unknown "), quoted.split_first()) else {
            self.problems.push(Problem { span, message: message.to_owned(), help: None });
            return None;
        };
        if kind.starts_with("field") {
            if LATER.contains(wrong) {
                let help = Some("leave it out".to_owned());
                self.problems.push(Problem {
                    span,
                    message: format!("`{wrong}` is not supported by this version"),
                    help,
                });
                return None;
            }
            let meant = nearest(wrong, known.iter().copied());
            let help = match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            self.problems.push(Problem { span, message: format!("unknown key `{wrong}`"), help: Some(help) });
            return meant.map(str::to_owned);
        }
        let help = match nearest(wrong, known.iter().copied()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("use one of {}", known.join(", ")),
        };
        self.problems.push(Problem { span, message: format!("unknown value \"{wrong}\""), help: Some(help) });
        None
    }
}

/// The message of serde in the words of a config.
fn in_words(message: &str) -> String {
    let words = [
        ("expected a sequence", "expected a list, as in [\"a\", \"b\"]"),
        ("invalid type: map", "invalid type: table"),
        ("invalid type: sequence", "invalid type: list"),
        ("expected u16", "expected a number from 0 to 65535"),
        ("expected a map", "expected a table"),
    ];
    // "expected struct RawLog": the names of our types mean nothing outside.
    let message = message
        .split_once("expected struct")
        .map_or(message.to_owned(), |(before, _)| format!("{before}expected a table"));
    words.iter().fold(message, |message, (theirs, ours)| message.replace(theirs, ours))
}

/// The known word that was probably meant.
pub(super) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |word: &'a str| (strsim::damerau_levenshtein(&wrong.to_lowercase(), &word.to_lowercase()), word);
    let (distance, word) = known.map(distance).min()?;
    (distance <= 1 + wrong.len() / 4).then_some(word)
}
