//! Property that holds of all globs and paths: the walk names what a naive matcher names, which reads the patterns
//! itself and shares no code with the globs that it judges.

use super::{Entered, Globs, List, Named};

/// Longest name in a path, in bytes. This limit and the next two are small, since the naive matcher tries everything.
const LONGEST_NAME: usize = 24;
const LONGEST_PATTERN: usize = 48;
const MOST_COMPONENTS: usize = 8;

/// Checks globs and paths that are given as lines. A line that starts with `+` is an include, one with `-` an exclude,
/// any other a path. Every pattern is refused, or decides of each path as the naive matcher does. Returns whether all
/// patterns were accepted.
///
/// # Panics
/// Panics when the globs and the naive matcher differ.
#[must_use]
pub fn holds(data: &[u8]) -> bool {
    let (mut include, mut exclude, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    for line in data.split(|byte| *byte == b'\n') {
        match (line.split_first(), line.get(1..).and_then(|text| std::str::from_utf8(text).ok())) {
            (Some((b'+', _)), Some(text)) => include.push(text),
            (Some((b'-', _)), Some(text)) => exclude.push(text),
            _ => paths.push(line),
        }
    }
    let checks = |list, texts: &[&str]| texts.iter().all(|text| Globs::check(list, text).is_ok());
    let good = checks(List::Include, &include) && checks(List::Exclude, &exclude);
    let made = Globs::new(include.iter().copied(), exclude.iter().copied());
    assert_eq!(made.is_ok(), good, "{include:?} {exclude:?}");
    let Ok(globs) = made else { return false };
    let patterns = || include.iter().chain(&exclude);
    if patterns().any(|text| text.len() > LONGEST_PATTERN || text.split('/').count() > MOST_COMPONENTS) {
        return true;
    }
    for (one, other) in globs.shadowed() {
        let alone = Globs::new([one], [other]).expect("both were good before");
        for path in paths.iter().filter(|path| is_path(path)) {
            assert!(!names(&alone, path), "{other:?} does not beat {one:?} at {path:?}");
        }
    }
    for path in paths.iter().filter(|path| is_path(path)) {
        let expected = is_named(&include, &exclude, path);
        assert_eq!(names(&globs, path), expected, "{path:?} with {include:?} without {exclude:?}");
    }
    true
}

fn is_path(path: &[u8]) -> bool {
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    names.len() <= MOST_COMPONENTS
        && names
            .iter()
            .all(|name| !matches!(*name, b"" | b"." | b"..") && name.len() <= LONGEST_NAME && !name.contains(&b'\0'))
}

/// Walks down to a path as a sweep would. Returns whether the path is reached and named by an include.
fn names(globs: &Globs, path: &[u8]) -> bool {
    let mut place = globs.root();
    let mut names = path.split(|byte| *byte == b'/').peekable();
    while let Some(name) = names.next() {
        if names.peek().is_none() {
            return globs.file(&place, name) == Named::Included;
        }
        match globs.directory(&place, name) {
            Entered::Place(next) => place = next,
            _ => return false,
        }
    }
    false
}

/// Returns the same as [`names`], by the naive matcher.
fn is_named(include: &[&str], exclude: &[&str], path: &[u8]) -> bool {
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let is_excluded = exclude.iter().any(|pattern| {
        let body = pattern.strip_suffix('/').unwrap_or(pattern);
        let parts: Vec<&str> = body.split('/').collect();
        (1..=names.len()).filter(|length| *length < names.len() || body.len() == pattern.len()).any(|length| {
            match (parts.as_slice(), &names[..length]) {
                ([part], [.., last]) if *part != "**" => is_name(part, last),
                (parts, names) => leads(parts, names, false, false),
            }
        })
    });
    !is_excluded && include.iter().any(|pattern| leads(&pattern.split('/').collect::<Vec<_>>(), &names, true, true))
}

/// Returns whether the parts of a pattern take all the names. With `holding`, a name of a built-in exclude is taken
/// only by a part that spells it; `file` says that the last name is no directory.
fn leads(parts: &[&str], names: &[&[u8]], holding: bool, file: bool) -> bool {
    let is_free = |name: &[u8], last: bool, spelled: &[u8]| {
        !holding || BUILT_IN.iter().all(|held| !held.holds(name, last && file) || held.is_in(spelled))
    };
    match (parts, names) {
        ([], []) => true,
        (["**"], [name]) => is_free(name, true, b""),
        (["**", more @ ..], _) if !more.is_empty() && leads(more, names, holding, file) => true,
        (["**", ..], [name, below @ ..]) => {
            is_free(name, below.is_empty(), b"") && !below.is_empty() && leads(parts, below, holding, file)
        }
        ([part, more @ ..], [name, below @ ..]) if *part != "**" => {
            is_free(name, below.is_empty(), part.as_bytes()) && is_name(part, name) && leads(more, below, holding, file)
        }
        _ => false,
    }
}

/// Built-in exclude: how its names begin and end, whether nothing is between, whether directories alone are meant.
struct BuiltIn(&'static str, &'static str, bool, bool);

const BUILT_IN: [BuiltIn; 10] = [
    BuiltIn(".git", "", true, true),
    BuiltIn(".svn", "", true, true),
    BuiltIn(".hg", "", true, true),
    BuiltIn("lost+found", "", true, true),
    BuiltIn(".janitor", "", false, false),
    BuiltIn(".nfs", "", false, false),
    BuiltIn(".fuse_hidden", "", false, false),
    BuiltIn("", ".part", false, false),
    BuiltIn("", ".crdownload", false, false),
    BuiltIn("", ".download", false, false),
];

impl BuiltIn {
    fn is_in(&self, name: &[u8]) -> bool {
        let Self(start, end, whole, _) = self;
        name.starts_with(start.as_bytes()) && name.ends_with(end.as_bytes()) && (!whole || name.len() == start.len())
    }

    fn holds(&self, name: &[u8], file: bool) -> bool {
        self.is_in(name) && !(self.3 && file)
    }
}

/// Piece of a component of a pattern. A unit is a character of a name that is UTF-8, and a byte of another.
#[derive(Clone)]
enum Piece {
    Star,
    One,
    Unit(u32),
    Class { negated: bool, members: Vec<(u32, u32)> },
    Either(Vec<Vec<Piece>>),
}

fn is_name(part: &str, name: &[u8]) -> bool {
    let units: fn(&str) -> Vec<u32> = match std::str::from_utf8(name) {
        Ok(_) => |text| text.chars().map(u32::from).collect(),
        Err(_) => |text| text.bytes().map(u32::from).collect(),
    };
    let name = std::str::from_utf8(name).map_or_else(|_| name.iter().copied().map(u32::from).collect(), units);
    let mut characters = part.chars().collect::<Vec<_>>().into_iter();
    let pieces = read(&mut characters, false, units).pop().unwrap_or_default();
    takes(&pieces, &name)
}

/// Reads the alternatives up to the closing brace, or the only one up to the end.
fn read(text: &mut impl Iterator<Item = char>, inside: bool, units: fn(&str) -> Vec<u32>) -> Vec<Vec<Piece>> {
    let mut found = Vec::new();
    let mut pieces = Vec::new();
    let literal = |character: char| units(&character.to_string()).into_iter().map(Piece::Unit);
    while let Some(character) = text.next() {
        match character {
            '*' => pieces.push(Piece::Star),
            '?' => pieces.push(Piece::One),
            '[' => pieces.push(class(text)),
            '{' => pieces.push(Piece::Either(read(text, true, units))),
            '}' if inside => break,
            ',' if inside => found.push(std::mem::take(&mut pieces)),
            '\\' => pieces.extend(literal(text.next().unwrap_or('\\'))),
            other => pieces.extend(literal(other)),
        }
    }
    found.push(pieces);
    found
}

/// Reads the members between `[` and `]`; a `]` at the start is a member, a `-` at either end too.
fn class(text: &mut impl Iterator<Item = char>) -> Piece {
    let mut inside: Vec<u32> = Vec::new();
    let mut negated = false;
    for character in text {
        match character {
            '!' | '^' if inside.is_empty() && !negated => negated = true,
            ']' if !inside.is_empty() => break,
            other => inside.push(u32::from(other)),
        }
    }
    let mut members = Vec::new();
    let mut at = 0;
    while let Some(low) = inside.get(at) {
        match inside.get(at + 1..at + 3) {
            Some([dash, high]) if *dash == u32::from('-') => {
                members.push((*low, *high));
                at += 3;
            }
            _ => {
                members.push((*low, *low));
                at += 1;
            }
        }
    }
    Piece::Class { negated, members }
}

/// Returns whether the pieces match all of a name, by trying everything.
fn takes(pieces: &[Piece], name: &[u32]) -> bool {
    let Some((piece, more)) = pieces.split_first() else { return name.is_empty() };
    let first =
        |is: &dyn Fn(u32) -> bool| name.split_first().is_some_and(|(unit, rest)| is(*unit) && takes(more, rest));
    match piece {
        Piece::Star => (0..=name.len()).any(|taken| takes(more, &name[taken..])),
        Piece::One => first(&|_| true),
        Piece::Unit(wanted) => first(&|unit| unit == *wanted),
        Piece::Class { negated, members } => {
            first(&|unit| members.iter().any(|(low, high)| (*low..=*high).contains(&unit)) != *negated)
        }
        Piece::Either(alternatives) => alternatives.iter().any(|pieces| takes(&[pieces, more].concat(), name)),
    }
}
