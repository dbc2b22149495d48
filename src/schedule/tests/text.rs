//! What is read, and what is refused.

use proptest::prelude::*;

use super::super::Schedule;
use super::fires;

#[test]
fn what_means_the_same_fires_the_same() {
    for (one, other) in [
        ("@hourly", "0 * * * *"),
        ("@Daily", "0 0 * * *"),
        ("@MIDNIGHT", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("  5\t4  * *  sun ", "5 4 * * 0"),
        ("0 0 1 JAN,jul *", "0 0 1 1,7 *"),
        ("0 0 * * Mon-fri", "0 0 * * 1-5"),
        ("10-20/5 * * * *", "10,15,20 * * * *"),
        ("0-59/20 * * * *", "0,20,40 * * * *"),
        ("0 0 * * 0-7", "0 0 * * 0-6"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("05 02 * * *", "5 2 * * *"),
        ("0 5 4 * * sun", "5 4 * * 0"),
    ] {
        let start = "2026-01-31T23:00:00Z";
        assert_eq!(fires(one, "Europe/Berlin", start, 6), fires(other, "Europe/Berlin", start, 6), "{one}");
    }
}

#[test]
fn what_is_refused_is_marked_and_explained() {
    for (text, marked, message, help) in [
        ("", "", "the schedule is empty", "write it like"),
        ("   ", "   ", "the schedule is empty", "write it like"),
        ("0 2 * *", "0 2 * *", "expected 5 fields (or 6, with seconds first), found 4", "write it like"),
        ("0 0 2 * * * 2026", "0 0 2 * * * 2026", "a seventh field, for years, is not supported", "write it like"),
        ("*5 * * * *", "*5", "`*5` is not a minute", ""),
        ("0 3 * * *1", "*1", "`*1` is not a day of week", ""),
        ("0 3 1 , 15 * *", "0 3 1 , 15 * *", "a seventh field, for years, is not supported", ""),
        ("60 * * * *", "60", "60 is out of range for the minute, which is 0 to 59", ""),
        ("0 24 * * *", "24", "24 is out of range for the hour, which is 0 to 23", ""),
        ("0 0 0 * *", "0", "0 is out of range for the day of month, which is 1 to 31", ""),
        ("0 0 1 13 *", "13", "13 is out of range for the month, which is 1 to 12", ""),
        ("0 0 * * 8", "8", "8 is out of range for the day of week, which is 0 to 7", ""),
        ("0 0 * * 999", "999", "999 is out of range for the day of week, which is 0 to 7", ""),
        ("5/10 * * * *", "5/10", "a step needs a range or `*` before it", "write `5-59/10`"),
        ("*/0 * * * *", "0", "a step is a positive number, not `0`", ""),
        ("*/ * * * *", "*/", "a step is a positive number, not ``", ""),
        ("*/x * * * *", "x", "a step is a positive number, not `x`", ""),
        ("*/+5 * * * *", "+5", "a step is a positive number, not `+5`", ""),
        ("*/60 * * * *", "60", "a step of 60 leaves only the first of 0 to 59", "write `0`"),
        ("0 22-2 * * *", "22-2", "the range `22-2` runs backwards", "write it as two: `22-23,0-2`"),
        ("0 0 * * sat-mon", "sat-mon", "the range `sat-mon` runs backwards", "write it as two"),
        ("0 0 * * monday", "monday", "`monday` is not a day of week", "did you mean `mon`?"),
        ("0 0 * jam *", "jam", "`jam` is not a month", "did you mean `jan`?"),
        ("0 0 ? * 1", "?", "`?` is not a day of month", "write `*`"),
        ("0 0 L * *", "L", "`L` is not a day of month", "`L`, `W` and `#`"),
        ("0 0 * * 5#2", "5#2", "`5#2` is not a day of week", "`L`, `W` and `#`"),
        ("H 2 * * *", "H", "`H` is not a minute", "random times"),
        ("1,,2 * * * *", "1,,2", "an item of the list of the minute is missing", ""),
        ("1- * * * *", "", "a minute is missing here", ""),
        ("@reboot", "@reboot", "`@reboot` is not a time", "janitor clean"),
        ("@dialy", "@dialy", "unknown nickname `@dialy`", "use @hourly"),
        ("0 0 30 2 *", "30 2", "this never fires: no month has such a day", ""),
        ("0 0 31 4,6,9,11 *", "31 4,6,9,11", "this never fires: no month has such a day", ""),
        ("0 2 * * m\u{fc}n", "m\u{fc}n", "`m\u{fc}n` is not a day of week", "did you mean `mon`?"),
    ] {
        let error = Schedule::parse(text).expect_err(text);
        assert_eq!(error.message, message, "{text}");
        assert_eq!(&text[error.span.clone()], marked, "{text}: {error:?}");
        assert!(error.help.as_deref().unwrap_or_default().contains(help), "{text}: {error:?}");
        assert_eq!(error.help.is_some(), !help.is_empty() || error.help.is_some(), "{text}");
    }
    assert!(Schedule::parse(&"* ".repeat(600)).is_err());
    // The 30th of February or a Monday: Mondays it is.
    assert!(Schedule::parse("0 0 30 2 1").is_ok());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_a_place(text in "[-0-9*/,@ a-zA-Z#?\u{e4}\u{2003}\t]{0,24}") {
        if let Err(error) = Schedule::parse(&text) {
            prop_assert!(text.get(error.span.clone()).is_some(), "{:?} in {:?}", error, text);
            prop_assert!(!error.message.is_empty());
        }
    }

    #[test]
    fn any_bytes_at_all(text in any::<String>()) {
        if let Err(error) = Schedule::parse(&text) {
            prop_assert!(text.get(error.span).is_some());
        }
    }
}
