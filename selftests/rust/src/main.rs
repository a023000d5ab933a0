// SPDX-License-Identifier: GPL-2.0

//! Tests of KVM's TDP MMU, for what the kernel's own selftests lack.
//!
//!     kvmrs-selftests [--backend c|rust] [--json] [TEST]...
//!     kvmrs-selftests --list
//!     kvmrs-selftests differential [--seconds N] [--seed N]
//!     kvmrs-selftests stress [--seconds N] [--seed N] [--backends NAME[,NAME...]]
//!     kvmrs-selftests torture [--seconds N] [--seed N] [--backend c|rust]
//!     kvmrs-selftests migrate
//!     kvmrs-selftests xen-guest|xen-shim
//!     kvmrs-selftests watcher lockdep|kmemleak|kcsan
//!     kvmrs-selftests planted BROKEN MODULE TEXT...
//!
//! Runs the tests named, or all, and prints KTAP, or with --json one object a line. The exit code
//! is kselftest's. --list prints what there is as JSON. The commands have boots or lists of their own.

mod clock;
mod differential;
mod harness;
mod hostage;
mod linux_guest;
mod log;
mod migrate;
mod planted;
mod refusal;
mod rng;
mod stress;
mod swap;
mod tests;
mod torture;
mod watcher;
mod xenguest;

use anyhow::{bail, Context, Result};
use kvmtest::backend;
use std::process::ExitCode;

/// What the command line asks for.
#[derive(Default)]
struct Options {
    backend: Option<String>,
    list: bool,
    json: bool,
    names: Vec<String>,
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kvmrs-selftests: error: {error:#}");
            ExitCode::from(harness::USAGE)
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut words = std::env::args().skip(1).peekable();
    match words.peek().map(String::as_str) {
        Some("differential") => return differential::main(words.skip(1)),
        Some("stress") => return stress::main(words.skip(1)),
        Some("torture") => return torture::main(words.skip(1)),
        Some("migrate") => return migrate::main(words.skip(1)),
        Some("xen-guest") => return xenguest::main("xen-guest", xenguest::hvm, words.skip(1)),
        Some("xen-shim") => return xenguest::main("xen-shim", xenguest::shim, words.skip(1)),
        Some("xen-moves") => return xenguest::main("xen-moves", xenguest::moves, words.skip(1)),
        Some("watcher") => return watcher::main(words.skip(1)),
        Some("planted") => return planted::main(words.skip(1)),
        _ => {}
    }
    let options = options(words)?;
    let tests = tests::select(&options.names)?;
    if options.list {
        println!("{}", serde_json::to_string_pretty(&tests)?);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = &options.backend {
        backend::choose(name)?;
    }
    Ok(harness::run(&tests, &backend::chosen()?, options.json))
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--list" => options.list = true,
            "--json" => options.json = true,
            "--backend" => options.backend = Some(words.next().context("--backend wants a name")?),
            _ if word.starts_with('-') => bail!("no such option: {word}"),
            _ => options.names.push(word),
        }
    }
    Ok(options)
}
