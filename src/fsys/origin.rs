//! Where what is in a slot belongs, on the disk before anything is taken there.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use rustix::io::{pread, pwrite};

use super::dir::Dir;
use super::slot::{own_file, written};
use crate::entry::Identity;

/// What a record begins with.
const MAGIC: &[u8; 8] = b"janitor1";

/// Before the path: what it is, device, inode, length and checksum, eight bytes each.
const HEAD: usize = 40;

/// So much is written when a slot is made, so that a record fits when the disk is full.
const RESERVED: usize = 8192;

/// The longest path that is read back: more than ten thousand names of 255 bytes.
const LONGEST: u64 = 4 << 20;

/// The record of one slot.
#[derive(Debug)]
pub(super) struct Origin {
    file: OwnedFd,
    now: Option<(Identity, Vec<u8>)>,
}

/// FNV-1a: against a record that was written in part, not against anybody.
fn checksum(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().copied().flatten();
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn record(identity: Identity, directory: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEAD + directory.len());
    record.extend_from_slice(MAGIC);
    for number in [identity.device, identity.inode, directory.len() as u64] {
        record.extend_from_slice(&number.to_le_bytes());
    }
    let sum = checksum(&[&record, directory]);
    record.extend_from_slice(&sum.to_le_bytes());
    record.extend_from_slice(directory);
    record
}

fn write_at_start(file: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match rustix::io::retry_on_intr(|| pwrite(file, &bytes[done..], done as u64))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            more => done += more,
        }
    }
    written(file)
}

fn read_at(file: &OwnedFd, bytes: &mut [u8], from: u64) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match rustix::io::retry_on_intr(|| pread(file, &mut bytes[done..], from + done as u64))? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => done += more,
        }
    }
    Ok(())
}

impl Origin {
    /// Opens that of a slot that nothing is in.
    pub(super) fn open(slot: &Dir) -> io::Result<Self> {
        let file = own_file(slot, OFlags::RDWR | OFlags::CREATE)?;
        let size = rustix::fs::fstat(&file)?.st_size;
        if usize::try_from(size).unwrap_or(0) < RESERVED {
            write_at_start(&file, &[0; RESERVED])?;
            super::place::write_down(slot)?;
        }
        Ok(Self { file, now: None })
    }

    /// Whether this is what is on the disk.
    pub(super) fn is(&self, identity: Identity, directory: &[u8]) -> bool {
        self.now.as_ref().is_some_and(|(known, path)| *known == identity && path == directory)
    }

    /// Writes it, to the disk.
    pub(super) fn write(&mut self, identity: Identity, directory: &[u8]) -> io::Result<()> {
        self.now = None;
        write_at_start(&self.file, &record(identity, directory))?;
        self.now = Some((identity, directory.to_vec()));
        Ok(())
    }

    /// Reads that of a slot: the directory that its files belong to, and that directory's path relative to the root.
    ///
    /// # Errors
    /// When there is none, or it was only written in part.
    pub(super) fn read(slot: &Dir) -> io::Result<(Identity, Vec<u8>)> {
        let file = own_file(slot, OFlags::RDONLY)?;
        let mut head = [0; HEAD];
        read_at(&file, &mut head, 0)?;
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| head[at + byte]));
        let torn = || io::Error::other("where it belongs was not written down whole");
        let length = number(24);
        if head[..8] != *MAGIC || length > LONGEST {
            return Err(torn());
        }
        let mut directory = vec![0; usize::try_from(length).map_err(|_| torn())?];
        read_at(&file, &mut directory, HEAD as u64)?;
        let identity = Identity { device: number(8), inode: number(16) };
        if checksum(&[&head[..32], &directory]) == number(32) { Ok((identity, directory)) } else { Err(torn()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fsys::resolve;

    fn slot() -> (tempfile::TempDir, Dir) {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let dir = resolve(yard.path(), false).expect("it exists").dir;
        (yard, dir)
    }

    #[test]
    fn what_is_written_is_read_and_known_and_nothing_else_is() {
        let (_yard, slot) = slot();
        let mut origin = Origin::open(&slot).expect("made");
        let one = Identity { device: 1, inode: 2 };
        let others = [Identity { device: 1, inode: 3 }, Identity { device: 2, inode: 2 }];
        assert!(!origin.is(one, b"a/b"), "nothing is written yet");
        let long = vec![b'x'; 2 * RESERVED];
        for path in [&b"a/b"[..], b"", &long, b"c"] {
            origin.write(one, path).expect("there is room");
            assert!(origin.is(one, path));
            for other in others {
                assert!(!origin.is(other, path), "the directory is another");
            }
            assert!(!origin.is(one, b"elsewhere"), "the directory has another path");
            assert_eq!(Origin::read(&slot).expect("whole"), (one, path.to_vec()));
        }
        // One that is opened again knows nothing, so that it is written anew.
        assert!(!Origin::open(&slot).expect("there").is(one, b"c"));
        assert_eq!(Origin::read(&slot).expect("whole"), (one, b"c".to_vec()), "and has overwritten nothing");
    }

    #[test]
    fn a_slot_has_room_for_a_record_from_the_beginning() {
        let (yard, slot) = slot();
        drop(Origin::open(&slot).expect("made"));
        let file = std::fs::read_dir(yard.path()).expect("readable").next().expect("one").expect("readable");
        assert_eq!(file.metadata().expect("there").len(), RESERVED as u64);
        assert!(Origin::read(&slot).is_err(), "there is none yet");
    }

    #[test]
    fn a_record_that_is_not_whole_is_none() {
        let (yard, slot) = slot();
        let mut origin = Origin::open(&slot).expect("made");
        let identity = Identity { device: 1, inode: 2 };
        origin.write(identity, b"a/b").expect("there is room");
        let path = std::fs::read_dir(yard.path()).expect("readable").next().expect("one").expect("readable").path();
        let whole = std::fs::read(&path).expect("ours");
        for at in 0..HEAD + 3 {
            let mut torn = whole.clone();
            torn[at] ^= 1;
            std::fs::write(&path, &torn).expect("ours");
            assert!(Origin::read(&slot).is_err(), "byte {at}");
        }
        for length in [0, 7, HEAD - 1, HEAD + 2] {
            std::fs::write(&path, &whole[..length]).expect("ours");
            assert!(Origin::read(&slot).is_err(), "{length} bytes");
        }
        std::fs::write(&path, &whole).expect("ours");
        assert_eq!(Origin::read(&slot).expect("whole"), (identity, b"a/b".to_vec()));
        // The longest path that is believed, and one byte more.
        for (length, is_read) in [(LONGEST as usize, true), (LONGEST as usize + 1, false)] {
            std::fs::write(&path, record(identity, &vec![b'x'; length])).expect("ours");
            assert_eq!(Origin::read(&slot).is_ok(), is_read, "{length}");
        }
    }
}
