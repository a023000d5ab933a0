// SPDX-License-Identifier: GPL-2.0

//! Programs that the types must refuse: `tests/ui/*.rs`.
//!
//! Each marks the lines that must not compile by `//~ CODE`, with the code of each error or lint,
//! which is more stable than the compiler's prose. There must be no other error, so a program that
//! does not compile for some other reason fails the test. `works.rs` has no mark: it shows that
//! the rest of the programs is right.
//!
//! trybuild compares the prose, which is not promised to stay; ui_test counts how often an error is
//! repeated, which rustc 1.85 and 1.95 do differently.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

type Errors = BTreeSet<(usize, String)>;

/// The programs, by name.
fn programs() -> BTreeMap<String, PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let files = fs::read_dir(dir).expect("tests/ui");
    let paths = files.map(|file| file.expect("a file").path());
    paths
        .map(|path| {
            (
                path.file_stem()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned(),
                path,
            )
        })
        .collect()
}

/// A crate that consists of the programs.
fn make_crate(programs: &BTreeMap<String, PathBuf>) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui");
    fs::create_dir_all(dir.join("src")).expect("a directory");
    fs::write(dir.join("src/lib.rs"), "").expect("a file");
    let mut manifest = format!(
        "[package]\nname = \"ui\"\nedition = \"2021\"\n[workspace]\n\
         [dependencies]\nkvmrs-model = {{ path = {:?} }}\n",
        env!("CARGO_MANIFEST_DIR")
    );
    for (name, path) in programs {
        manifest += &format!("[[bin]]\nname = {name:?}\npath = {path:?}\n");
    }
    fs::write(dir.join("Cargo.toml"), manifest).expect("a file");
    dir
}

/// What the compiler says about each program.
fn compile(dir: &Path) -> BTreeMap<String, (Errors, String)> {
    let output = Command::new(env!("CARGO"))
        .args([
            "check",
            "--offline",
            "--bins",
            "--keep-going",
            "--message-format=json",
        ])
        .env("CARGO_TARGET_DIR", dir.join("target"))
        .env_remove("RUSTFLAGS")
        .current_dir(dir)
        .output()
        .expect("cargo runs");
    let mut errors = BTreeMap::<String, (Errors, String)>::new();
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in lines.lines() {
        let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else {
            continue;
        };
        let (name, message) = (&line["target"]["name"], &line["message"]);
        // The compiler's last words, that it gives up, have no place in the source.
        let spans = message["spans"].as_array().into_iter().flatten();
        let primary = spans.clone().find(|span| span["is_primary"] == true);
        let (Some(name), Some(span)) = (name.as_str(), primary) else {
            continue;
        };
        if message["level"] == "error" {
            let code = message["code"]["code"]
                .as_str()
                .unwrap_or("none")
                .to_owned();
            let at = span["line_start"].as_u64().unwrap_or(0) as usize;
            let (found, text) = errors.entry(name.to_owned()).or_default();
            found.insert((at, code));
            *text += message["rendered"].as_str().unwrap_or("");
        }
    }
    let prose = String::from_utf8_lossy(&output.stderr);
    assert!(
        prose.contains("Finished") || !errors.is_empty(),
        "cargo check failed:\n{prose}"
    );
    errors
}

/// The marks in a program.
fn expected(path: &Path) -> Errors {
    let source = fs::read_to_string(path).expect("a program");
    let lines = source.lines().enumerate();
    let marks = lines.filter_map(|(index, line)| Some((index + 1, line.split_once("//~ ")?.1)));
    let codes = |(line, codes): (usize, &str)| {
        codes
            .split_whitespace()
            .map(move |code| (line, code.to_owned()))
            .collect::<Vec<_>>()
    };
    marks.flat_map(codes).collect()
}

#[test]
fn what_the_types_must_refuse() {
    let programs = programs();
    assert!(programs.contains_key("works") && programs.len() > 1);
    let found = compile(&make_crate(&programs));
    let mut wrong = String::new();
    for (name, path) in &programs {
        let expected = expected(path);
        assert_eq!(
            expected.is_empty(),
            name == "works",
            "{name}.rs has no mark"
        );
        let (found, text) = found.get(name).cloned().unwrap_or_default();
        if found != expected {
            wrong += &format!("\n{name}.rs: expected {expected:?}, got {found:?}\n{text}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
