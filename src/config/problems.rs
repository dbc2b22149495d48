//! Problems of a config: all of them at once, each with its place in the text.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use crate::names::OneLine;

/// A problem of a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Range of the wrong bytes in the text.
    pub(super) span: Range<usize>,
    /// Description of the problem, as a lowercase fragment.
    pub(super) message: String,
    /// Advice on what to write instead.
    pub(super) help: Option<String>,
}

/// Most problems that are reported. A file with more is not a config, or has one mistake a thousand times.
pub(super) const MOST: usize = 1000;

/// Most bytes of a message, and of a line that is shown: a wrong value may be a megabyte long.
const LONGEST_MESSAGE: usize = 1000;
const LONGEST_LINE: usize = 10_000;

/// All problems of a text, in the order of the text; of more than a thousand, the first thousand. Never empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Problems {
    shown: String,
    found: Vec<Placed>,
    has_more: bool,
}

/// A problem and its place, for display.
#[derive(Clone, PartialEq, Eq)]
struct Placed {
    /// Line number, from 1.
    line: usize,
    /// Column in characters, from 1.
    column: usize,
    /// Text of the line.
    text: String,
    /// Range of the wrong bytes in the line.
    mark: Range<usize>,
    message: String,
    help: Option<String>,
}

impl Problems {
    /// Returns the problems found; `None` when there are none.
    pub(super) fn new(text: &str, shown: &str, mut found: Vec<Problem>) -> Option<Self> {
        let key = |problem: &Problem| (problem.span.start, problem.span.end);
        found.sort_by(|one, other| key(one).cmp(&key(other)).then_with(|| one.message.cmp(&other.message)));
        found.dedup();
        let has_more = found.len() > MOST;
        found.truncate(MOST);
        let (mut line, mut counted) = (1, 0);
        let place = |problem: Problem| {
            let Range { start, end } = problem.span;
            let start = text.floor_char_boundary(start.min(text.len()));
            let end = text.ceil_char_boundary(end.min(text.len())).max(start);
            // The problems are sorted, so the lines are counted only once.
            line += text[counted..start].matches('\n').count();
            counted = start;
            let first = text[..start].rfind('\n').map_or(0, |at| at + 1);
            let last = text[start..].find('\n').map_or(text.len(), |at| start + at);
            let whole = text[first..last].trim_end_matches('\r');
            // A mark over several lines says less than one on the first.
            let mark = (start - first).min(whole.len())..(end - first).min(whole.len());
            let column = whole[..mark.start].chars().count() + 1;
            let text = if whole.len() > LONGEST_LINE { String::new() } else { whole.to_owned() };
            Placed { line, column, text, mark, message: shortened(problem.message), help: problem.help }
        };
        let found: Vec<Placed> = found.into_iter().map(place).collect();
        (!found.is_empty()).then(|| Self { shown: OneLine(shown).to_string(), found, has_more })
    }

    /// Returns the problem of a text that could not be read for an unknown reason.
    pub(super) fn unreadable(text: &str, shown: &str) -> Self {
        let message = "this cannot be read".to_owned();
        let text = text.lines().next().unwrap_or_default().to_owned();
        let problem = Placed { line: 1, column: 1, text, mark: 0..0, message, help: None };
        Self { shown: OneLine(shown).to_string(), found: vec![problem], has_more: false }
    }

    /// Returns the number of problems; at most a thousand.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one")]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Formats all problems for people: the place, the line, a mark below it, and the advice.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let render = |problem: &Placed| {
            let title = Level::ERROR.primary_title(OneLine(&problem.message).to_string());
            let mut group = if problem.text.is_empty() {
                let place = Origin::path(self.shown.as_str()).line(problem.line).char_column(problem.column);
                title.element(place)
            } else {
                let snippet = Snippet::source(problem.text.as_str()).line_start(problem.line);
                let mark = AnnotationKind::Primary.span(problem.mark.clone());
                title.element(snippet.path(self.shown.as_str()).annotation(mark))
            };
            if let Some(help) = &problem.help {
                group = group.element(Level::HELP.message(OneLine(help).to_string()));
            }
            renderer.render(&[group]).to_string()
        };
        let more = self.has_more.then(|| self.and_more());
        self.found.iter().map(render).chain(more).collect::<Vec<_>>().join("\n\n")
    }

    /// Returns one line for each problem: `config/janitor.toml:7:1: unknown key …; did you mean …?`. Columns count
    /// characters.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line = |problem: &Placed| {
            let Placed { line, column, message, help, .. } = problem;
            let help = help.as_deref().map(|help| format!("; {help}")).unwrap_or_default();
            OneLine(&format!("{}:{line}:{column}: {message}{help}", self.shown)).to_string()
        };
        let more = self.has_more.then(|| self.and_more());
        self.found.iter().map(line).chain(more).collect()
    }

    fn and_more(&self) -> String {
        format!("{}: and there are more problems after these {MOST}", self.shown)
    }
}

fn shortened(mut message: String) -> String {
    if message.len() > LONGEST_MESSAGE {
        let middle = message.floor_char_boundary(LONGEST_MESSAGE / 2)
            ..message.ceil_char_boundary(message.len() - LONGEST_MESSAGE / 2);
        message.replace_range(middle, "…");
    }
    message
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
