// SPDX-License-Identifier: GPL-2.0

//! The file with the switches in it.
//!
//! A mutated expression has the original text in it, and no further switch: there is one mutant at a time. So a
//! file grows with the number of its mutants, however they are nested. What a mutant brings is between two
//! comments, by which an error of the compiler can be told to be the mutant's.

use std::ops::Range;

/// Where a file changes, and how.
#[derive(Debug)]
pub struct Place {
    /// What is replaced. Of insertions it is empty.
    pub range: Range<usize>,
    /// What comes there.
    pub kind: Kind,
}

/// What comes in a place.
#[derive(Debug)]
pub enum Kind {
    /// Nothing: the range is gone, as is `const`.
    Nothing,
    /// Before the statements of a function: each mutant returns its value.
    Values(Vec<(u32, String)>),
    /// In the place of an expression: each mutant has another one.
    Expressions(Vec<(u32, String)>),
    /// In the place of an arm's guard, or as one: each mutant has a constant.
    Guard(Vec<(u32, bool)>),
}

impl Place {
    /// Whether another one, which begins no earlier, is within this.
    fn holds(&self, other: &Self) -> bool {
        other.range.start < self.range.end
    }

    fn render(&self, source: &str, inner: &[Self]) -> String {
        let original = || render(source, inner, self.range.clone());
        match &self.kind {
            Kind::Nothing => String::new(),
            Kind::Values(mutants) => values(mutants),
            Kind::Expressions(mutants) => expressions(mutants, &original()),
            Kind::Guard(mutants) if self.range.is_empty() => {
                format!("if {} ", guard(mutants, "true"))
            }
            Kind::Guard(mutants) => guard(mutants, &original()),
        }
    }
}

/// A range of the file with all places that are in it: sorted, the outer before the inner.
pub fn render(source: &str, places: &[Place], range: Range<usize>) -> String {
    let (mut out, mut at, mut left) = (String::new(), range.start, places);
    while let Some((place, later)) = left.split_first() {
        let inside = later.iter().take_while(|other| place.holds(other)).count();
        let (inner, next) = later.split_at(inside);
        out += &source[at..place.range.start];
        out += &place.render(source, inner);
        (at, left) = (place.range.end, next);
    }
    out + &source[at..range.end]
}

fn values(mutants: &[(u32, String)]) -> String {
    let one = |(id, value): &(u32, String)| {
        format!("if crate::is_mutant({id}) {{ /*M{id}*/ return {value}; /*E*/ }} ")
    };
    mutants.iter().map(one).collect()
}

fn expressions(mutants: &[(u32, String)], original: &str) -> String {
    let one = |(id, other): &(u32, String)| {
        format!("if crate::is_mutant({id}) {{ /*M{id}*/ {other} /*E*/ }} else ")
    };
    let others: String = mutants.iter().map(one).collect();
    format!("({others}{{ {original} }})")
}

fn guard(mutants: &[(u32, bool)], original: &str) -> String {
    let add = |guard: String, (id, constant): &(u32, bool)| match constant {
        true => format!("(crate::is_mutant({id}) || {guard})"),
        false => format!("(!crate::is_mutant({id}) && {guard})"),
    };
    mutants.iter().fold(format!("({original})"), add)
}
