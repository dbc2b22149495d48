//! Query parameters, strictly: a slip in one must not make a run larger than was meant.

use crate::names::OneLine;

/// A parameter that a route knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Meaning of the parameter.
    pub(super) about: &'static str,
    pub(super) is_needed: bool,
}

/// Kind of values that a parameter has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Exactly `true` or `false`.
    Flag,
    /// A number from 1 to this.
    Count(usize),
}

/// The parameters of a request, each at most once and each known to its route.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// Run or target that the path names.
    pub(super) captured: Option<String>,
    /// `target`: one target instead of all.
    pub(super) target: Option<String>,
    /// `path`: the path that is asked about.
    pub(super) path: Option<String>,
    /// `at`: the time that is taken for now.
    pub(super) at: Option<String>,
    /// `in`: how far ahead that time is.
    pub(super) ahead: Option<String>,
    /// `after`: the place where a page begins, or the last event that was seen.
    pub(super) after: Option<String>,
    /// `before`: the place where a page begins.
    pub(super) before: Option<String>,
    /// `limit`: the greatest length of a list.
    pub(super) limit: Option<usize>,
    /// `dry_run`: whether a run only says what it would remove.
    pub(super) dry_run: Option<bool>,
    /// `wait`: whether to answer when the run is done, or at once.
    pub(super) wait: Option<bool>,
    /// `cancel`: whether to stop what is being swept, too.
    pub(super) cancel: Option<bool>,
    /// `released`: whether the held run of the target counts as released.
    pub(super) released: Option<bool>,
    /// `kept`: whether to list what stays because of a protection, too.
    pub(super) kept: Option<bool>,
    /// The header Last-Event-ID, which a browser sends when it reads events again.
    pub(super) last_event: Option<String>,
    /// The header Accept.
    pub(super) accept: Option<String>,
}

impl Query {
    /// Parses a query string of which the route knows the `known` parameters.
    ///
    /// # Errors
    /// Fails, with the reason in words, for an unknown or repeated parameter, a boolean that is not exactly `true` or
    /// `false`, a count that is none, a value that is not UTF-8, and where a needed parameter is missing.
    pub(super) fn parse(text: &str, known: &[Parameter]) -> Result<Self, String> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            // Where the bytes are not UTF-8, the decoder puts U+FFFD, which nobody writes into a name.
            if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
                return Err("the query is not UTF-8".into());
            }
            let Some(parameter) = known.iter().find(|parameter| parameter.name == name) else {
                let known: Vec<&str> = known.iter().map(|parameter| parameter.name).collect();
                let known = match &*known {
                    [] => "none is known here".to_owned(),
                    known => format!("known here: {}", known.join(", ")),
                };
                return Err(format!("unknown query parameter `{}` ({known})", OneLine(&name)));
            };
            let is_repeated = match (parameter.name, parameter.kind) {
                ("target", _) => query.target.replace(value.into_owned()).is_some(),
                ("path", _) => query.path.replace(value.into_owned()).is_some(),
                ("at", _) => query.at.replace(value.into_owned()).is_some(),
                ("in", _) => query.ahead.replace(value.into_owned()).is_some(),
                ("after", _) => query.after.replace(value.into_owned()).is_some(),
                ("before", _) => query.before.replace(value.into_owned()).is_some(),
                ("dry_run", _) => query.dry_run.replace(boolean(&name, &value)?).is_some(),
                ("wait", _) => query.wait.replace(boolean(&name, &value)?).is_some(),
                ("cancel", _) => query.cancel.replace(boolean(&name, &value)?).is_some(),
                ("released", _) => query.released.replace(boolean(&name, &value)?).is_some(),
                ("kept", _) => query.kept.replace(boolean(&name, &value)?).is_some(),
                (_, Kind::Count(most)) => query.limit.replace(count(&name, &value, most)?).is_some(),
                (name, _) => return Err(format!("the query parameter `{name}` has no meaning yet")),
            };
            if is_repeated {
                return Err(format!("the query parameter `{name}` is given more than once"));
            }
        }
        match known.iter().find(|parameter| parameter.is_needed && query.lacks(parameter.name)) {
            Some(parameter) => Err(format!("the query parameter `{}` is needed", parameter.name)),
            None => Ok(query),
        }
    }

    fn lacks(&self, name: &str) -> bool {
        match name {
            "path" => self.path.as_ref().is_none_or(String::is_empty),
            _ => self.target.is_none(),
        }
    }
}

