// SPDX-License-Identifier: GPL-2.0

//! Memory of this process that VMs have in their slots, and what can happen to it.

use crate::sysfs;
use anyhow::{bail, ensure, Context, Result};
use rustix::fs::MemfdFlags;
use std::io::Error;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::Ordering::SeqCst;
use vm_memory::{Bytes, VolatileSlice};

/// Bytes in a KiB.
pub const KIB: u64 = 1 << 10;
/// Bytes in a MiB.
pub const MIB: u64 = 1 << 20;
/// Size of a small page.
pub const PAGE_4K: u64 = 4 * KIB;
/// Size of a huge page.
pub const PAGE_2M: u64 = 2 * MIB;
/// Size of the largest page.
pub const PAGE_1G: u64 = 1024 * MIB;

const MPOL_DEFAULT: u64 = 0;
const MPOL_BIND: u64 = 2;
const MPOL_MF_MOVE: u64 = 2;

/// How the memory is backed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Backing {
    /// Small pages.
    Small,
    /// Small pages, only the first of each 2M.
    Sparse,
    /// Transparent huge pages.
    Huge,
    /// Huge pages, from the pool.
    Pool,
    /// Pages of 1G, from the pool.
    Gigantic,
    /// Small pages of a file without a name, which processes share.
    File,
}

impl Backing {
    fn alignment(self) -> u64 {
        if self == Self::Gigantic {
            PAGE_1G
        } else {
            PAGE_2M
        }
    }

    /// Further flags for mmap().
    fn flags(self) -> i32 {
        match self {
            Self::Pool => libc::MAP_PRIVATE | libc::MAP_HUGETLB | libc::MAP_HUGE_2MB,
            Self::Gigantic => libc::MAP_PRIVATE | libc::MAP_HUGETLB | libc::MAP_HUGE_1GB,
            Self::File => libc::MAP_SHARED,
            _ => libc::MAP_PRIVATE,
        }
    }
}

/// What may be done with memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rights {
    /// Nothing.
    None,
    /// Reading.
    Read,
    /// Reading and writing.
    All,
}

impl Rights {
    fn flags(self) -> i32 {
        match self {
            Self::None => libc::PROT_NONE,
            Self::Read => libc::PROT_READ,
            Self::All => libc::PROT_READ | libc::PROT_WRITE,
        }
    }
}

/// An anonymous mapping, aligned to the huge page. Guests and the host write to it at any time, so
/// it is read and written word by word, and no reference into it is ever made.
pub struct Memory {
    mapping: (u64, u64),
    address: u64,
    size: u64,
}

impl Memory {
    /// Maps `size` bytes and makes the pages of that kind present.
    pub fn new(size: u64, backing: Backing) -> Result<Self> {
        let memory = Self::reserve(size, backing)?;
        match backing {
            Backing::Huge => memory.advise(0..size, libc::MADV_HUGEPAGE)?,
            Backing::Small | Backing::Sparse => memory.stay_small()?,
            Backing::Pool | Backing::Gigantic | Backing::File => {}
        }
        memory.populate(backing)?;
        Ok(memory)
    }

    /// Maps `size` bytes of small pages, of which none is present: there may be much more of it
    /// than the machine has.
    pub fn untouched(size: u64) -> Result<Self> {
        let memory = Self::reserve(size, Backing::Small)?;
        memory.stay_small()?;
        Ok(memory)
    }

    /// Maps `size` bytes that are the same `part` of a file over and over: there may be much more of it than the
    /// machine has, and all of it is present.
    pub fn repeated(size: u64, part: u64) -> Result<Self> {
        let (memory, file) = (Self::reserve(size, Backing::Small)?, unnamed_file(part)?);
        for start in (0..size).step_by(part as usize) {
            memory.replace_by(start..start + part, &file)?;
        }
        // The kernel maps several pages at a time then, which may be written nevertheless.
        memory.advise(0..size, libc::MADV_POPULATE_READ)?;
        Ok(memory)
    }

    /// The pages of a file of pages of 1G. None is made, and one that the file has stays there.
    pub fn of_gigantic(file: &OwnedFd, size: u64) -> Result<Self> {
        let start = map(None, size, libc::MAP_SHARED, Some(file))?;
        Ok(Self {
            mapping: (start, size),
            address: start,
            size,
        })
    }

    /// The same pages of a file, mapped twice and not populated in either place.
    pub fn twice(size: u64) -> Result<[Self; 2]> {
        let file = unnamed_file(size)?;
        let mapped = || -> Result<Self> {
            let memory = Self::reserve(size, Backing::Small)?;
            memory.replace_by(0..size, &file)?;
            Ok(memory)
        };
        Ok([mapped()?, mapped()?])
    }

