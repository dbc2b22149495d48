//! Texts that are not configs, or are hardly any: what becomes of them, and how soon.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock;
use crate::config::problems::MOST;

#[test]
fn a_hostile_text_ends_in_an_error_and_soon() {
    let begun = clock::mark();
    let list = |item: &str, count| target(&format!("include = [{}]", item.repeat(count)));
    let texts = [
        format!("a = {}{}", "[".repeat(20_000), "]".repeat(20_000)),
        format!("a = {}", "{a=".repeat(20_000)),
        format!("{} = 1", vec!["a"; 20_000].join(".")),
        format!("[{}]", vec!["a"; 20_000].join(".")),
        list("7,", 200_000),
        format!("{}exclude = [{}7]\n", target("include = [\"*\"]"), "\"a\",".repeat(100_000)),
        "a\n".repeat(300_000),
        "[[target]]\n".repeat(50_000),
        "[[target]]\ntimezone = \"Europe/Berln\"\n".repeat(20_000),
        (0..50_000).map(|number| format!("key{number} = 1\n")).collect(),
        format!("{} = 1\n", "a".repeat(1_000_000)),
        format!("{}name = \"{}\"\n", target("include = [\"*\"]"), "n".repeat(1_000_000)),
        target(&format!("older_than = \"1d\"\nage_by = \"{}\"", "x".repeat(1_000_000))),
    ];
    // The thread of a daemon has a small stack.
    let on_a_small_stack = std::thread::Builder::new().stack_size(512 << 10).spawn(move || {
        for text in texts {
            let found = lines(&text);
            let about = text.get(..40).unwrap_or(&text);
            assert!(!found.is_empty() && found.len() <= MOST + 1, "{about}: {}", found.len());
            assert!(found.iter().all(|line| line.len() < 5_000), "{about}");
        }
    });
    assert!(on_a_small_stack.expect("started").join().is_ok());
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn of_very_many_problems_the_first_are_told_and_that_there_are_more() {
    let unknown = |count| (0..count).map(|number| format!("key{number} = 1\n")).collect::<String>();
    assert_eq!(lines(&unknown(MOST)).len(), MOST);
    let found = lines(&unknown(MOST + 1));
    assert_eq!(found.len(), MOST + 1);
    assert_eq!(found[MOST], "f: and there are more problems after these 1000");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_is_checked_without_a_panic(text in "[a-z\\[\\]=\"'.#\n \u{e4}0-9]{0,60}") {
        _ = lines(&text);
    }

    #[test]
    fn a_good_text_with_a_mistake_is_checked_without_a_panic(at in 0_usize..400, with in "[\"\\[\\]=\n\u{e4}x]{0,2}") {
        let mut text = format!("timezone = \"UTC\"\n[log]\nkeep = 3\n{}", target("include = [\"**/*.log\"]\nolder_than = \"3d\""));
        let start = text.floor_char_boundary(at.min(text.len()));
        let end = text.ceil_char_boundary((start + 1).min(text.len()));
        text.replace_range(start..end, &with);
        _ = lines(&text);
    }
}
