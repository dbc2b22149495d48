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
