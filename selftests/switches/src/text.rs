// SPDX-License-Identifier: GPL-2.0

//! Places in a file: lines and columns, as the compiler and cargo-mutants count them, and bytes.

use std::ops::Range;

use serde::Deserialize;
use syn::spanned::Spanned;

/// A place: lines and columns begin with 1, and columns are characters.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Point {
    /// Which line.
    pub line: usize,
    /// Which of the line's characters.
    pub column: usize,
}

/// From a place up to another.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Span {
    /// The first character.
    pub start: Point,
    /// The one after the last.
    pub end: Point,
}

/// A file that knows where its lines begin.
pub struct Text<'a> {
    source: &'a str,
    lines: Vec<usize>,
}

impl<'a> Text<'a> {
    /// The whole file.
    pub fn new(source: &'a str) -> Self {
        let after_newlines = source.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(after_newlines).collect();
        Self { source, lines }
    }

    /// The file as it is.
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// The bytes of what cargo-mutants names.
    pub fn range(&self, span: &Span) -> Range<usize> {
        self.at(span.start.line, span.start.column - 1)..self.at(span.end.line, span.end.column - 1)
    }

    /// The bytes of a part of the syntax tree, whose columns begin with 0.
    pub fn range_of(&self, part: &impl Spanned) -> Range<usize> {
        let (start, end) = (part.span().start(), part.span().end());
        self.at(start.line, start.column)..self.at(end.line, end.column)
    }

    /// `whole` with something else in the place of a part.
    pub fn with(&self, whole: &Range<usize>, part: &Range<usize>, replacement: &str) -> String {
        let (before, after) = (
            &self.source[whole.start..part.start],
            &self.source[part.end..whole.end],
        );
        format!("{before}{replacement}{after}")
    }

    fn at(&self, line: usize, column: usize) -> usize {
        let start = self.lines[line - 1];
        let found = self.source[start..].char_indices().nth(column);
        found.map_or(self.source.len(), |(offset, _)| start + offset)
    }
}
