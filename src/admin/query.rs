//! Query parameters, strictly: a slip in one must not make a run larger than was meant.

use crate::names::OneLine;

/// The parameters of a request, each at most once and each known to its route.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// `target`: one target instead of all.
    pub(super) target: Option<String>,
    /// The run that the route is about.
    pub(super) run: Option<String>,
    /// `path`: what is asked about.
    pub(super) path: Option<String>,
    /// `dry_run`.
    pub(super) dry_run: Option<bool>,
    /// `wait`.
    pub(super) wait: Option<bool>,
}

impl Query {
    /// Reads a query string of which the route knows the `known` parameters.
    ///
    /// # Errors
    /// In words: an unknown or repeated parameter, a boolean that is not exactly `true` or `false`, a value that is not
    /// UTF-8.
    pub(super) fn parse(text: &str, known: &[&str]) -> Result<Self, String> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            // Where the bytes are not UTF-8 the decoder puts U+FFFD, which nobody writes into a name.
            if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
                return Err("the query is not UTF-8".into());
            }
            if !known.contains(&&*name) {
                let known = match known {
                    [] => "none is known here".to_owned(),
                    known => format!("known here: {}", known.join(", ")),
                };
                return Err(format!("unknown query parameter `{}` ({known})", OneLine(&name)));
            }
            let repeated = match &*name {
                "target" => query.target.replace(value.into_owned()).is_some(),
                "path" => query.path.replace(value.into_owned()).is_some(),
                "dry_run" => query.dry_run.replace(boolean(&name, &value)?).is_some(),
                _ => query.wait.replace(boolean(&name, &value)?).is_some(),
            };
            if repeated {
                return Err(format!("the query parameter `{name}` is given more than once"));
            }
        }
        Ok(query)
    }
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

    const ALL: &[&str] = &["target", "dry_run", "wait"];

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
        ] {
            let problem = Query::parse(text, ALL).expect_err(text);
            assert!(problem.contains(named), "{text}: {problem}");
            assert!(!problem.contains('\n'), "{text}: {problem}");
        }
        assert!(Query::parse("target=x", &[]).is_err());
        assert!(Query::parse("dry_run=true", &["target"]).is_err());
    }
}