    /// A kernel without transparent huge pages refuses to be told that none are wanted.
    fn stay_small(&self) -> Result<()> {
        if !has_huge_pages() {
            return Ok(());
        }
        self.advise(0..self.size, libc::MADV_NOHUGEPAGE)
    }

    fn populate(&self, backing: Backing) -> Result<()> {
        if backing != Backing::Sparse {
            return self.advise(0..self.size, libc::MADV_POPULATE_WRITE);
        }
        for start in (0..self.size).step_by(PAGE_2M as usize) {
            self.advise(start..start + PAGE_4K, libc::MADV_POPULATE_WRITE)?;
        }
        Ok(())
    }

    fn reserve(size: u64, backing: Backing) -> Result<Self> {
        let gigantic = backing == Backing::Gigantic;
        let length = if gigantic {
            size
        } else {
            size + backing.alignment()
        };
        let file = (backing == Backing::File).then(|| unnamed_file(length));
        let file = file.transpose()?;
        let start = map(None, length, backing.flags(), file.as_ref())?;
        Ok(Self {
            mapping: (start, length),
            address: start.next_multiple_of(backing.alignment()),
            size,
        })
    }

    /// Its first byte's address in this process.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many pages of `size` it has room for.
    pub fn pages(&self, size: u64) -> u64 {
        self.size / size
    }

    /// The word at `offset`.
    pub fn load(&self, offset: u64) -> u32 {
        let value = self.slice().load(offset as usize, SeqCst);
        value.expect("tests stay inside their memory")
    }

    /// Changes the word at `offset`.
    pub fn store(&self, offset: u64, value: u32) {
        let done = self.slice().store(value, offset as usize, SeqCst);
        done.expect("tests stay inside their memory");
    }

    /// Copies `bytes` to `offset`.
    pub fn write(&self, offset: u64, bytes: &[u8]) {
        let done = self.slice().write_slice(bytes, offset as usize);
        done.expect("tests stay inside their memory");
    }

    /// Everything that it holds.
    pub fn read(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.size as usize];
        let done = self.slice().read_slice(&mut bytes, 0);
        done.expect("it is all there");
        bytes
    }

    fn slice(&self) -> VolatileSlice<'_> {
        // SAFETY: the mapping lives as long as `self`, and is only used in this way here. Others
        // who write to it, guests and the kernel, are what volatile accesses are for.
        unsafe { VolatileSlice::new(self.address as *mut u8, self.size as usize) }
    }

    /// Gives the pages of `range` back: they read as zero afterwards.
    pub fn discard(&self, range: Range<u64>) -> Result<()> {
        self.advise(range, libc::MADV_DONTNEED)
    }

    /// madvise() with one of its constants.
    pub fn advise(&self, range: Range<u64>, advice: i32) -> Result<()> {
        let start = self.pointer(&range);
        // SAFETY: the range is in this object's own mapping, where any content may come to be.
        let failed = unsafe { libc::madvise(start, length(&range), advice) };
        ensure!(failed == 0, "madvise({advice}): {}", Error::last_os_error());
        Ok(())
    }

    /// Changes what this process, and so a guest, may do with `range`. Whoever does more gets a
    /// signal, and a guest's KVM_RUN an error.
    pub fn protect(&self, range: Range<u64>, rights: Rights) -> Result<()> {
        let start = self.pointer(&range);
        // SAFETY: the range is in this object's own mapping, into which there are no references.
        let failed = unsafe { libc::mprotect(start, length(&range), rights.flags()) };
        ensure!(failed == 0, "mprotect: {}", Error::last_os_error());
        Ok(())
    }

    /// Puts new, empty memory in the place of `range`: munmap() and mmap() in one.
    pub fn replace(&self, range: Range<u64>) -> Result<()> {
        let place = Some(self.pointer(&range));
        map(place, length(&range) as u64, libc::MAP_PRIVATE, None)?;
        Ok(())
    }

    /// Puts the first pages of a file in the place of `range`.
    pub fn replace_by(&self, range: Range<u64>, file: &OwnedFd) -> Result<()> {
        let place = Some(self.pointer(&range));
        map(place, length(&range) as u64, libc::MAP_SHARED, Some(file))?;
        Ok(())
    }

    /// Moves the pages of `range` away; what is left behind is empty. The result has them.
    pub fn move_away(&self, range: Range<u64>) -> Result<Self> {
        let target = Self::reserve(range.end - range.start, Backing::Small)?;
        let (here, there) = (self.pointer(&range), target.pointer(&(0..target.size)));
        remap(here, there, length(&range))?;
        Ok(target)
    }

    /// Moves the pages of `range` to another address and back. Where the kernel does not move
    /// them, because they are in several mappings, they stay. Nobody may use the range meanwhile.
    pub fn move_and_back(&self, range: Range<u64>) -> Result<bool> {
        let away = Self::reserve(range.end - range.start, Backing::Small)?;
        let (here, there) = (self.pointer(&range), away.pointer(&(0..away.size)));
        if remap(here, there, length(&range)).is_err() {
            return Ok(false);
        }
        remap(there, here, length(&range))?;
        Ok(true)
    }

    /// Moves the pages of `range` to a node, and lets them go where they like again.
    pub fn move_to_node(&self, range: Range<u64>, node: u64) -> Result<()> {
        self.bind(&range, MPOL_BIND, Some(&(1 << node)), MPOL_MF_MOVE)
            .context("moving pages to a node (boot with numa=fake=2)")?;
        self.bind(&range, MPOL_DEFAULT, None, 0)
    }

    fn bind(&self, range: &Range<u64>, mode: u64, nodes: Option<&u64>, flags: u64) -> Result<()> {
        let (start, length) = (self.pointer(range), length(range));
        let nodes = nodes.map_or(ptr::null(), ptr::from_ref);
        // SAFETY: the range is in this object's own mapping, whose content stays, and `nodes` is
        // null or has 64 bits, of which the kernel reads one less than the number given.
        let failed =
            unsafe { libc::syscall(libc::SYS_mbind, start, length, mode, nodes, 64, flags) };
        ensure!(failed == 0, "mbind: {}", Error::last_os_error());
        Ok(())
    }

    fn pointer(&self, range: &Range<u64>) -> *mut libc::c_void {
        assert!(range.start < range.end && range.end <= self.size);
        (self.address + range.start) as *mut libc::c_void
    }
}

