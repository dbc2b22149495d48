//! The command `janitor`.
fn main() {
    print!("{}", janitor::config::schema());
}
