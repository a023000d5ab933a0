// SPDX-License-Identifier: GPL-2.0

//! What `mmu_check` says, line by line.

use crate::map::number;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// What was found in a VM.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Findings {
    /// Broken rules; none if the tables are sound.
    pub violations: Vec<Violation>,
    /// The figures changed all the time, and were not compared.
    pub busy: bool,
}

/// A broken rule.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Violation {
    /// An entry that breaks it.
    Entry(Entry),
    /// A figure of KVM's that differs from what is in the tables.
    Figure(Figure),
}

/// An entry that breaks a rule.
#[derive(Debug, PartialEq, Serialize)]
pub struct Entry {
    /// The rule, in words.
    pub rule: String,
    /// The role of the root.
    pub role: u32,
    /// First frame of the entry.
    pub gfn: u64,
    /// What the entry spans.
    pub size: String,
    /// What it holds.
    pub spte: u64,
}

/// A figure that differs.
#[derive(Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Its name.
    pub figure: String,
    /// What KVM says.
    pub counted: i64,
    /// What is in the tables.
    pub found: i64,
}

impl FromStr for Findings {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut findings = Self::default();
        for line in text.lines() {
            if line.starts_with("busy: ") {
                findings.busy = true;
                continue;
            }
            let violation = violation(line);
            let violation = violation.with_context(|| format!("mmu_check has a line '{line}'"))?;
            findings.violations.push(violation);
        }
        Ok(findings)
    }
}

fn violation(line: &str) -> Result<Violation> {
    let (name, rest) = line.split_once(": ").context("no ': '")?;
    match rest.strip_prefix("counted ") {
        Some(rest) => figure(name, rest).map(Violation::Figure),
        None => entry(name, rest).map(Violation::Entry),
    }
}

fn figure(name: &str, rest: &str) -> Result<Figure> {
    let (counted, found) = rest.split_once(", found ").context("no ', found'")?;
    Ok(Figure {
        figure: name.into(),
        counted: counted.parse()?,
        found: found.parse()?,
    })
}

fn entry(rule: &str, rest: &str) -> Result<Entry> {
    let mut words = rest.split(' ');
    let mut field = |prefix: &str| {
        let word = words.next().and_then(|word| word.strip_prefix(prefix));
        word.with_context(|| format!("no '{prefix}'"))
    };
    Ok(Entry {
        rule: rule.into(),
        role: number(field("role=")?)?.try_into()?,
        gfn: number(field("gfn=")?)?,
        size: field("")?.into(),
        spte: number(field("spte=")?)?,
    })
}

impl Display for Violation {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(entry) => write!(
                out,
                "{}: {} at frame {:#x}, entry {:#x}, root {:#x}",
                entry.rule, entry.size, entry.gfn, entry.spte, entry.role
            ),
            Self::Figure(figure) => write!(
                out,
                "{}: KVM counts {}, the tables have {}",
                figure.figure, figure.counted, figure.found
            ),
        }
    }
}
