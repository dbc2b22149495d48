//! Help for a value that is neither a number nor a name of its field.

/// Returns what to write instead of `text` in a field with these names, if there is more to say than the allowed
/// values.
pub(super) fn help(text: &str, names: &[&str]) -> Option<String> {
    if let Some(rest) = text.strip_prefix('*').filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())) {
        return Some(format!("`*` stands alone or before a step; did you mean `*/{rest}`?"));
    }
    if text.contains('*') {
        return Some("`*` stands alone or before a step, as in `*/5`; fields have spaces between them".into());
    }
    // This comes before the names, since `friL` begins with one.
    if let Some(help) = foreign(text) {
        return Some(help.to_owned());
    }
    closest(text, names).map(|name| format!("did you mean `{name}`?"))
}

/// Returns the help for syntax of other crons.
fn foreign(text: &str) -> Option<&'static str> {
    // The letters are what is left of `15W`, `5L`, `friL` without digits and the names of days.
    let letters = text.trim_start_matches(|c: char| c.is_ascii_digit()).to_ascii_uppercase();
    let without_day = match letters.get(..3) {
        Some("SUN" | "MON" | "TUE" | "WED" | "THU" | "FRI" | "SAT") => &letters[3..],
        _ => letters.as_str(),
    };
    match without_day {
        _ if text.contains('?') => Some("crontab has no `?`; write `*`"),
        _ if text.contains('#') => {
            Some("crontab has no `#` for the n-th day of its kind; name days of the month or of the week")
        }
        _ if text.contains('~') => Some("crontab has no `~` for a random time; write a number"),
        "L" => Some("crontab has no `L` for the last day; write a number, such as 28, or 1 for the day after the last"),
        "W" | "LW" => Some("crontab has no `W` for the nearest weekday; write `mon-fri` as the day of the week"),
        "H" => Some("crontab has no `H` for a hashed time; write a number"),
        other if other.starts_with("H(") => Some("crontab has no `H` for a hashed time; write a number"),
        _ => None,
    }
}

/// Returns the name that `text` is likely meant to be: the text begins with it (`monday`), or is one slip away (`mno`).
pub(super) fn closest<'a>(text: &str, names: &[&'a str]) -> Option<&'a str> {
    let text = text.to_ascii_lowercase();
    let spelled_out = text.bytes().all(|byte| byte.is_ascii_alphabetic()).then_some(&text);
    let begins = spelled_out.and_then(|text| names.iter().find(|name| text.starts_with(**name)));
    let slipped = || names.iter().find(|name| strsim::damerau_levenshtein(&text, name) == 1);
    begins.or_else(slipped).copied()
}
