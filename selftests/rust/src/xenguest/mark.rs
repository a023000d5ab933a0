// SPDX-License-Identifier: GPL-2.0

//! The mark at QEMU's part of Xen, which says that it does not migrate.
//!
//! QEMU looks at it when it is to send the guest, and when it gets one. It is a byte in the description of a device's
//! state (`VMStateDescription`): first comes a pointer to the name, and then the mark. The program itself may only
//! read it. The test machine's kernel is told to let root write to that, too (scripts/kvmrs/stages/xen.py).

use anyhow::{ensure, Context, Result};
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// The name.
const NAME: &[u8] = b"xen_xenstore\0";
/// What the program's own mappings end with.
const PROGRAM: &str = "/qemu-system-x86_64";
/// Bytes of a pointer, which is aligned.
const POINTER: usize = size_of::<u64>();
/// The mark.
const SET: u8 = 1;

/// Clears it in the QEMU with this process id. It must be there once, and set.
pub fn clear(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/mem");
    let memory = File::options().read(true).write(true).open(&path);
    let program = Program {
        memory: memory.context(path)?,
        maps: maps(&fs::read_to_string(format!("/proc/{pid}/maps"))?)?,
    };
    let name = program.only(NAME, 1).context("the name of the state")?;
    let pointer = program.only(&name.to_ne_bytes(), POINTER);
    let mark = pointer.context("the description of the state")? + POINTER as u64;
    let mut found = [0];
    program.memory.read_exact_at(&mut found, mark)?;
    ensure!(found == [SET], "QEMU's mark is {found:?}");
    let cleared = program.memory.write_all_at(&[0], mark);
    cleared.context("clearing QEMU's mark")
}

/// What a process has of its program.
struct Program {
    memory: File,
    maps: Vec<Range<u64>>,
}

impl Program {
    /// Where these bytes are, at a multiple of `step`. There is one such place.
    fn only(&self, wanted: &[u8], step: usize) -> Result<u64> {
        let mut found = Vec::new();
        for map in &self.maps {
            let mut bytes = vec![0; (map.end - map.start) as usize];
            self.memory.read_exact_at(&mut bytes, map.start)?;
            let places = places(&bytes, wanted, step);
            found.extend(places.map(|at| map.start + at as u64));
        }
        ensure!(found.len() == 1, "it is there {} times", found.len());
        Ok(found[0])
    }
}

/// The first byte alone is quick to look at.
fn places<'a>(bytes: &'a [u8], wanted: &'a [u8], step: usize) -> impl Iterator<Item = usize> + 'a {
    let windows = bytes.windows(wanted.len()).enumerate().step_by(step);
    let is_it = move |window: &[u8]| window[0] == wanted[0] && window == wanted;
    windows.filter_map(move |(at, window)| is_it(window).then_some(at))
}

/// The program's own, in the text of /proc/PID/maps.
fn maps(text: &str) -> Result<Vec<Range<u64>>> {
    let lines = text.lines().filter(|line| line.ends_with(PROGRAM));
    let ranges = lines.map(|line| {
        let (range, _) = line.split_once(' ').context("a mapping has a range")?;
        let (start, end) = range.split_once('-').context("a range has two ends")?;
        let number = |word| u64::from_str_radix(word, 16);
        Ok(number(start)?..number(end)?)
    });
    ranges.collect()
}

#[cfg(test)]
mod tests {
    use super::{maps, places};

    #[test]
    fn bytes_are_found_where_they_may_be() {
        let found = |step| places(b"a.ab..ab", b"ab", step).collect::<Vec<_>>();
        assert_eq!(found(1), [2, 6]);
        assert_eq!(found(3), [6]);
    }

    #[test]
    fn only_the_program_counts() {
        let text = "\
55d0c0000000-55d0c0001000 r--p 00000000 00:15 7   /share/usr/bin/qemu-system-x86_64
7f0000000000-7f0000002000 r-xp 00000000 00:15 8   /share/usr/lib/libc.so.6
";
        let found = maps(text).expect("the text is whole");
        assert_eq!(found, vec![(0x55d0_c000_0000..0x55d0_c000_1000)]);
        assert!(maps("55d0-g r--p /usr/bin/qemu-system-x86_64").is_err());
    }
}