/// Whether the kernel has transparent huge pages. With PREEMPT_RT it has none.
pub fn has_huge_pages() -> bool {
    sysfs::exists("/sys/kernel/mm/transparent_hugepage")
}

fn length(range: &Range<u64>) -> usize {
    (range.end - range.start) as usize
}

/// Moves pages from one mapping of ours to another of the same length. No hole is left behind, into
/// which another thread could map something.
fn remap(from: *mut libc::c_void, to: *mut libc::c_void, length: usize) -> Result<()> {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
    // SAFETY: both ranges are in mappings of ours, into which there are no references.
    let moved = unsafe { libc::mremap(from, length, length, flags, to) };
    ensure!(moved == to, "mremap: {}", Error::last_os_error());
    Ok(())
}

/// A mapping of `file`, or of none.
fn map(
    place: Option<*mut libc::c_void>,
    length: u64,
    flags: i32,
    file: Option<&OwnedFd>,
) -> Result<u64> {
    let fixed = if place.is_some() { libc::MAP_FIXED } else { 0 };
    let anonymous = if file.is_none() {
        libc::MAP_ANONYMOUS
    } else {
        0
    };
    // SAFETY: a mapping where the kernel likes touches no other memory, and `place` is in a
    // mapping of the caller's.
    let start = unsafe {
        libc::mmap(
            place.unwrap_or(ptr::null_mut()),
            length as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            flags | fixed | anonymous | libc::MAP_NORESERVE,
            file.map_or(-1, AsRawFd::as_raw_fd),
            0,
        )
    };
    if start == libc::MAP_FAILED {
        bail!("mmap of {length} bytes: {}", Error::last_os_error());
    }
    Ok(start as u64)
}

/// A file without a name, of pages of 1G from the pool, with none so far.
pub fn gigantic_file(length: u64) -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::HUGETLB | MemfdFlags::HUGE_1GB;
    let file = rustix::fs::memfd_create("gigantic", flags).context("memfd_create")?;
    rustix::fs::ftruncate(&file, length)?;
    Ok(file)
}

fn unnamed_file(length: u64) -> Result<OwnedFd> {
    let file = rustix::fs::memfd_create("memory", MemfdFlags::CLOEXEC).context("memfd_create")?;
    rustix::fs::ftruncate(&file, length)?;
    Ok(file)
}

impl Drop for Memory {
    fn drop(&mut self) {
        let (start, length) = self.mapping;
        // SAFETY: nobody uses the mapping after this object; a VM that still has it in a slot
        // loses the pages through the mmu_notifier, and its KVM_RUN fails if it touches them.
        unsafe { libc::munmap(start as *mut libc::c_void, length as usize) };
    }
}
