// SPDX-License-Identifier: GPL-2.0

//! What the run did and what came of it; above all, what never happened.

use super::life::Counts;
use super::seen::Seen;

/// Shows everything, and gives the names of what never happened.
pub fn show(counts: &Counts, kernel: &[(&'static str, u64)], lanes: &[(&str, Seen)]) -> String {
    let words = counts.by_name();
    let words = words.map(|(name, count, millis)| format!("{name} {count} ({millis} ms)"));
    say("done", words);
    say(
        "counted by the kernel",
        kernel.iter().copied().map(in_words),
    );
    let done = counts.by_name().map(|(name, count, _)| (name, count));
    let mut missing = missing(done, "");
    missing.extend(self::missing(kernel.iter().copied(), ""));
    for (backend, seen) in lanes {
        let place = format!("on {backend}");
        say(&place, seen.by_name().map(in_words));
        missing.extend(self::missing(seen.by_name(), &place));
    }
    println!("# {} operations, every word was right", counts.total());
    missing.join(", ")
}

fn missing<'a>(counts: impl Iterator<Item = (&'a str, u64)>, place: &str) -> Vec<String> {
    let none = counts.filter(|(_, count)| *count == 0);
    none.map(|(what, _)| format!("{what} {place}").trim_end().to_string())
        .collect()
}

fn in_words((what, count): (&str, u64)) -> String {
    format!("{what} {count}")
}

/// Some words a line.
fn say(title: &str, words: impl Iterator<Item = String>) {
    for line in words.collect::<Vec<_>>().chunks(8) {
        println!("# {title}: {}", line.join(", "));
    }
}