fn count(name: &str, value: &str, most: usize) -> Result<usize, String> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let count = value.parse().ok().filter(|count| digits && (1..=most).contains(count));
    count.ok_or_else(|| format!("the query parameter `{name}` must be from 1 to {most}, not `{}`", OneLine(value)))
}

fn boolean(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("the query parameter `{name}` must be true or false, not `{}`", OneLine(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &'static str, kind: Kind) -> Parameter {
        Parameter { name, kind, about: "", is_needed: false }
    }

    const ALL: &[Parameter] = &[
        Parameter { name: "target", kind: Kind::Text, about: "", is_needed: false },
        Parameter { name: "dry_run", kind: Kind::Flag, about: "", is_needed: false },
        Parameter { name: "wait", kind: Kind::Flag, about: "", is_needed: false },
        Parameter { name: "limit", kind: Kind::Count(100), about: "", is_needed: false },
    ];

    fn target(name: &str) -> Query {
        Query { target: Some(name.into()), ..Query::default() }
    }

    #[test]
    fn what_is_meant_is_read() {
        for (text, expected) in [
            ("", Query::default()),
            ("&&", Query::default()),
            ("target=uploads", target("uploads")),
            ("target=Bilder+2024", target("Bilder 2024")),
            ("target=Bilder%202024", target("Bilder 2024")),
            ("target=gr%C3%BCn", target("grün")),
            ("target=a%26b%3Dc", target("a&b=c")),
            ("target=a=b", target("a=b")),
            ("t%61rget=x", target("x")),
            // An empty name is a name, of no target: `?target=$UNSET` must not mean every target.
            ("target=", target("")),
            ("target", target("")),
            ("dry_run=true&wait=false", Query { dry_run: Some(true), wait: Some(false), ..Query::default() }),
            ("limit=100", Query { limit: Some(100), ..Query::default() }),
            ("wait=true&dry_run=false", Query { dry_run: Some(false), wait: Some(true), ..Query::default() }),
        ] {
            assert_eq!(Query::parse(text, ALL).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn what_may_be_a_slip_is_refused_by_name() {
        for (text, named) in [
            ("dryrun=true", "`dryrun`"),
            ("dry-run=true", "`dry-run`"),
            ("Target=x", "`Target`"),
            ("targets=x", "`targets`"),
            ("=x", "``"),
            ("target=a&target=a", "`target`"),
            ("dry_run=true&dry_run=true", "`dry_run`"),
            ("wait=false&wait=true", "`wait`"),
            ("dry_run=1", "`dry_run`"),
            ("dry_run", "`dry_run`"),
            ("dry_run=True", "`dry_run`"),
            ("dry_run=%20true", "`dry_run`"),
            ("wait=no", "`wait`"),
            ("target=%ff", "UTF-8"),
            ("%ff=x", "UTF-8"),
            ("target=%C3", "UTF-8"),
            ("a%0Ab=1", "`a\\nb`"),
            ("limit=0", "from 1 to 100"),
            ("limit=101", "from 1 to 100"),
            ("limit=+7", "`limit`"),
            ("limit=", "`limit`"),
            ("limit=99999999999999999999", "`limit`"),
        ] {
            let problem = Query::parse(text, ALL).expect_err(text);
            assert!(problem.contains(named), "{text}: {problem}");
            assert!(!problem.contains('\n'), "{text}: {problem}");
        }
        assert!(Query::parse("target=x", &[]).is_err());
        assert!(Query::parse("dry_run=true", &[parameter("target", Kind::Text)]).is_err());
    }
    #[test]
    fn what_is_needed_is_asked_for() {
        let known = &[Parameter { is_needed: true, ..parameter("path", Kind::Text) }];
        for text in ["", "path="] {
            let problem = Query::parse(text, known).expect_err(text);
            assert!(problem.contains("`path` is needed"), "{problem}");
        }
        assert!(Query::parse("path=a", known).is_ok());
    }
}
