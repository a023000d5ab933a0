// SPDX-License-Identifier: GPL-2.0

//! Lines of text in a buffer of fixed size.

use core::fmt;

/// No line is longer, its end included.
const LINE: usize = 128;

/// A buffer that lines are written to.
pub struct Text<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl<'a> Text<'a> {
    /// Starts with nothing in `bytes`.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, len: 0 }
    }

    /// How many bytes were written.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is room for a line more.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.len() - self.len >= LINE
    }

    /// Writes a line, for which there must be room.
    pub(super) fn line(&mut self, line: fmt::Arguments<'_>) {
        let written = fmt::Write::write_fmt(self, line).and_then(|()| self.push(b"\n"));
        debug_assert!(written.is_ok(), "a line is too long");
    }

    fn push(&mut self, bytes: &[u8]) -> fmt::Result {
        let end = self.len + bytes.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes())
    }
}
