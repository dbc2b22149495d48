//! Properties that the fuzzers check, each defined beside the code in question. The targets in `fuzz/` call these
//! functions. Inputs worth keeping are in `fuzz/corpus`, and the tests here check the code against them.

pub use crate::admin::fuzz::holds as guard;
pub use crate::config::fuzz::holds as config;
pub use crate::globs::fuzz::holds as globs;
pub use crate::schedule::fuzz::holds as cron;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Every file in the corpus of a target; of both kinds, what is refused and what is not, there are some.
    fn replay(target: &str, holds: fn(&[u8]) -> bool) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let (mut accepted, mut refused) = (0, 0);
        for entry in fs::read_dir(corpus).expect("it is there") {
            let path = entry.expect("readable").path();
            // Told only when it fails: this is the input.
            eprintln!("{}", path.to_string_lossy());
            *if holds(&fs::read(&path).expect("readable")) { &mut accepted } else { &mut refused } += 1;
        }
        assert!(accepted > 5 && refused > 5, "{target}: {accepted} accepted, {refused} refused");
    }

    #[test]
    fn the_corpus_of_config_texts_holds() {
        replay("config", super::config);
    }

    #[test]
    fn the_corpus_of_cron_expressions_holds() {
        replay("cron", super::cron);
    }

    #[test]
    fn the_corpus_of_globs_holds() {
        replay("globs", super::globs);
    }

    #[test]
    fn the_corpus_of_requests_holds() {
        replay("guard", super::guard);
    }
}
