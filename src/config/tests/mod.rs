mod files;
mod hostile;
mod refused;

use super::*;

fn surroundings() -> Surroundings {
    Surroundings {
        working_directory: "/srv/janitor".into(),
        home: Some("/home/keeper".into()),
        config_file: Some("/srv/janitor/config/janitor.toml".into()),
    }
}

fn good(text: &str) -> Config {
    check(text, "janitor.toml", &surroundings()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A text with one target that is fine, and these keys added to it.
fn target(keys: &str) -> String {
    format!("[[target]]\npath = \"/srv/app/tmp\"\nschedule = \"0 2 * * *\"\n{keys}\n")
}

/// The problems of a text.
fn lines(text: &str) -> Vec<String> {
    match check(text, "f", &surroundings()) {
        Ok(_) => Vec::new(),
        Err(problems) => {
            assert!(!problems.render(false).is_empty());
            assert!(problems.len() == problems.lines().len() || problems.len() == problems::MOST);
            problems.lines()
        }
    }
}
