//! The globs against a naive matcher, on random patterns and paths.

use proptest::prelude::*;

use super::super::{Globs, List};
use super::names;

/// A pattern as the oracle sees it: it never parses the text that the matcher parses.
#[derive(Clone, Debug)]
enum Part {
    Any,
    Name(Vec<Piece>),
}

#[derive(Clone, Debug)]
enum Piece {
    Star,
    One,
    Literal(char),
    NotIn(char),
    Either(char, char),
}

fn print(parts: &[Part]) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Star => "*".to_owned(),
        Piece::One => "?".to_owned(),
        Piece::Literal(character) => character.to_string(),
        Piece::NotIn(character) => format!("[!{character}]"),
        Piece::Either(one, two) => format!("{{{one},{two}}}"),
    };
    let part = |part: &Part| match part {
        Part::Any => "**".to_owned(),
        Part::Name(pieces) => pieces.iter().map(piece).collect(),
    };
    parts.iter().map(part).collect::<Vec<_>>().join("/")
}

fn name_matches(pieces: &[Piece], name: &[char]) -> bool {
    let Some((piece, pieces)) = pieces.split_first() else { return name.is_empty() };
    if matches!(piece, Piece::Star) {
        return (0..=name.len()).any(|taken| name_matches(pieces, &name[taken..]));
    }
    let Some((first, rest)) = name.split_first() else { return false };
    let taken = match piece {
        Piece::Star => false,
        Piece::One => true,
        Piece::Literal(character) => first == character,
        Piece::NotIn(character) => first != character,
        Piece::Either(one, two) => first == one || first == two,
    };
    taken && name_matches(pieces, rest)
}

/// Whether the pattern matches the whole path, by trying everything. Only components that spell a built-in exclude out
/// may take a name that it holds.
fn path_matches(parts: &[Part], path: &[&str], lifting: bool) -> bool {
    let Some((part, onward)) = parts.split_first() else { return path.is_empty() };
    let free = |name: &str, last: bool| !lifting || !is_built_in(name, last);
    match part {
        Part::Any => {
            let least = usize::from(onward.is_empty());
            (least..=path.len()).any(|taken| {
                let rest = &path[taken..];
                let all_free = path[..taken].iter().enumerate().all(|(at, name)| free(name, at + 1 == path.len()));
                all_free && path_matches(onward, rest, lifting)
            })
        }
        Part::Name(pieces) => path.split_first().is_some_and(|(name, rest)| {
            let spelled = is_built_in(&print(std::slice::from_ref(part)), rest.is_empty());
            let characters: Vec<char> = name.chars().collect();
            (spelled || free(name, rest.is_empty()))
                && name_matches(pieces, &characters)
                && path_matches(onward, rest, lifting)
        }),
    }
}

/// The alphabet of these tests knows two built-in excludes: `.git/`, and files or directories `….part`.
fn is_built_in(name: &str, is_file: bool) -> bool {
    name.ends_with(".part") || (name == ".git" && !is_file)
}

fn oracle(include: &[Vec<Part>], exclude: &[Vec<Part>], path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    let excluded = exclude.iter().any(|pattern| {
        let anywhere = pattern.len() == 1 && !matches!(pattern[0], Part::Any);
        (1..=names.len()).any(|length| {
            let prefix = &names[..length];
            if anywhere {
                path_matches(pattern, &prefix[length - 1..], false)
            } else {
                path_matches(pattern, prefix, false)
            }
        })
    });
    !excluded && include.iter().any(|pattern| path_matches(pattern, &names, true))
}

fn part() -> impl Strategy<Value = Part> {
    let letter = prop::sample::select(vec!['a', 'b', '.']);
    let piece = prop_oneof![
        2 => Just(Piece::Star),
        1 => Just(Piece::One),
        4 => letter.clone().prop_map(Piece::Literal),
        1 => letter.clone().prop_map(Piece::NotIn),
        1 => (letter.clone(), letter).prop_map(|(one, two)| Piece::Either(one, two)),
    ];
    let literal = |text: &str| Part::Name(text.chars().map(Piece::Literal).collect());
    let spelled: Vec<Part> = vec![
        literal(".git"),
        literal("a.part"),
        Part::Name([Piece::Star].into_iter().chain(".part".chars().map(Piece::Literal)).collect()),
    ];
    prop_oneof![
        2 => Just(Part::Any),
        1 => prop::sample::select(spelled),
        6 => prop::collection::vec(piece, 1..4).prop_filter("no `.`, no `..`", |pieces| {
            let is_dot = |piece: &Piece| matches!(piece, Piece::Literal('.') | Piece::Either('.', _) | Piece::Either(_, '.'));
            pieces.len() > 2 || !pieces.iter().all(is_dot)
        }).prop_map(Part::Name).prop_filter("no `**`", |part| !print(std::slice::from_ref(part)).contains("**")),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        6 => "[ab.]{1,3}".prop_filter("a name", |name| name != "." && name != ".."),
        1 => Just(".git".to_owned()),
        1 => Just("a.part".to_owned()),
    ];
    prop::collection::vec(name, 1..5).prop_map(|names| names.join("/"))
}

fn patterns(most: usize) -> impl Strategy<Value = Vec<Vec<Part>>> {
    prop::collection::vec(prop::collection::vec(part(), 1..4), 0..=most)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn the_walk_names_what_a_naive_matcher_names(
        include in patterns(3), exclude in patterns(2), paths in prop::collection::vec(path(), 1..12)
    ) {
        let text = |patterns: &[Vec<Part>]| patterns.iter().map(|parts| print(parts)).collect::<Vec<_>>();
        let (including, excluding) = (text(&include), text(&exclude));
        let globs = Globs::new(including.iter().map(String::as_str), excluding.iter().map(String::as_str));
        let globs = globs.map_err(|error| TestCaseError::fail(format!("{including:?} {excluding:?}: {error:?}")))?;
        for path in paths {
            prop_assert_eq!(
                names(&globs, path.as_bytes()), oracle(&include, &exclude, &path),
                "{} with {:?} without {:?}", path, including, excluding
            );
        }
    }

    #[test]
    fn arbitrary_text_is_checked_without_a_panic(text in "[a*?!/\\[\\]{},.\\\\ \u{e4}\\^-]{0,12}", name in prop::collection::vec(any::<u8>(), 0..6)) {
        for list in [List::Include, List::Exclude] {
            let checked = Globs::check(list, &text);
            prop_assert_eq!(checked.is_ok(), Globs::new([text.as_str()], []).is_ok() || list == List::Exclude && checked.is_ok());
        }
        if let Ok(globs) = Globs::new([text.as_str()], []) {
            _ = globs.file(&globs.root(), &name);
            _ = globs.directory(&globs.root(), &name);
        }
    }
}
