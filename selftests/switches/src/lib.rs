// SPDX-License-Identifier: GPL-2.0

//! All mutants of a crate in one program, each behind a switch.
//!
//! To build a program for each mutant takes much longer than to run its tests. So the mutated text stands
//! beside the original one, and the environment says at start which of the mutants is the one:
//!
//! ```text
//! a + b    (if crate::is_mutant(7) { a - b } else { a + b })
//! ```
//!
//! Which mutants there are, cargo-mutants says: what it would put into which place of a file. What cannot have
//! a switch is named, and the files are as if it did not exist: constants, and functions that constants call,
//! as nothing can be looked up there; functions whose type is what their body returns (`impl Trait`).
//!
//! - [`text`]: places in a file
//! - [`find`]: which expression, function or arm is at a mutant's place
//! - [`render`]: the file with the switches in it

#![forbid(unsafe_code)]

pub mod find;
pub mod render;
pub mod text;

use std::collections::{
    BTreeMap,
    BTreeSet, //
};

use anyhow::{
    Context,
    Result, //
};
use serde::{
    Deserialize,
    Serialize, //
};

/// What the crate's root has to have at its end.
pub const RUNTIME: &str = include_str!("runtime.rs");

/// A mutant as cargo-mutants lists it, with a number by which to choose it.
#[derive(Clone, Debug, Deserialize)]
pub struct Mutant {
    /// Its number; 0 is none.
    pub id: u32,
    /// What kind of code it changes.
    pub genre: String,
    /// What it replaces.
    pub span: text::Span,
    /// The text that it puts there.
    pub replacement: String,
}

/// A file, and those of its mutants that are wanted in it.
#[derive(Debug, Deserialize)]
pub struct File {
    /// The original.
    pub text: String,
    /// Mutants to add.
    pub mutants: Vec<Mutant>,
}

/// What is asked for.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    /// The files by name.
    pub files: BTreeMap<String, File>,
    /// Names of functions that stay `const`, as constants call them.
    pub constant: BTreeSet<String>,
}

/// What comes of it.
#[derive(Debug, Serialize)]
pub struct Switched {
    /// The files by name, with the switches.
    pub files: BTreeMap<String, String>,
    /// The mutants that have none.
    pub without: Vec<u32>,
    /// See [`RUNTIME`].
    pub runtime: &'static str,
}

/// Puts the mutants into their files.
pub fn switch_files(wanted: &Wanted) -> Result<Switched> {
    let mut switched = Switched {
        files: BTreeMap::new(),
        without: Vec::new(),
        runtime: RUNTIME,
    };
    for (name, file) in &wanted.files {
        let (text, without) = switch(&file.text, &file.mutants, &wanted.constant)
            .with_context(|| format!("{name} cannot be read"))?;
        switched.files.insert(name.clone(), text);
        switched.without.extend(without);
    }
    Ok(switched)
}

/// The text with switches for the mutants, and those that have none.
pub fn switch(
    text: &str,
    mutants: &[Mutant],
    constant: &BTreeSet<String>,
) -> Result<(String, Vec<u32>)> {
    let text = text::Text::new(text);
    let (places, without) = find::places(&text, mutants, constant)?;
    let whole = 0..text.source().len();
    Ok((render::render(text.source(), &places, whole), without))
}
