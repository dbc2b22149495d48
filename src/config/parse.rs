//! Parsing of the text into the raw config, with every problem of names and types at once.
//!
//! serde stops at the first error. So each table that does not fit is tried key by key, and each list item by item: a
//! part that does not fit alone is a problem and is removed, and the rest fits.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::problems::{MOST, Problem};
use super::raw::{LATER, REPLACED, RawAdmin, RawConfig, RawDefaults, RawLog, RawTarget};
use super::schema::{self, Form};

/// Keys that were written wrongly: start of their table, and their name (or the intended one). These keys must not be
/// reported as missing.
pub(super) type Blamed = BTreeSet<(usize, String)>;

/// Result of parsing.
pub(super) struct Parsed {
    /// Raw config; `None` when too little could be read to check its meaning.
    pub(super) raw: Option<RawConfig>,
    pub(super) problems: Vec<Problem>,
    pub(super) blamed: Blamed,
}

struct Scrub {
    problems: Vec<Problem>,
    blamed: Blamed,
}

type Key<'i> = Spanned<std::borrow::Cow<'i, str>>;
type Value<'i> = Spanned<DeValue<'i>>;

/// Parses the text.
pub(super) fn parse(text: &str) -> Parsed {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Parsed { raw: None, problems: syntax(&errors), blamed: Blamed::new() };
    }
    of_table(root)
}

/// Parses the readable parts of a text, whatever is wrong with the rest.
pub(super) fn recover(text: &str) -> Parsed {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut parsed = of_table(root);
    parsed.problems.extend(syntax(&errors));
    parsed
}

fn of_table(mut root: Spanned<DeTable<'_>>) -> Parsed {
    let mut scrub = Scrub { problems: Vec::new(), blamed: Blamed::new() };
    if root.get_ref().is_empty() {
        let help = "write a `[[target]]`; to stop a target, set `enabled = false`".to_owned();
        scrub.note(0..0, "the file is empty", help);
        return Parsed { raw: None, problems: scrub.problems, blamed: scrub.blamed };
    }
    let span = root.span();
    scrub.shapes(root.get_mut(), span.start);
    let raw = match RawConfig::deserialize(Deserializer::from(root.clone())) {
        Ok(raw) => Some(raw),
        Err(_) => scrub.config(root),
    };
    Parsed { raw, problems: scrub.problems, blamed: scrub.blamed }
}

/// Returns the problems of text that is not TOML.
fn syntax(errors: &[toml::de::Error]) -> Vec<Problem> {
    let duplicate = |error: &toml::de::Error| error.message().starts_with("duplicate key");
    // In a line that was not understood, a table header may be lost, so that the keys below it seem to be duplicates.
    let first = errors.iter().filter(|error| !duplicate(error)).filter_map(toml::de::Error::span).map(|at| at.start);
    let first = first.min().unwrap_or(usize::MAX);
    let place = |error: &toml::de::Error| error.span().unwrap_or(0..0);
    let true_ones = errors.iter().filter(|error| !duplicate(error) || place(error).start < first);
    true_ones.map(|error| Problem { span: place(error), message: error.message().to_owned(), help: None }).collect()
}

/// Returns an error unless `T` accepts the table.
fn fits<T: DeserializeOwned>(span: &Range<usize>, table: DeTable<'_>) -> Result<(), toml::de::Error> {
    T::deserialize(Deserializer::from(Spanned::new(span.clone(), table))).map(drop)
}

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

impl Scrub {
    /// Returns whether there are more problems than are reported, so that the rest can be skipped.
    fn has_enough(&self) -> bool {
        self.problems.len() > MOST
    }

    fn note(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.problems.push(Problem { span, message: message.into(), help: help.into() });
    }

