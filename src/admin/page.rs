//! The dashboard: one page that asks for nothing but the routes of this port.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::answer::Answer;
use super::visit::{Told, Visit};

const STYLE: &str = include_str!("page/style.css");
/// The script, in four files: requests and what is known, events, display, actions.
const SCRIPT: &str = concat!(
    include_str!("page/ask.js"),
    include_str!("page/news.js"),
    include_str!("page/show.js"),
    include_str!("page/act.js"),
);
const PAGE: &str = include_str!("page/index.html");

static WHOLE: LazyLock<Vec<u8>> =
    LazyLock::new(|| PAGE.replacen("/*STYLE*/", STYLE, 1).replacen("/*SCRIPT*/", SCRIPT, 1).into_bytes());

/// Rights of the page: its own script and style, requests to this port, and images inside the page. Nothing else is
/// loaded, run or sent.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        source(SCRIPT),
        source(STYLE)
    )
});

/// Returns the name of a text of the page in a Content-Security-Policy.
fn source(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    format!("'sha256-{}'", STANDARD.encode(digest))
}

/// Answers `/` with the page.
pub(super) fn page(_: &Visit) -> Told {
    Ok(Answer::page(&WHOLE, &POLICY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_names_nothing_outside() {
        let page = std::str::from_utf8(&WHOLE).expect("text");
        assert!(page.contains(STYLE) && page.contains(SCRIPT));
        assert!(!page.contains("/*STYLE*/") && !page.contains("/*SCRIPT*/"));
        for foreign in ["https://", "src=\"//", "@import", "eval(", "innerHTML", " style=\"", " onclick="] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn digests_are_written_as_browsers_read_them() {
        assert_eq!(source(""), "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='");
    }
}
