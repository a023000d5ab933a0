// SPDX-License-Identifier: GPL-2.0

//! A slot's dirty bitmap. Setting a bit is one step and taking a word is another, as in C: others may
//! run in between.

use crate::{
    atomic::{full_barrier, log_word, OnceLock, Ordering::SeqCst, Word},
    kvm::GfnRange,
};

/// The bitmap, which has no memory until logging begins.
#[derive(Default)]
pub struct Bitmap(OnceLock<Box<[Word]>>);

impl Bitmap {
    /// Makes room for the bits of `frames`.
    pub fn create(&self, frames: GfnRange) {
        let firsts = (frames.start.raw()..frames.end.raw()).step_by(64);
        self.0
            .get_or_init(|| firsts.map(|first| log_word(first, 0)).collect());
    }

    fn words(&self) -> &[Word] {
        self.0.get().map_or(&[], |words| words)
    }

    /// Number of words.
    pub fn len(&self) -> u64 {
        self.words().len() as u64
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `set_bit()`.
    pub fn set(&self, index: u64) {
        let word = self.words().get(index as usize / 64);
        word.expect("no bitmap").fetch_or(1 << (index % 64), SeqCst);
    }

    /// `test_bit()`.
    pub fn has(&self, index: u64) -> bool {
        let word = self.words().get(index as usize / 64);
        word.is_some_and(|word| word.load(SeqCst) & 1 << (index % 64) != 0)
    }

    /// `fetch_andnot()` of those bits of a word that are set in `wanted`, if one is.
    pub fn take(&self, index: usize, wanted: u64) -> u64 {
        let Some(word) = self.words().get(index) else {
            return 0;
        };
        if word.load(SeqCst) & wanted == 0 {
            return 0;
        }
        let taken = word.fetch_and(!wanted, SeqCst) & wanted;
        full_barrier();
        taken
    }
}
