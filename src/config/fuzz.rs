//! Properties of every text that is read as a config.

use super::{Config, Env, Problems, admin_of, check};

/// Checks that a text is accepted and means the same when it is written anew, or that each of its problems has a place
/// in it. Returns whether the text is accepted.
///
/// # Panics
/// Panics when the property does not hold.
#[must_use]
pub fn holds(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let env = Env {
        working_directory: Some("/srv/janitor".into()),
        home: Some("/home/keeper".into()),
        config_file: Some("/srv/janitor/config/janitor.toml".into()),
        ..Env::default()
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let checked = check(text, "f", &env);
    let admin = admin_of(text, &env);
    match &checked {
        Ok(config) => {
            assert_eq!(admin.as_ref(), Some(&config.settings.admin));
            means_the_same(text, config, &env);
        }
        Err(problems) => have_places(text, problems),
    }
    checked.is_ok()
}

/// Checks that the order of keys, the kind of quotes and the notation of tables do not matter.
fn means_the_same(text: &str, config: &Config, env: &Env) {
    let table: toml::Table = text.parse().expect("what is accepted is TOML");
    let anew = toml::to_string(&table).expect("what was read can be written");
    let again = check(&anew, "f", env).expect("it was accepted before");
    assert_eq!(&again, config, "{anew}");
}

fn have_places(text: &str, problems: &Problems) {
    assert!(!problems.render(false).is_empty());
    let lines: Vec<&str> = text.split('\n').collect();
    for told in problems.lines() {
        assert!(!told.contains(char::is_control), "{told:?}");
        assert!(!told.contains("this cannot be read"), "nothing says why: {told}");
        let mut parts = told.split(':').skip(1);
        let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok());
        let (Some(line), Some(column)) = (number(), number()) else {
            assert!(told.contains("there are more problems"), "{told}");
            continue;
        };
        let there = line.checked_sub(1).and_then(|line| lines.get(line));
        let room = there.map_or(0, |line| line.chars().count() + 1);
        assert!((1..=room).contains(&column), "{told}: not in the text");
    }
}
