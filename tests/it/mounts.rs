//! File systems of a test's own, made in a mount namespace of its own, so that nothing of them is left however the test
//! ends.
//!
//! ```ignore
//! crate::mounts::in_namespace! { some_test another_test }
//!
//! mod private {
//!     pub fn some_test(yard: &Yard) {
//!         let btrfs = mounts::mount(yard, Kind::Btrfs, "target");
//!     }
//! }
//! ```
//!
//! The yard is a fresh tmpfs, where images of disks cost memory and no time.

use std::path::{Path, PathBuf};

use super::disk::{about, can_mount, in_private, sh, unmount};
use super::needs;
use super::yard::Yard;

/// The name of a test and what it does in its yard.
pub type Test = (&'static str, fn(&Yard));

/// Makes tests of the functions of these names in the module `private` beside the call. Each is run in a mount namespace
/// of its own, with a yard in a fresh tmpfs. Once in a module.
macro_rules! in_namespace {
    ($($test:ident)*) => {
        $(#[test] fn $test() { crate::mounts::play(module_path!(), stringify!($test)); })*

        /// Not a test: what those above start in a mount namespace.
        #[test]
        #[ignore = "it is a part of other tests"]
        fn in_its_namespace() {
            crate::mounts::played(&[$((stringify!($test), private::$test as fn(&crate::yard::Yard))),*]);
        }
    };
}
pub(crate) use in_namespace;

/// Runs the function `name` of a module in a mount namespace. For [`in_namespace`].
#[track_caller]
pub fn play(module: &str, name: &str) {
    if can_mount() && needs::tool("setpriv") {
        let module = module.split_once("::").map_or(module, |(_, inner)| inner);
        in_private(&format!("{module}::in_its_namespace"), name);
    }
}

/// Runs the function that was asked for. For [`in_namespace`].
pub fn played(all: &[Test]) {
    let Some(about) = about() else { return };
    let (_, run) = all.iter().find(|(name, _)| *name == about).expect("a function of this name");
    let outer = Yard::new();
    sh("mount -t tmpfs -o mode=755 none \"$1\"", &[&outer.path("")]);
    run(&Yard::at(&outer.path("")));
    sh("umount -R -l \"$1\"", &[&outer.path("")]);
}

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tmpfs,
    Ext4,
    Xfs,
    Btrfs,
    /// Files of a lower ext4 and an upper tmpfs, so that files have other device numbers than directories.
    Overlay,
    /// A directory of the yard's tmpfs, shown by `bindfs`.
    Fuse,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Tmpfs, Self::Ext4, Self::Xfs, Self::Btrfs, Self::Overlay, Self::Fuse];

    /// Whether this machine can make one. Says so where it cannot.
    pub fn is_there(self) -> bool {
        match self {
            Self::Tmpfs | Self::Ext4 => true,
            Self::Xfs => has_driver("xfs") && needs::tool("mkfs.xfs"),
            Self::Btrfs => has_driver("btrfs") && needs::tool("mkfs.btrfs"),
            Self::Overlay => has_driver("overlay"),
            Self::Fuse => needs::tool("bindfs"),
        }
    }
}

/// Whether the kernel has this file system. Nothing that could be installed brings one, so a missing one never fails.
fn has_driver(name: &str) -> bool {
    // A module is listed once it is loaded, and a mount would load it.
    drop(std::process::Command::new("modprobe").arg(name).output());
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let has = known.lines().any(|line| line.ends_with(&format!("\t{name}")));
    if !has {
        needs::say(&format!("\n*** NOT RUN: this kernel has no {name} ***\n"));
    }
    has
}

/// A mounted file system.
pub struct Mount {
    pub kind: Kind,
    /// Where it is mounted.
    pub path: PathBuf,
}

/// The size of the disk below a file system where a test does not care. It is a sparse file: xfs and btrfs want at least
/// this much.
const SIZE: &str = "400M";

