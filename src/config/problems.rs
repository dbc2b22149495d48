//! What is wrong with a config: everything at once, each with its place.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::names::OneLine;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The bytes of the text that are wrong.
    pub(super) span: Range<usize>,
    /// What is wrong, as a lowercase fragment.
    pub(super) message: String,
    /// What to write instead.
    pub(super) help: Option<String>,
}

/// Everything that is wrong with a text; never empty, in the order of the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Problems {
    text: String,
    shown: String,
    found: Vec<Problem>,
}

impl Problems {
    /// `None` when nothing was found.
    pub(super) fn new(text: &str, shown: &str, mut found: Vec<Problem>) -> Option<Self> {
        for problem in &mut found {
            let Range { start, end } = problem.span;
            let start = text.floor_char_boundary(start.min(text.len()));
            let end = text.ceil_char_boundary(end.min(text.len())).max(start);
            // A mark over several lines says less than one on the first.
            let line = text[start..end].find('\n').map_or(end, |at| start + at);
            problem.span = start..line;
        }
        found.sort_by_key(|problem| (problem.span.start, problem.span.end));
        found.dedup();
        (!found.is_empty()).then(|| Self { text: text.into(), shown: shown.into(), found })
    }

    /// How many there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one")]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// All of them for people: the place, the line, a mark below it, and what to write instead.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let shown = OneLine(&self.shown).to_string();
        let render = |problem: &Problem| {
            let mark = AnnotationKind::Primary.span(problem.span.clone());
            let snippet = Snippet::source(self.text.as_str()).path(shown.as_str()).annotation(mark);
            let message = OneLine(&problem.message).to_string();
            let mut group = Level::ERROR.primary_title(message).element(snippet);
            if let Some(help) = &problem.help {
                group = group.element(Level::HELP.message(OneLine(help).to_string()));
            }
            renderer.render(&[group]).to_string()
        };
        self.found.iter().map(render).collect::<Vec<_>>().join("\n\n")
    }

    /// One line for each: `config/janitor.toml:7:1: unknown key …; did you mean …?`. Columns count characters.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line = |problem: &Problem| {
            let before = &self.text[..problem.span.start];
            let start = before.rfind('\n').map_or(0, |at| at + 1);
            let (line, column) = (before.matches('\n').count() + 1, before[start..].chars().count() + 1);
            let help = problem.help.as_deref().map(|help| format!("; {help}")).unwrap_or_default();
            OneLine(&format!("{}:{line}:{column}: {}{help}", self.shown, problem.message)).to_string()
        };
        self.found.iter().map(line).collect()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.lines().join("\n"))
    }
}

impl fmt::Debug for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.lines(), out)
    }
}

impl std::error::Error for Problems {}
