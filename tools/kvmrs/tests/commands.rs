// SPDX-License-Identifier: GPL-2.0

//! The whole tool, on a directory like KVM's in debugfs, written by hand.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn data() -> PathBuf {
    // Tests run in the folder of their crate.
    Path::new("tests/data/kvm").to_path_buf()
}

fn tool(debugfs: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvmrs"));
    command.arg("--debugfs").arg(debugfs).args(words);
    command
}

fn run_in(debugfs: &Path, words: &[&str]) -> Output {
    tool(debugfs, words).output().expect("the tool was built")
}

fn run(words: &[&str], code: i32) -> String {
    let output = run_in(&data(), words);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {errors}");
    String::from_utf8(output.stdout).expect("the tool writes text")
}

fn json(words: &[&str], code: i32) -> Value {
    serde_json::from_str(&run(words, code)).expect("one JSON object")
}

fn error_in(debugfs: &Path, words: &[&str]) -> String {
    let output = run_in(debugfs, words);
    assert_eq!(output.status.code(), Some(2), "{words:?}");
    assert!(output.stdout.is_empty(), "{words:?}");
    String::from_utf8(output.stderr).expect("the tool writes text")
}

#[test]
fn map_as_json() {
    let map = json(&["map", "431", "--json"], 0);
    assert_eq!(map["vm"], "431-11");
    let run = &map["roots"][0]["runs"][3];
    assert_eq!(run["kind"], "leaf");
    assert_eq!(run["size"], "4K");
    assert_eq!(run["entries"], 509);
    assert_eq!(run["writable"], false);
    assert_eq!(run["dirty"], true);
}

#[test]
fn map_as_text() {
    let text = run(&["map", "1207-9"], 0);
    let row = format!("0x000000000000 k.MM*{}\n", ".".repeat(59));
    assert!(text.contains(&row), "{text}");
    assert!(text.contains(&"g".repeat(64)), "{text}");
    assert!(text.contains("K 4K dirty"), "{text}");
    let coarse = run(&["map", "1207-9", "--block", "1G"], 0);
    assert!(coarse.contains("0x000000000000 Mgg."), "{coarse}");
}

#[test]
fn map_as_picture() {
    let file = std::env::temp_dir().join(format!("kvmrs-{}.svg", std::process::id()));
    run(&["map", "1207-9", "--svg", &file.to_string_lossy()], 0);
    let picture = std::fs::read_to_string(&file).expect("the picture");
    std::fs::remove_file(&file).expect("the picture");
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    // 2 GiB in pages of 1G, cut into cells of 2M, are full rows; and there is the legend.
    assert_eq!(picture.matches("h704\" stroke=\"#339a48").count(), 16);
    assert_eq!(picture.matches("#339a48").count(), 16 + 1);
}

#[test]
fn what_is_no_block_is_refused() {
    for block in ["40960", "4096", "2ä", "2m", "M", "", "3M", "2K", "4096T"] {
        let text = error_in(&data(), &["map", "431", "--plain", "--block", block]);
        assert!(text.contains("not a "), "{block}: {text}");
    }
}

#[test]
fn check_all_and_one() {
    let report = json(&["check", "--json"], 1);
    assert_eq!(report["vms"][0]["vm"], "431-11");
    assert_eq!(report["vms"][0]["violations"], Value::Array(vec![]));
    assert_eq!(report["vms"][1]["violations"][0]["gfn"], 0x40007);
    assert_eq!(report["vms"][1]["busy"], true);
    assert_eq!(run(&["check", "431-11"], 0), "431-11: sound\n");
}

#[test]
fn top_once() {
    let table = json(&["top", "--once", "--json"], 0);
    let figures = &table["vms"][0]["figures"];
    assert_eq!(figures["pages_4k"], 513);
    assert_eq!(figures["tdp_tables_made"], 12);
    assert_eq!(figures["mmu_lock_wait_hist"], Value::Null);
    let text = run(&["top", "--once"], 0);
    // Beyond the names: what KVM lacks is not shown as zero.
    for (line, expected) in [
        (1, ["513", "0", "0", "520", "3", "7", "4", "2.5", "61"]),
        (2, ["512", "2", "2", "516", "-", "1", "-", "-", "-"]),
    ] {
        let row = text.lines().nth(line).expect("a VM");
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[cells.len() - expected.len()..], expected, "{text}");
    }
}

