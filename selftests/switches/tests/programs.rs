// SPDX-License-Identifier: GPL-2.0

//! Little programs: with its switches, each is what it was if no mutant is chosen, and what the changed text is
//! if one is.

use std::{
    collections::BTreeSet,
    env::temp_dir,
    fs,
    process::{
        id,
        Command, //
    },
    sync::atomic::{
        AtomicU32,
        Ordering::Relaxed, //
    },
};

use kvmrs_switches::{
    switch,
    text::{
        Point,
        Span, //
    },
    Mutant,
    RUNTIME, //
};

/// A mutant of a program: the genre, what is replaced (all of it, and where in it), and by what.
type Change<'a> = (&'a str, &'a str, &'a str, &'a str);

/// Where in the program the part of the change is.
fn range_of(source: &str, (_, around, part, _): Change<'_>) -> std::ops::Range<usize> {
    let start = source.find(around).unwrap() + around.find(part).unwrap();
    start..start + part.len()
}

fn point(source: &str, at: usize) -> Point {
    let before = &source[..at];
    let column = before
        .chars()
        .rev()
        .take_while(|&letter| letter != '\n')
        .count()
        + 1;
    Point {
        line: before.matches('\n').count() + 1,
        column,
    }
}

fn mutant(source: &str, id: u32, change: Change<'_>) -> Mutant {
    let range = range_of(source, change);
    let (start, end) = (point(source, range.start), point(source, range.end));
    let (genre, _, _, replacement) = change;
    Mutant {
        id,
        genre: genre.into(),
        span: Span { start, end },
        replacement: replacement.into(),
    }
}

