mod files;
mod globs;
mod hostile;
mod location;
mod paths;
mod refused;

use super::*;

fn env() -> Env {
    Env {
        working_directory: Some("/srv/janitor".into()),
        home: Some("/home/keeper".into()),
        config_file: Some("/srv/janitor/janitor.toml".into()),
        ..Env::default()
    }
}

fn good(text: &str) -> Config {
    check(text, "janitor.toml", &env()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A text with one target that is fine, and these keys added to it.
fn target(keys: &str) -> String {
    format!("[[target]]\npath = \"/srv/app/tmp\"\nschedule = \"0 2 * * *\"\n{keys}\n")
}

/// The problems of a text.
fn lines(text: &str) -> Vec<String> {
    match check(text, "f", &env()) {
        Ok(_) => Vec::new(),
        Err(problems) => {
            assert!(!problems.render(false).is_empty());
            assert!(problems.len() == problems.lines().len() || problems.len() == problems::MOST);
            problems.lines()
        }
    }
}
