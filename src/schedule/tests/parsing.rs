//! What is a schedule, and what it means.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::super::field::Field;
use super::super::parse;
use super::{Schedule, cases, schedule};

/// The values of a field.
fn values(field: Field) -> Vec<u32> {
    (0..u64::BITS).filter(|bit| field.values >> bit & 1 == 1).collect()
}

#[test]
fn fields_are_lists_of_numbers_names_ranges_and_steps() {
    for (minute, expected) in [
        ("0", vec![0]),
        ("05", vec![5]),
        ("59", vec![59]),
        ("1,30,2", vec![1, 2, 30]),
        ("7-9", vec![7, 8, 9]),
        ("8-8", vec![8]),
        ("8-8/1", vec![8]),
        ("*/20", vec![0, 20, 40]),
        ("*/59", vec![0, 59]),
        ("3-10/3", vec![3, 6, 9]),
        ("3-10/7", vec![3, 10]),
        ("1-3,20-40/10,59", vec![1, 2, 3, 20, 30, 40, 59]),
        ("*/30,*/20", vec![0, 20, 30, 40]),
        ("*/90,7", vec![0, 7]),
        ("7,8-12/100", vec![7, 8]),
    ] {
        let parsed = parse::parse(&format!("{minute} 0 * * *")).unwrap();
        assert_eq!(values(parsed.fields.minute), expected, "{minute}");
    }
    for (month, expected) in [
        ("jan", vec![1]),
        ("DEC", vec![12]),
        ("Jan-mAr", vec![1, 2, 3]),
        ("feb-8/3", vec![2, 5, 8]),
        ("*/5", vec![1, 6, 11]),
        ("*/12", vec![1]),
        ("3-5/2147483647", vec![3]),
    ] {
        let parsed = parse::parse(&format!("0 0 * {month} *")).unwrap();
        assert_eq!(values(parsed.fields.month), expected, "{month}");
    }
    for (dow, expected) in [
        ("0", vec![0]),
        ("7", vec![0]),
        ("sun", vec![0]),
        ("sat", vec![6]),
        ("mon-fri", vec![1, 2, 3, 4, 5]),
        ("5-7", vec![0, 5, 6]),
        ("fri-sun", vec![0, 5, 6]),
        ("5-SUN", vec![0, 5, 6]),
        ("sun-sun", vec![0]),
        ("sun-mon", vec![0, 1]),
        ("1-7/2", vec![0, 1, 3, 5]),
        ("*", vec![0, 1, 2, 3, 4, 5, 6]),
        ("*/2", vec![0, 2, 4, 6]),
        ("*/7", vec![0]),
        ("*/8", vec![0]),
        ("mon,WED,5", vec![1, 3, 5]),
    ] {
        let parsed = parse::parse(&format!("0 0 * * {dow}")).unwrap();
        assert_eq!(values(parsed.fields.day_of_week), expected, "{dow}");
    }
}

#[test]
fn a_sixth_field_in_front_is_the_second() {
    let five = parse::parse("1 2 3 4 5").unwrap().fields;
    assert_eq!(values(five.second), [0]);
    let six = parse::parse("59 1 2 3 4 5").unwrap().fields;
    let all = [six.second, six.minute, six.hour, six.day_of_month, six.month, six.day_of_week].map(values);
    assert_eq!(all, [[59], [1], [2], [3], [4], [5]].map(Vec::from));
}

#[test]
fn nicknames_are_short_for_five_fields() {
    for (nickname, meaning) in [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@MIDNIGHT", "0 0 * * *"),
        ("@Weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        (" @annually\t", "0 0 1 1 *"),
    ] {
        let (short, long) = (schedule(nickname), schedule(meaning));
        assert_eq!(short.follows_clock(), long.follows_clock(), "{nickname}");
        let (mut a, mut b) = ("2024-02-28T23:00:00Z".parse().unwrap(), "2024-02-28T23:00:00Z".parse().unwrap());
        for _ in 0..30 {
            a = short.next_after(a, &TimeZone::UTC).unwrap();
            b = long.next_after(b, &TimeZone::UTC).unwrap();
            assert_eq!(a, b, "{nickname}");
        }
    }
}

#[test]
fn it_follows_the_clock_when_its_minute_or_hour_starts_with_a_star() {
    for text in [
        "* 2 * * *",
        "*/5 2 * * *",
        "0 * * * *",
        "0 */3 * * *",
        "*,5 1 * * *",
        "@hourly",
        "0 0 * * * *",
        "0 */2 3 * * *",
    ] {
        assert!(schedule(text).follows_clock(), "{text}");
    }
    for text in ["0 2 * * *", "0-59 0-23 * * *", "0 0-23/2 * * *", "5,*/9 1 * * *", "@daily", "@weekly", "* 0 2 * * *"]
    {
        assert!(!schedule(text).follows_clock(), "{text}");
    }
}

#[test]
fn the_text_is_kept_as_written_and_makes_it_equal() {
    let text = " 0\t2  * * Mon ";
    assert_eq!(schedule(text).text(), text);
    assert_eq!(schedule("0 2 * * *"), schedule("0 2 * * *"));
    assert_ne!(schedule("0 2 * * *"), schedule("0 3 * * *"));
    assert_eq!(format!("{:?}", schedule("0 2 * * *")), r#"Schedule("0 2 * * *")"#);
}

/// Texts near enough to a schedule to get far into the parser.
fn nearly() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        r"[0-9*,/@ \t-]{0,40}",
        r"([0-9]{1,3}|[*]|[a-zA-Z?#~]{1,4}|[-/,]|[ \t]|é|\u{a0}|\u{0}){0,30}",
        r"([0-9a-z*/,-]{1,7} ){4,6}[0-9a-zLW#?~()é/,-]{0,7}",
        r"@[a-zé]{0,9}( [0-9*]){0,2}",
    ]
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn no_text_makes_it_panic_and_every_refusal_points_at_text(text in nearly()) {
        match Schedule::parse(&text) {
            Ok(schedule) => prop_assert_eq!(schedule.text(), text),
            Err(error) => {
                let span = error.span;
                prop_assert!(text.get(span.clone()).is_some(), "{:?} of {:?}", span, text);
                prop_assert!(!span.is_empty() || text.is_empty(), "{:?} of {:?}", span, text);
                prop_assert!(!error.message.is_empty() && error.help.is_some_and(|help| !help.is_empty()));
                let printable = error.message.chars().all(|c| !c.is_control());
                prop_assert!(printable && !error.message.ends_with('.'), "{:?}", error.message);
            }
        }
    }
}
