//! Properties that tell one file system from another.

use serde::{Deserialize, Serialize};

/// Properties of a file system that do not change when it is mounted again. Properties that could not be read are
/// missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileSystem {
    /// UUID of the file system, as the kernel tells it.
    pub uuid: Option<String>,
    /// Field `f_fsid` of statfs(2), where it is made from the UUID.
    pub fsid: Option<u64>,
    /// UUID under which udev lists the device.
    pub disk: Option<String>,
    /// Source and kind of the mount.
    pub mount: Option<(String, String)>,
}

impl FileSystem {
    /// Returns the difference from the file system `then`, in words: by the best property that is known of both.
    /// Returns `None` when both are the same, or nothing is known of both.
    #[must_use]
    pub fn differs_from(&self, then: &Self) -> Option<String> {
        let uuids = self.uuid.as_ref().zip(then.uuid.as_ref());
        let fsids = self.fsid.as_ref().zip(then.fsid.as_ref());
        let disks = self.disk.as_ref().zip(then.disk.as_ref());
        let mounts = self.mount.as_ref().zip(then.mount.as_ref());
        if let Some((now, then)) = uuids {
            return (now != then).then(|| format!("UUID {now}, was {then}"));
        }
        if let Some((now, then)) = fsids {
            return (now != then).then(|| format!("file system id {now:x}, was {then:x}"));
        }
        if let Some((now, then)) = disks {
            return (now != then).then(|| format!("UUID {now}, was {then}"));
        }
        let (now, then) = mounts?;
        let shown = |(source, kind): &(String, String)| format!("{kind} from {source}");
        (now != then).then(|| format!("{}, was {}", shown(now), shown(then)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::RootSeen;

    #[test]
    fn file_systems_are_told_apart_by_the_best_that_is_known_of_both_and_by_nothing_else() {
        let mount = |source: &str, kind: &str| Some((source.to_owned(), kind.to_owned()));
        let on =
            |uuid: Option<&str>, fsid, mount| FileSystem { uuid: uuid.map(str::to_owned), fsid, mount, disk: None };
        let (loop0, loop1, shm) = (mount("/dev/loop0", "xfs"), mount("/dev/loop1", "xfs"), mount("tmpfs", "tmpfs"));
        for (now, then, differs) in [
            (on(Some("a"), None, loop0.clone()), on(Some("a"), None, loop1.clone()), false),
            (on(Some("a"), None, loop0.clone()), on(Some("b"), None, loop0.clone()), true),
            (on(Some("a"), Some(1), loop0.clone()), on(None, Some(1), loop1.clone()), false),
            (on(None, Some(1), loop0.clone()), on(None, Some(2), loop0.clone()), true),
            (on(None, None, loop0.clone()), on(None, None, loop0.clone()), false),
            (on(Some("a"), None, loop0.clone()), on(None, None, shm.clone()), true),
            // Of one that an older version noted nothing is known, and nothing is held for that.
            (on(Some("a"), Some(1), shm), FileSystem::default(), false),
        ] {
            assert_eq!(now.differs_from(&then).is_some(), differs, "{now:?} {then:?}");
            assert_eq!(then.differs_from(&now).is_some(), differs, "{now:?} {then:?}");
        }
        let disk =
            |name: &str| FileSystem { disk: Some(name.into()), mount: mount(name, "vfat"), ..FileSystem::default() };
        assert_eq!(disk("4A-1").differs_from(&FileSystem { mount: loop1, ..disk("4A-1") }), None);
        assert!(disk("4A-1").differs_from(&disk("4A-2")).is_some());
    }

    #[test]
    fn a_root_that_an_older_version_noted_can_be_read() {
        let noted = r#"{"identity":{"device":1,"inode":2},"in_memory":false}"#;
        let seen: RootSeen = serde_json::from_str(noted).expect("readable");
        assert_eq!(seen.file_system, FileSystem::default());
    }
}
