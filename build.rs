//! Notes when the program is built: a clock that shows an earlier time is wrong.

#![expect(clippy::disallowed_methods, reason = "this is when it is built")]

fn main() {
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    // https://reproducible-builds.org/specs/source-date-epoch/
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse::<u64>().ok());
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("cargo::rustc-env=JANITOR_BUILT={}", given.unwrap_or_else(now));
}
