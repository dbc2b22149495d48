//! Values of a target's keys, checked one by one.

use std::ops::Range;
use std::path::Path;

use super::check::Checker;
use super::own::absolute;
use super::raw::At;
use super::target::Key;
use crate::target::{Action, Watermark};
use crate::units::{self, UnitError};

/// Parses a watermark: a share or a size.
pub(super) fn parse_watermark(text: &str) -> Result<Watermark, UnitError> {
    if text.contains('%') {
        return units::parse_share(text).map(Watermark::Share);
    }
    match units::parse_size(text)? {
        0 => Err(UnitError { span: 0..text.len(), message: "`min_free` cannot be zero".into(), help: None }),
        bytes => Ok(Watermark::Bytes(bytes)),
    }
}

impl Checker<'_> {
    /// Refuses a value that is too small.
    pub(super) fn at_least<T>(
        &mut self,
        key: Key<T>,
        is_less: fn(&T) -> bool,
        say: fn(&mut Self, Range<usize>),
    ) -> Key<T> {
        match key {
            Key::Good(value, span) if is_less(&value) => {
                say(self, span);
                Key::Bad
            }
            key => key,
        }
    }

    /// Reads a number from 1 to `most`. Zero is refused, since some read it as "none" and others as "without limit".
    pub(super) fn number(&mut self, key: &str, value: Option<&At<u64>>, most: u64) -> Key<u64> {
        let Some(value) = value else { return Key::Absent };
        match *value.value() {
            0 => {
                let help = "leave the key out if you mean none".to_owned();
                self.problem(value.span(), format!("`{key}` cannot be zero"), help);
                Key::Bad
            }
            number if number > most => {
                self.problem(value.span(), format!("`{key}` can be {most} at most"), None);
                Key::Bad
            }
            number => Key::Good(number, value.span()),
        }
    }

    pub(super) fn action(&mut self, value: Option<&At<String>>) -> Key<Action> {
        let Some(value) = value else { return Key::Absent };
        let text = value.value().as_str();
        let action = match (text, text.strip_prefix("move:").map(Path::new)) {
            ("delete", _) => Action::Delete,
            (_, Some(to)) if to.is_absolute() => match self.sound(value, text.trim_start_matches("move:")) {
                Some(to) => Action::MoveTo(absolute(to, &self.base)),
                None => return Key::Bad,
            },
            (_, Some(_)) => {
                let help = "write it like \"move:/archive\"".to_owned();
                self.problem(value.span(), "where files are moved to has to be an absolute path", help);
                return Key::Bad;
            }
            ("trash", _) => Action::Trash,
            _ => {
                let help = "use \"delete\", \"trash\" or \"move:/dir\"".to_owned();
                self.problem(value.span(), format!("unknown action \"{text}\""), help);
                return Key::Bad;
            }
        };
        Key::Good(action, value.span())
    }

    pub(super) fn require(&mut self, value: Option<&At<String>>) -> Key<Box<str>> {
        let Some(value) = value else { return Key::Absent };
        let text = value.value().as_str();
        if text.is_empty() || text.len() > 255 || text.contains(['/', '\0']) || text == "." || text == ".." {
            let help = "write a name, as in \".mounted\"".to_owned();
            self.problem(value.span(), "`require` names one entry directly below `path`", help);
            return Key::Bad;
        }
        Key::Good(text.into(), value.span())
    }
}
