//! Needs of tests that not every machine meets, as for the tests of the whole program.

#[expect(dead_code, reason = "shared with the tests of the whole program")]
#[path = "../tests/it/needs.rs"]
mod shared;

use std::path::Path;

pub use shared::{leases, missing, root, say, tool};

/// Creates a directory on another file system than that of `than`; `None` where there is no other that can be written.
pub fn another_file_system(than: &Path) -> Option<tempfile::TempDir> {
    use std::os::unix::fs::MetadataExt;
    let device = |of: &Path| of.metadata().expect("it exists").dev();
    let elsewhere = ["/dev/shm", "/tmp", "/var/tmp", "."]
        .into_iter()
        .find_map(|place| tempfile::tempdir_in(place).ok().filter(|there| device(there.path()) != device(than)));
    if elsewhere.is_none() {
        missing("two file systems that can be written");
    }
    elsewhere
}
