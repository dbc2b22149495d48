//! Features that tell one file system from another, whatever number its device has.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{AtFlags, StatxFlags, fstatfs, fstatvfs, statx};

use super::dir::{Dir, again};
use crate::report::FileSystem;

/// `TMPFS_MAGIC`, `RAMFS_MAGIC` and `OVERLAYFS_SUPER_MAGIC` of statfs(2): these file systems get a new UUID at every
/// mount.
const MADE_ANEW: [i64; 3] = [0x0102_1994, 0x8584_58f6, 0x794c_7630];

/// `EXT4_SUPER_MAGIC` and `BTRFS_SUPER_MAGIC`: file systems whose `f_fsid` is made from the UUID.
const EXT4: i64 = 0xef53;
const BTRFS: i64 = 0x9123_683e;

const BY_UUID: &str = "/dev/disk/by-uuid";

impl Dir {
    /// Returns the features of this directory's file system that do not change when it is mounted again. Features that
    /// cannot be queried are left out.
    #[must_use]
    pub fn file_system(&self) -> FileSystem {
        #[expect(clippy::useless_conversion, reason = "its width differs between architectures")]
        let kind = again(|| fstatfs(self.fd())).map(|stat| i64::from(stat.f_type)).unwrap_or_default();
        let mount = self.mount().ok().flatten();
        let mut known = FileSystem { mount, ..FileSystem::default() };
        if MADE_ANEW.contains(&kind) {
            return known;
        }
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        known.uuid = janitor_lease::file_system_uuid(self.fd()).ok().map(|uuid| hex(&uuid));
        let fsid = again(|| fstatvfs(self.fd())).map(|stat| stat.f_fsid).unwrap_or_default();
        known.fsid = match kind {
            EXT4 => Some(fsid),
            // The other half belongs to the subvolume.
            BTRFS => Some(fsid & u64::from(u32::MAX)),
            _ => None,
        };
        known.disk = known.mount.as_ref().and_then(|(source, _)| listed_as(source).ok().flatten());
        known
    }

    /// Returns the source and the kind of the mount, as the kernel lists them.
    fn mount(&self) -> io::Result<Option<(String, String)>> {
        let stat = again(|| statx(self.fd().as_fd(), c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID))?;
        if stat.stx_mask & StatxFlags::MNT_ID.bits() == 0 {
            return Ok(None);
        }
        let mounts = std::fs::read("/proc/self/mountinfo")?;
        Ok(source_and_kind(&mounts, stat.stx_mnt_id))
    }
}

/// Returns the source and the kind of a mount in proc(5)'s mountinfo: the fields after the lone hyphen, in reverse
/// order.
fn source_and_kind(mounts: &[u8], id: u64) -> Option<(String, String)> {
    let id = id.to_string();
    mounts.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        if fields.next() != Some(id.as_bytes()) {
            return None;
        }
        let mut after = fields.skip_while(|field| *field != b"-").skip(1);
        let (kind, source) = (after.next()?, after.next()?);
        let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
        Some((text(source), text(kind)))
    })
}

/// Returns the UUID under which udev lists a device, which stays the same for a disk that was plugged in again under
/// another name.
fn listed_as(source: &str) -> io::Result<Option<String>> {
    let Some(device) = Path::new(source).file_name().filter(|_| source.starts_with("/dev/")) else { return Ok(None) };
    for entry in std::fs::read_dir(BY_UUID)? {
        let entry = entry?;
        let leads_to = std::fs::read_link(entry.path())?;
        if leads_to.file_name() == Some(OsStr::from_bytes(device.as_bytes())) {
            return Ok(Some(String::from_utf8_lossy(&entry.file_name().into_vec()).into_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_and_kind_of_a_mount_are_read_whatever_stands_before_them() {
        let mounts = b"22 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw\n\
            23 22 0:40 /a\\040b /m rw - fuse.sshfs user@host:/x rw\n24 22 0:41 / /n rw -\n";
        let found = |id| source_and_kind(mounts, id);
        assert_eq!(found(22), Some(("/dev/vda".into(), "ext4".into())));
        assert_eq!(found(23), Some(("user@host:/x".into(), "fuse.sshfs".into())));
        assert_eq!((found(24), found(2)), (None, None));
    }

    #[test]
    fn two_directories_of_one_file_system_are_on_the_same_and_proc_is_another() {
        let at = |path: &str| super::super::resolve(Path::new(path), false).expect("there").dir.file_system();
        let (temporary, proc) = (std::env::temp_dir(), at("/proc"));
        let temporary = at(temporary.canonicalize().expect("there").to_str().expect("text"));
        assert_eq!(temporary.differs_from(&temporary.clone()), None);
        assert!(proc.mount.is_some(), "{proc:?}");
        assert!(proc.differs_from(&temporary).is_some(), "{proc:?} {temporary:?}");
    }
}
