/// Whether the mutant with this number is the one to be. Each program is one mutant from its start to its end.
pub fn is_mutant(number: u32) -> bool {
    static CHOSEN: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    let read = || std::env::var("KVMRS_MUTANT").map_or(0, |set| set.parse().expect("no number"));
    *CHOSEN.get_or_init(read) == number
}
