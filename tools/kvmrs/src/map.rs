// SPDX-License-Identifier: GPL-2.0

//! What `mmu_map` says, line by line.

use anyhow::{bail, ensure, Context, Result};
use serde::{Serialize, Serializer};
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// The page tables of a VM.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Map {
    /// All roots, in the order of the file.
    pub roots: Vec<Root>,
}

/// A root, and what it maps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Root {
    /// The role as KVM has it.
    pub role: u32,
    /// Levels of its page tables.
    pub level: u8,
    /// The address space: 1 is that of SMM.
    pub as_id: u8,
    /// For a nested guest.
    pub guest_mode: bool,
    /// Works without accessed and dirty bits.
    pub ad_disabled: bool,
    /// About to be zapped.
    pub invalid: bool,
    /// References to it.
    pub refs: u64,
    /// Without a gap, from frame 0 on.
    pub runs: Vec<Run>,
}

/// Entries without a gap that map in the same way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// First guest frame.
    pub first_gfn: u64,
    /// Last guest frame.
    pub last_gfn: u64,
    /// What the entries are.
    #[serde(flatten)]
    pub what: What,
}

/// What entries are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum What {
    /// Nothing.
    Absent,
    /// Accesses are emulated.
    Mmio(Entries),
    /// A task works on them.
    Frozen(Entries),
    /// Pages.
    Leaf(Pages),
}

/// How many entries there are, of which size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Entries {
    /// What one spans.
    pub size: Size,
    /// How many.
    pub entries: u64,
}

/// Leaves of one size with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pages {
    /// Size and number.
    #[serde(flatten)]
    pub entries: Entries,
    /// What they permit and remember.
    #[serde(flatten)]
    pub bits: Bits,
}

/// The letters of a leaf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bits {
    /// R: the guest may read.
    pub readable: bool,
    /// W: the guest may write.
    pub writable: bool,
    /// X: the guest may execute.
    pub executable: bool,
    /// A: somebody used the page.
    pub accessed: bool,
    /// D: the CPU has noted a write.
    pub dirty: bool,
    /// M: KVM may give W back without asking.
    pub mmu_writable: bool,
    /// H: the host's own mapping was writable.
    pub host_writable: bool,
}

/// What an entry spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// 4 KiB.
    Small,
    /// 2 MiB.
    Huge,
    /// 1 GiB.
    Gigantic,
    /// 512 GiB; no page has this size.
    Level4,
    /// 256 TiB; no page has this size.
    Level5,
}

/// Addresses have 64 bits, and a frame has 12 of them.
const FRAMES: u64 = 1 << 52;

/// All sizes with their names.
const SIZES: [(Size, &str); 5] = [
    (Size::Small, "4K"),
    (Size::Huge, "2M"),
    (Size::Gigantic, "1G"),
    (Size::Level4, "512G"),
    (Size::Level5, "256T"),
];

impl FromStr for Map {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut roots: Vec<Root> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let place = || format!("line {} of mmu_map: '{line}'", number + 1);
            if let Some(fields) = line.strip_prefix("root ") {
                roots.push(fields.parse().with_context(place)?);
            } else {
                let root = roots.last_mut().context("no root before it");
                let runs = &mut root.with_context(place)?.runs;
                let run: Run = line.trim_start().parse().with_context(place)?;
                let end = runs.last().map_or(0, |run| run.last_gfn + 1);
                ensure!(run.first_gfn == end, "{}: a gap before it", place());
                runs.push(run);
            }
        }
        Ok(Self { roots })
    }
}

impl FromStr for Root {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut words = text.split(' ');
        let mut field = |name: &str| -> Result<u64> {
            let word = words.next().unwrap_or_default();
            let value = word
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('='));
            number(value.with_context(|| format!("'{name}=' is missing"))?)
        };
        let root = Self {
            role: field("role")?.try_into()?,
            level: field("level")?.try_into()?,
            as_id: field("as_id")?.try_into()?,
            guest_mode: field("guest_mode")? != 0,
            ad_disabled: field("ad_disabled")? != 0,
            invalid: field("invalid")? != 0,
            refs: field("refs")?,
            runs: Vec::new(),
        };
        ensure!(words.next().is_none(), "more columns than known");
        Ok(root)
    }
}