fn switched(source: &str, changes: &[Change<'_>], constant: &[&str]) -> (String, Vec<u32>) {
    let mutants: Vec<_> = (1..)
        .zip(changes)
        .map(|(id, &change)| mutant(source, id, change))
        .collect();
    let constant: BTreeSet<String> = constant.iter().map(|&name| name.into()).collect();
    let (text, without) = switch(source, &mutants, &constant).unwrap();
    (text + RUNTIME, without)
}

/// What the program says as this mutant. None if it does not compile.
fn said(source: &str, mutants: &[u32]) -> Option<Vec<String>> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let place = temp_dir().join(format!(
        "kvmrs-switches-{}-{}",
        id(),
        COUNT.fetch_add(1, Relaxed)
    ));
    fs::create_dir_all(&place).unwrap();
    let (file, program) = (place.join("main.rs"), place.join("main"));
    fs::write(&file, source).unwrap();
    let mut rustc = Command::new("rustc");
    rustc
        .args(["--edition=2021", "--cap-lints=allow", "-o"])
        .args([&program, &file]);
    let compiles = rustc.output().unwrap().status.success();
    let run = |number: &u32| {
        let done = Command::new(&program)
            .env("KVMRS_MUTANT", number.to_string())
            .output()
            .unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    let said = compiles.then(|| mutants.iter().map(run).collect());
    fs::remove_dir_all(&place).unwrap();
    said
}

/// Each change alone, made in the text, says something else than the program does, and what the switch makes of it.
fn same_as_changed(source: &str, changes: &[Change<'_>]) {
    let (text, without) = switched(source, changes, &[]);
    assert!(without.is_empty(), "without a switch: {without:?}");
    let numbers: Vec<u32> = (0..=changes.len() as u32).collect();
    let by_switch = said(&text, &numbers).unwrap_or_else(|| panic!("does not compile:\n{text}"));
    let original = said(source, &[0]).unwrap().remove(0);
    assert_eq!(by_switch[0], original);
    for (&change, by_switch) in changes.iter().zip(&by_switch[1..]) {
        let mut changed = source.to_owned();
        changed.replace_range(range_of(source, change), change.3);
        assert_eq!(
            said(&changed, &[0]).unwrap().remove(0),
            *by_switch,
            "{change:?}"
        );
        assert_ne!(original, *by_switch, "{change:?}");
    }
}

#[test]
fn operators_bind_as_in_the_changed_text() {
    let source = "fn main() {
    let (a, b, c) = (7u32, 5, 3);
    let ä = a - b + c; let row = b | a & c;
    let truth = a == 7 || b == 0 && c == 0;
    let mut sum = a; sum += b << 1;
    let product = (a - b) * (c + 1);
    println!(\"{} {row} {truth} {sum} {product}\", ä);
}";
    same_as_changed(
        source,
        &[
            ("BinaryOperator", "a - b + c;", "-", "+"),
            ("BinaryOperator", "a - b + c;", "+", "*"),
            ("BinaryOperator", "b | a & c", "|", "&"),
            ("BinaryOperator", "b | a & c", "&", "^"),
            ("BinaryOperator", "a == 7", "==", "!="),
            ("BinaryOperator", "|| b", "||", "&&"),
            ("BinaryOperator", "sum += b", "+=", "*="),
            ("BinaryOperator", "b << 1", "<<", ">>"),
            ("BinaryOperator", "(a - b) *", "*", "+"),
            ("BinaryOperator", "(c + 1)", "+", "-"),
        ],
    );
}

#[test]
fn an_operator_that_is_deleted_is_gone() {
    let source =
        "fn main() { let a = true; let sum = -3i32 + -f(4); let b = !a; println!(\"{sum} {b}\"); }
fn f(x: i32) -> i32 { if !(x > 3) { return 0; } x }";
    same_as_changed(
        source,
        &[
            ("UnaryOperator", "-3i32", "-", ""),
            ("UnaryOperator", "-f(4)", "-", ""),
            ("UnaryOperator", "!a", "!", ""),
            ("UnaryOperator", "!(x", "!", ""),
        ],
    );
}

#[test]
fn arms_are_deleted_and_guards_constant() {
    let source = "fn main() { for x in 0..5 { print!(\"{}\", f(x)); } }
fn f(x: u32) -> u32 {
    match x {
        0 => 5,
        1..=2 if x + 1 == 3 => 6,
        3 if x > 7 => 7,
        _ => 8,
    }
}";
    same_as_changed(
        source,
        &[
            ("MatchArm", "0 => 5,", "0 => 5,", ""),
            (
                "MatchArm",
                "1..=2 if x + 1 == 3 => 6,",
                "1..=2 if x + 1 == 3 => 6,",
                "",
            ),
            ("MatchArmGuard", "x + 1 == 3", "x + 1 == 3", "true"),
            ("MatchArmGuard", "x + 1 == 3", "x + 1 == 3", "false"),
            ("BinaryOperator", "x + 1 == 3", "==", "!="),
            ("MatchArmGuard", "x > 7", "x > 7", "true"),
        ],
    );
}

#[test]
fn functions_return_something_else() {
    let source = "fn main() { let mut v = vec![1]; grow(&mut v); println!(\"{v:?} {:?} {}\", S.name(), size()); }
fn grow(v: &mut Vec<u32>) { let n = v.len() as u32; v.push(n); }
const fn size() -> u32 { 7 + 1 }
trait Named { fn name(&self) -> Option<String> { Some(\"it\".into()) } }
struct S; impl Named for S {}";
    same_as_changed(
        source,
        &[
            (
                "FnValue",
                "let n = v.len() as u32; v.push(n);",
                "let n = v.len() as u32; v.push(n);",
                "()",
            ),
            ("FnValue", "7 + 1", "7 + 1", "0"),
            ("BinaryOperator", "7 + 1", "+", "-"),
            (
                "FnValue",
                "Some(\"it\".into())",
                "Some(\"it\".into())",
                "None",
            ),
            (
                "FnValue",
                "Some(\"it\".into())",
                "Some(\"it\".into())",
                "Some(String::new())",
            ),
        ],
    );
}

/// What these say is as if the mutant did not exist.
fn has_no_switch(source: &str, change: Change<'_>, constant: &[&str]) {
    let (text, without) = switched(source, &[change], constant);
    assert_eq!(without, [1], "{text}");
    assert_eq!(text, source.to_owned() + RUNTIME);
}

#[test]
fn what_is_constant_has_no_switch() {
    for source in [
        "const A: u32 = 1 + 2;",
        "static A: u32 = 1 + 2;",
        "type A = [u8; 1 + 2];",
        "fn f() { let _ = [0; 1 + 2]; }",
        "enum A { B = 1 + 2 }",
        "trait A { const B: u32 = 1 + 2; }",
        "fn f() { g::<{ 1 + 2 }>(); }",
    ] {
        has_no_switch(source, ("BinaryOperator", "1 + 2", "+", "-"), &[]);
    }
    let called = "const fn f() -> u32 { 1 + 2 } const A: u32 = f();";
    has_no_switch(called, ("BinaryOperator", "1 + 2", "+", "-"), &["f"]);
    let pattern = "fn f(x: i32) { match x { -1 => {} _ => {} } }";
    has_no_switch(pattern, ("UnaryOperator", "-1", "-", ""), &[]);
}

#[test]
fn what_would_be_judged_wrongly_has_no_switch() {
    let generic = "fn f(x: u8) -> bool { x as u64 >> 2 == 4 }";
    has_no_switch(generic, ("BinaryOperator", ">>", ">>", "<<"), &[]);
    let guarded = "fn f(x: bool) -> u8 { match x { _ if g() => 1, true => 2, false => 3 } }";
    has_no_switch(guarded, ("MatchArm", "true => 2", "true => 2", ""), &[]);
    let unnamed = "fn f() -> impl Iterator<Item = u8> { vec![1].into_iter() }";
    has_no_switch(
        unnamed,
        (
            "FnValue",
            "vec![1].into_iter()",
            "vec![1].into_iter()",
            "std::iter::empty()",
        ),
        &[],
    );
    let constant = "const fn f() -> Option<u8> { Some(1) }";
    has_no_switch(
        constant,
        ("FnValue", "Some(1)", "Some(1)", "Default::default()"),
        &[],
    );
}