#[test]
fn top_shows_rates_of_a_new_vm() {
    let folder = std::env::temp_dir().join(format!("kvmrs-top-{}", std::process::id()));
    let later = folder.join("later");
    std::fs::create_dir_all(&later).expect("a folder");
    std::fs::write(later.join("pf_taken"), "7\n").expect("a figure");
    let mut command = tool(&folder, &["top", "--json", "--interval", "0.01"]);
    let mut top = command.stdout(Stdio::piped()).spawn().expect("a process");
    let lines = BufReader::new(top.stdout.take().expect("a pipe")).lines();
    let mut looks = lines.map(|line| -> Value {
        serde_json::from_str(&line.expect("a line")).expect("one JSON object")
    });
    assert_eq!(looks.next(), Some(serde_json::json!({ "vms": [] })));
    std::fs::rename(&later, folder.join("5-6")).expect("a VM");
    let vm = looks.find_map(|look| look["vms"].get(0).cloned());
    top.kill().expect("it runs");
    top.wait().expect("it ran");
    std::fs::remove_dir_all(&folder).expect("the folder");
    let rate = vm.expect("a VM")["per_second"]["pf_taken"].as_f64();
    assert!(rate > Some(0.0), "{rate:?}");
}

#[test]
fn watch_a_quiet_vm() {
    let words = ["watch", "431", "--interval", "0.01", "--count", "2"];
    assert_eq!(run(&words, 0), "");
    let moment = run(&[&words[..], &["--json"]].concat(), 0);
    assert_eq!(moment.lines().count(), 2);
}

#[test]
fn a_vm_that_is_not_there() {
    let text = error_in(&data(), &["map", "77"]);
    assert_eq!(
        text,
        "kvmrs: there is no VM '77'; there are: 431-11 1207-9\n"
    );
}

#[test]
fn without_kvm_and_without_debugfs() {
    let text = error_in(&data().join("431-11/kvm"), &["top", "--once"]);
    assert!(text.contains("KVM is not loaded"), "{text}");
    let text = error_in(Path::new("/no/such/kvm"), &["check"]);
    assert!(text.contains("mount -t debugfs none /no/such"), "{text}");
}

#[test]
fn without_the_patches() {
    let folder = std::env::temp_dir().join(format!("kvmrs-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("5-6")).expect("a folder");
    let text = error_in(&folder, &["map", "5"]);
    std::fs::remove_dir_all(&folder).expect("the folder");
    assert!(text.contains("lacks the patches"), "{text}");
}

/// Of `kvmrs watch --why`, where the tracer has these folders. Returns the instances that are left.
fn watch_traced(name: &str, folders: &[&str], wanted: &str) -> Vec<String> {
    traced(name, &["watch", "431", "--why"], folders, wanted)
}

fn traced(name: &str, words: &[&str], folders: &[&str], wanted: &str) -> Vec<String> {
    let tracefs = std::env::temp_dir().join(format!("kvmrs-{name}-{}", std::process::id()));
    for folder in folders {
        std::fs::create_dir_all(tracefs.join(folder)).expect("a folder");
    }
    let place = tracefs.to_string_lossy();
    let text = error_in(&data(), &[words, &["--tracefs", &place]].concat());
    assert!(text.contains(wanted), "{text}");
    let instances = std::fs::read_dir(tracefs.join("instances"));
    let left = instances.into_iter().flatten().flatten();
    let left = left.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let left = left.collect();
    if tracefs.exists() {
        std::fs::remove_dir_all(&tracefs).expect("the folder");
    }
    left
}

#[test]
fn without_a_tracer() {
    watch_traced(
        "mounted",
        &[],
        "tracefs is not mounted: mount -t tracefs none /",
    );
    watch_traced("instances", &["events"], "no instances of its tracer");
}

#[test]
fn without_tracepoints() {
    // Nobody has the first number, and everybody the second. The others are not of this tool.
    let folders = [
        "instances/kvmrs-4294967295",
        "instances/kvmrs-1",
        "instances/kvmrs-",
        "instances/other",
    ];
    let mut left = watch_traced(
        "events",
        &folders,
        "KVM is not loaded, or has no tracepoints",
    );
    left.sort();
    assert_eq!(left, ["kvmrs-", "kvmrs-1", "other"]);
}

#[test]
fn holds_without_probes() {
    let words = ["holds"];
    let unmounted = "tracefs is not mounted: mount -t tracefs none /";
    traced("holds", &words, &[], unmounted);
    let wanted = "the kernel has no kprobe events: it needs CONFIG_KPROBE_EVENTS";
    let left = traced("probes", &words, &["events", "instances"], wanted);
    assert!(left.is_empty(), "{left:?}");
}