    /// Checks that tables are where tables belong. serde does not check this: it takes a list for a table whose keys
    /// come in order.
    fn shapes(&mut self, root: &mut DeTable<'_>, start: usize) {
        let mut wrong = Vec::new();
        for (key, value) in root.iter_mut() {
            let name = key.get_ref().as_ref();
            let span = value.span();
            match (name, value.get_mut()) {
                ("admin" | "log" | "defaults", DeValue::Array(_)) => {
                    let help = format!("write it once, as `[{name}]`");
                    self.note(span, format!("`{name}` is one table, not a list"), help);
                    wrong.push(key.clone());
                }
                ("target", DeValue::Array(targets)) if targets.is_empty() => {
                    let help = "write `[[target]]`; each one begins a target".to_owned();
                    self.note(span, "an empty `target` names no directory", help);
                    wrong.push(key.clone());
                }
                ("target", DeValue::Array(targets)) => {
                    let misshapen = |target: &Value<'_>| !target.get_ref().is_table();
                    for target in targets.iter().filter(|target| misshapen(target)).take(MOST + 1) {
                        self.note(target.span(), "a target is a table", "write it as `[[target]]`".to_owned());
                    }
                    if targets.iter().any(misshapen) {
                        *targets = targets.iter().filter(|target| !misshapen(target)).cloned().collect();
                    }
                }
                ("target", single @ DeValue::Table(_)) => {
                    let help = "write `[[target]]`; each one begins a target".to_owned();
                    self.note(span.clone(), "`target` is a list of tables", help);
                    let table = std::mem::replace(single, DeValue::Boolean(false));
                    *single = DeValue::Array([Spanned::new(span, table)].into_iter().collect());
                }
                _ => {}
            }
        }
        for key in wrong {
            root.remove(&key);
            self.blamed.insert((start, key.into_inner().into_owned()));
        }
    }

    fn config(&mut self, mut root: Spanned<DeTable<'_>>) -> Option<RawConfig> {
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
        if self.has_enough() {
            return None;
        }
        // The rest fits, key by key; if its parts do not fit together, that is a problem like any other.
        match RawConfig::deserialize(Deserializer::from(root)) {
            Ok(raw) => Some(raw),
            Err(error) => {
                self.note(error.span().unwrap_or(0..0), in_words(error.message()), None);
                None
            }
        }
    }

    /// Removes every key from the table that `T` does not accept.
    fn table<T: DeserializeOwned>(&mut self, table: &mut DeTable<'_>, span: Range<usize>) {
        if self.has_enough() || fits::<T>(&span, table.clone()).is_ok() {
            return;
        }
        let keys: Vec<_> = table.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        for (key, value) in keys {
            if self.has_enough() {
                return;
            }
            let alone = |value: Value<'_>| fits::<T>(&span, [(key.clone(), value)].into_iter().collect());
            let Err(error) = alone(value.clone()) else { continue };
            if let Some(left) = self.items(&key, &value, &alone) {
                if !left.is_empty() {
                    table.insert(key, Spanned::new(value.span(), DeValue::Array(left)));
                    continue;
                }
            } else if let Some(meant) = self.problem(&error, &key, &value) {
                self.blamed.insert((span.start, meant));
            }
            table.remove(&key);
            self.blamed.insert((span.start, key.into_inner().into_owned()));
        }
    }