impl FromStr for Run {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let (first, last) = words[0].split_once('-').context("no range of frames")?;
        let (first_gfn, last_gfn) = (number(first)?, number(last)?);
        ensure!(first_gfn <= last_gfn, "the range ends before it begins");
        ensure!(last_gfn < FRAMES, "a frame beyond what a CPU can address");
        let what = match words[1..] {
            ["absent"] => What::Absent,
            [size, count, "mmio"] => What::Mmio(entries(size, count)?),
            [size, count, "frozen"] => What::Frozen(entries(size, count)?),
            [size, count, bits] => What::Leaf(Pages {
                entries: entries(size, count)?,
                bits: bits.parse()?,
            }),
            _ => bail!("a strange number of columns"),
        };
        let run = Self {
            first_gfn,
            last_gfn,
            what,
        };
        ensure!(run.is_whole(), "the entries do not fill the range");
        Ok(run)
    }
}

impl FromStr for Bits {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        ensure!(text.len() == LETTERS.len(), "'{text}' are no bits");
        let mut set = [false; LETTERS.len()];
        for ((set, letter), known) in set.iter_mut().zip(text.chars()).zip(LETTERS) {
            ensure!(letter == known || letter == '-', "'{text}' are no bits");
            *set = letter == known;
        }
        let [readable, writable, executable, accessed, dirty, mmu_writable, host_writable] = set;
        Ok(Self {
            readable,
            writable,
            executable,
            accessed,
            dirty,
            mmu_writable,
            host_writable,
        })
    }
}

/// The letters in the order of [`Bits`].
const LETTERS: [char; 7] = ['R', 'W', 'X', 'A', 'D', 'M', 'H'];

impl Run {
    /// The number of frames.
    pub fn frames(&self) -> u64 {
        self.last_gfn - self.first_gfn + 1
    }

    fn is_whole(&self) -> bool {
        match self.what {
            What::Absent => true,
            What::Mmio(of) | What::Frozen(of) | What::Leaf(Pages { entries: of, .. }) => {
                of.entries.checked_mul(of.size.frames()) == Some(self.frames())
            }
        }
    }
}

impl Size {
    /// Frames that one entry spans.
    pub fn frames(self) -> u64 {
        1 << (9 * (self as u32))
    }
}

impl Display for Size {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.pad(SIZES[*self as usize].1)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Root {
    /// What distinguishes it from the other roots, in words.
    pub fn title(&self) -> String {
        let mut words = vec![format!("root {:#x}, {} levels", self.role, self.level)];
        let marks = [
            (self.as_id == 1, "SMM"),
            (self.guest_mode, "nested guest"),
            (self.ad_disabled, "no A/D bits"),
            (self.invalid, "invalid"),
        ];
        words.extend(marks.iter().filter(|mark| mark.0).map(|mark| mark.1.into()));
        words.join(", ")
    }

    /// Leaves of `size`.
    pub fn pages(&self, size: Size) -> u64 {
        let count = |run: &Run| match run.what {
            What::Leaf(pages) if pages.entries.size == size => pages.entries.entries,
            _ => 0,
        };
        self.runs.iter().map(count).sum()
    }
}

fn entries(size: &str, count: &str) -> Result<Entries> {
    let known = SIZES.iter().find(|(_, name)| *name == size);
    let (size, _) = known.with_context(|| format!("'{size}' is no size"))?;
    let entries = number(count)?;
    Ok(Entries {
        size: *size,
        entries,
    })
}

/// A number as KVM writes it: hexadecimal after 0x, else decimal.
pub fn number(text: &str) -> Result<u64> {
    let read = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    read.with_context(|| format!("'{text}' is no number"))
}
