// SPDX-License-Identifier: GPL-2.0

//! Faults that this process answers itself: the kernel's userfaultfd.

use crate::ioctls::{
    Words, UFFDIO_API, UFFDIO_CONTINUE, UFFDIO_COPY, UFFDIO_REGISTER, UFFDIO_WRITEPROTECT,
};
use crate::memory::{Memory, PAGE_4K};
use anyhow::{ensure, Context, Result};
use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::ops::Range;
use std::os::fd::FromRawFd;
use std::os::raw::c_ulong;
use vmm_sys_util::ioctl::ioctl_with_mut_ref;

/// Which faults are asked about, as userspace names them when it registers memory.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u64)]
pub enum Kind {
    /// There is no page.
    Missing = 1,
    /// There is one, and it may not be written to for now.
    Protected = 2,
    /// The file has a page, and the mapping does not have it.
    Minor = 4,
}

const API: u64 = 0xaa;
const MINOR_SHMEM: u64 = 1 << 10;
/// A message: the kind of the event is its first byte, flags and address are words 1 and 2.
const MESSAGE: usize = 32;
const PAGE_FAULT: u8 = 0x12;

/// Memory whose faults of one kind wait until they are answered.
pub struct Userfault<'a> {
    file: File,
    memory: &'a Memory,
}

impl<'a> Userfault<'a> {
    /// Asks about the faults of `memory` from now on.
    pub fn of(memory: &'a Memory, kind: Kind) -> Result<Self> {
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: the call takes a number, and gives a new descriptor or an error.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
        ensure!(fd >= 0, "userfaultfd: {}", Error::last_os_error());
        // SAFETY: the descriptor is new, and nobody else's.
        let file = unsafe { File::from_raw_fd(fd as i32) };
        let asked = Self { file, memory };
        let features = if kind == Kind::Minor { MINOR_SHMEM } else { 0 };
        let (start, size) = (memory.address(), memory.size());
        asked.call(UFFDIO_API(), [API, features, 0])?;
        asked.call(UFFDIO_REGISTER(), [start, size, kind as u64, 0])?;
        Ok(asked)
    }

    /// The place of the next page that somebody waits for, if there is one.
    pub fn next(&self) -> Result<Option<u64>> {
        let mut message = [0; MESSAGE];
        match (&self.file).read(&mut message) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            read => read.context("reading a message of userfaultfd")?,
        };
        ensure!(message[0] == PAGE_FAULT, "a message {message:?}");
        let address = u64::from_ne_bytes(message[16..24].try_into()?);
        Ok(Some(address / PAGE_4K * PAGE_4K - self.memory.address()))
    }

    /// Makes the missing page at `offset`, with `word` as its first. The page may be there already.
    pub fn give(&self, offset: u64, word: u32) -> Result<()> {
        let mut page = [0_u32; PAGE_4K as usize / size_of::<u32>()];
        page[0] = word;
        let (to, from) = (self.memory.address() + offset, page.as_ptr() as u64);
        let given = self.call(UFFDIO_COPY(), [to, from, PAGE_4K, 0, 0]);
        let there = |error: &Error| error.raw_os_error() == Some(libc::EEXIST);
        match given {
            Err(error) if there(&error) => Ok(()),
            other => other.context("UFFDIO_COPY"),
        }
    }

    /// Lets the mapping have the file's page at `offset`.
    pub fn resume(&self, offset: u64) -> Result<()> {
        let place = self.memory.address() + offset;
        self.call(UFFDIO_CONTINUE(), [place, PAGE_4K, 0, 0])
            .context("UFFDIO_CONTINUE")
    }

    /// Forbids to write to `range`, or lets go on who waits to do so.
    pub fn protect(&self, range: Range<u64>, on: bool) -> Result<()> {
        let place = self.memory.address() + range.start;
        let size = range.end - range.start;
        self.call(UFFDIO_WRITEPROTECT(), [place, size, on.into()])
            .context("UFFDIO_WRITEPROTECT")
    }

    fn call<const N: usize>(&self, number: c_ulong, mut words: Words<N>) -> std::io::Result<()> {
        // SAFETY: each number is called with its own count of words. What they say is about memory
        // of `memory`, where any content may come to be, and about a page of the caller's.
        let failed = unsafe { ioctl_with_mut_ref(&self.file, number, &mut words) };
        if failed == 0 {
            Ok(())
        } else {
            Err(Error::last_os_error())
        }
    }
}