/// Makes a file system of this kind and mounts it at a directory of the yard, which is made. Root owns it, and everybody
/// may enter. The machine has to have the kind ([`Kind::is_there`]).
#[track_caller]
pub fn mount(yard: &Yard, kind: Kind, at: &str) -> Mount {
    mount_sized(yard, kind, at, SIZE)
}

/// The same with a disk of this size, in the words of truncate(1). A FUSE file system has the size of the yard.
#[track_caller]
pub fn mount_sized(yard: &Yard, kind: Kind, at: &str, size: &str) -> Mount {
    let path = yard.directory(at);
    let beside = yard.path(format!(".{}", at.replace('/', "-")));
    let made = |script: &str| sh(script, &[&path, &beside, Path::new(size)]);
    match kind {
        Kind::Tmpfs => made("mount -t tmpfs -o mode=755,size=$3 none \"$1\""),
        Kind::Ext4 => made(
            "truncate -s $3 \"$2\" && mkfs.ext4 -q -m 0 -I 256 \"$2\" && mount -o loop \"$2\" \"$1\" && \
             chmod 755 \"$1\" && rmdir \"$1\"/lost+found",
        ),
        Kind::Xfs => made("truncate -s $3 \"$2\" && mkfs.xfs -q \"$2\" && mount -o loop \"$2\" \"$1\""),
        Kind::Btrfs => made("truncate -s $3 \"$2\" && mkfs.btrfs -q \"$2\" && mount -o loop \"$2\" \"$1\""),
        Kind::Overlay => made(
            "mkdir \"$2\" && cd \"$2\" && truncate -s $3 image && mkfs.ext4 -q -m 0 -I 256 image && \
             mkdir lower upper && mount -o loop image lower && rmdir lower/lost+found && chmod 755 lower && \
             mount -t tmpfs -o mode=755 none upper && mkdir -m 755 upper/files upper/work && \
             mount -t overlay -o xino=off,lowerdir=lower,upperdir=upper/files,workdir=upper/work none \"$1\"",
        ),
        Kind::Fuse => made("mkdir -m 755 \"$2\" && bindfs \"$2\" \"$1\""),
    }
    Mount { kind, path }
}

impl Mount {
    /// Unmounts, and waits until nobody uses it.
    #[track_caller]
    pub fn unmount(&self) {
        unmount(&self.path);
    }

    /// The directory of the yard with the layers of an overlay (`lower`, `upper/files`) or the files behind FUSE.
    pub fn behind(&self) -> PathBuf {
        let name = self.path.file_name().expect("it has a name").to_string_lossy().into_owned();
        self.path.with_file_name(format!(".{name}"))
    }
}

crate::mounts::in_namespace! {
    every_kind_can_be_mounted_and_written_by_its_owner
}

mod private {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::users::VICTIM;

    pub fn every_kind_can_be_mounted_and_written_by_its_owner(yard: &Yard) {
        let devices: Vec<_> = Kind::ALL
            .into_iter()
            .filter(|kind| kind.is_there())
            .map(|kind| {
                let name = format!("{kind:?}");
                let mounted = mount(yard, kind, &name);
                VICTIM.owns(&mounted.path);
                VICTIM
                    .script(yard, &format!("echo text >{name}/file && mkdir {name}/sub && mv {name}/file {name}/sub"));
                assert_eq!(fs::read_to_string(yard.path(format!("{name}/sub/file"))).expect("there"), "text\n");
                let behind = |layer: &str| mounted.behind().join(layer).join("sub/file").exists();
                assert_eq!(behind("upper/files"), mounted.kind == Kind::Overlay);
                assert_eq!(behind(""), mounted.kind == Kind::Fuse);
                let device = fs::metadata(&mounted.path).expect("there").dev();
                mounted.unmount();
                assert!(yard.left(&name).is_empty());
                device
            })
            .collect();
        assert!(devices.len() >= 2);
        let own = fs::metadata(yard.path("")).expect("there").dev();
        assert!(!devices.contains(&own), "a mount is another device than the yard");
    }
}