    /// Returns the fitting items of a list, if only its items do not fit.
    fn items<'i>(
        &mut self,
        key: &Key<'i>,
        list: &Value<'i>,
        alone: &impl Fn(Value<'i>) -> Result<(), toml::de::Error>,
    ) -> Option<DeArray<'i>> {
        let mut fit = DeArray::new();
        self.halves(key, list.get_ref().as_array()?, list.span(), alone, &mut fit)?;
        Some(fit)
    }

    /// Checks the items by halves, since a long list with one wrong item is the likely case.
    fn halves<'i>(
        &mut self,
        key: &Key<'i>,
        items: &[Value<'i>],
        list: Range<usize>,
        alone: &impl Fn(Value<'i>) -> Result<(), toml::de::Error>,
        fit: &mut DeArray<'i>,
    ) -> Option<()> {
        if self.has_enough() {
            return Some(());
        }
        let part = DeValue::Array(items.iter().cloned().collect());
        match (alone(Spanned::new(list.clone(), part)), items) {
            (Ok(()), _) => items.iter().for_each(|item| fit.push(item.clone())),
            (Err(error), [item]) if error.span().is_some_and(|at| covers(&item.span(), &at)) => {
                self.problem(&error, key, item);
            }
            // The list itself does not fit.
            (Err(_), [] | [_]) => return None,
            (Err(_), _) => {
                let (first, second) = items.split_at(items.len() / 2);
                self.halves(key, first, list.clone(), alone, fit)?;
                self.halves(key, second, list, alone, fit)?;
            }
        }
        Some(())
    }

    /// Notes a problem. Returns the key that was probably meant.
    fn problem(&mut self, error: &toml::de::Error, key: &Key<'_>, value: &Value<'_>) -> Option<String> {
        let span = error.span().filter(|span| !span.is_empty()).unwrap_or(key.span());
        let message = error.message();
        if message.starts_with("unknown field") {
            return self.unknown_key(span, key.get_ref(), &known(message));
        }
        if let (true, Some(word)) = (message.starts_with("unknown variant"), value.get_ref().as_str()) {
            let known = known(message);
            let help = match nearest(word, known.iter().copied()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("use one of {}", known.join(", ")),
            };
            self.note(span, format!("unknown value \"{word}\""), help);
            return None;
        }
        let message = in_words(message);
        let message = match value.get_ref() {
            // serde takes a date for a table.
            DeValue::Datetime(_) => message.replacen("invalid type: table", "invalid type: date", 1),
            _ => message,
        };
        let help = how_to_write(key.get_ref(), value.get_ref());
        self.note(span, message, help.map(str::to_owned));
        None
    }

    fn unknown_key(&mut self, span: Range<usize>, key: &str, known: &[&str]) -> Option<String> {
        if LATER.contains(&key) {
            self.note(span, format!("`{key}` is not supported by this version"), "leave it out".to_owned());
            return None;
        }
        if let Some((_, help)) = REPLACED.iter().find(|(replaced, _)| *replaced == key) {
            self.note(span, format!("unknown key `{key}`"), (*help).to_owned());
            return None;
        }
        // The key may belong to another table, or be a wrong name for a key of this one.
        let tables: Vec<&str> = schema::known(key).iter().map(|known| known.table.unwrap_or("the top level")).collect();
        if let [others @ .., last] = tables.as_slice() {
            let tables =
                if others.is_empty() { (*last).to_owned() } else { format!("{} and {last}", others.join(", ")) };
            let help = format!("it is a key of {tables}; known here: {}", known.join(", "));
            self.note(span, format!("unknown key `{key}`"), help);
            return None;
        }
        let meant = nearest(key, known.iter().copied());
        let help = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        self.note(span, format!("unknown key `{key}`"), help);
        meant.map(str::to_owned)
    }
}

/// Returns the names that serde knows: unknown field `a`, expected one of `b`, `c`. The unknown name may hold any text,
/// so the known ones are taken from the end.
fn known(message: &str) -> Vec<&str> {
    let known = message.rsplit_once("expected ").map_or("", |(_, known)| known);
    known.split('`').skip(1).step_by(2).collect()
}

/// Returns advice on writing a value that was written as another type.
fn how_to_write(key: &str, value: &DeValue<'_>) -> Option<&'static str> {
    match (key, value) {
        ("listen", DeValue::Integer(_)) => return Some("write an address and a port, \"127.0.0.1:8000\""),
        ("listen", DeValue::Boolean(false)) => return Some("write \"off\""),
        _ => {}
    }
    // The same key has the same form in every table.
    match (schema::known(key).first()?.form, value) {
        (Form::Duration, _) => Some("write a duration in quotes, as in \"30d\""),
        (Form::Size, _) => Some("write a size in quotes, as in \"10GB\""),
        (Form::ShareOrSize, _) => Some("write a share or a size in quotes, as in \"10%\" or \"10GB\""),
        (Form::Number, DeValue::String(_)) => Some("write a number, without quotes"),
        (Form::Flag, DeValue::String(_)) => Some("write true or false, without quotes"),
        _ => None,
    }
}

/// Rewords a message of serde in the terms of a config.
fn in_words(message: &str) -> String {
    let words = [
        ("expected a sequence", "expected a list, as in [\"a\", \"b\"]"),
        ("invalid type: map", "invalid type: table"),
        ("invalid type: sequence", "invalid type: list"),
        ("expected u16", "expected a number from 0 to 65535"),
        ("expected u64", "expected a whole number"),
        ("expected a map", "expected a table"),
    ];
    // The type names in "expected struct RawLog" mean nothing to users.
    let message = message
        .split_once("expected struct")
        .map_or(message.to_owned(), |(before, _)| format!("{before}expected a table"));
    words.iter().fold(message, |message, (theirs, ours)| message.replace(theirs, ours))
}

/// Returns the known word that was probably meant.
pub(super) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if wrong.len() > LONGEST {
        // A long word is no typing error, and measuring it would take long.
        return None;
    }
    let distance = |word: &'a str| (strsim::damerau_levenshtein(&wrong.to_lowercase(), &word.to_lowercase()), word);
    let (distance, word) = known.map(distance).min()?;
    (distance <= 1 + wrong.len() / 4).then_some(word)
}
