// SPDX-License-Identifier: GPL-2.0

//! What a guest uses of KVM's part of Xen: its hypercalls and who has answered them, by KVM's tracepoints,
//! and how often KVM's functions were called.

use anyhow::{ensure, Context, Result};
use kvmtest::probes::{Probes, Whose};
use kvmtest::xen_calls::{
    CHANNEL, POLL, SCHED, SEND, SET_TIMER, STOP_TIMER, TIMER, VCPU, VERSION, YIELD,
};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

/// A hypercall, and an exit to userspace.
const CALL: &str = "kvm_xen_hypercall: ";
const EXIT: &str = "kvm_userspace_exit: ";
/// The latter's number, for a hypercall.
const XEN: u32 = 34;
/// The first function of those below.
const SENT: usize = 0;
/// Functions of KVM's that guests on both backends have called, and what these do.
const FUNCTIONS: [(&str, &str); 6] = [
    ("kvm_xen_hvm_evtchn_send", "events of userspace's"),
    (
        "kvm_xen_inject_pending_events",
        "events that are made up for",
    ),
    ("kvm_xen_inject_timer_irqs", "timers that went off"),
    ("kvm_xen_hvm_set_attr", "attributes set of the VM"),
    ("kvm_xen_vcpu_set_attr", "attributes set of vCPUs"),
    ("kvm_xen_write_hypercall_page", "pages of hypercalls"),
];
/// The names of hypercalls, where KVM answers them or the shim makes them.
const NAMES: [(u64, u64, &str); 20] = [
    (12, 7, "memory_op, add_to_physmap"),
    (TIMER, 0, "set_timer_op"),
    (VERSION.number, 0, "xen_version"),
    (18, 0, "console_io, write"),
    (20, 6, "grant_table_op, query_size"),
    (VCPU, SET_TIMER, "vcpu_op, set_singleshot_timer"),
    (VCPU, STOP_TIMER, "vcpu_op, stop_singleshot_timer"),
    (VCPU, 10, "vcpu_op, register_vcpu_info"),
    (SCHED, YIELD, "sched_op, yield"),
    (SCHED, 2, "sched_op, shutdown"),
    (SCHED, POLL, "sched_op, poll"),
    (CHANNEL, SEND, "event_channel_op, send"),
    (CHANNEL, 6, "event_channel_op, alloc_unbound"),
    (CHANNEL, 7, "event_channel_op, bind_ipi"),
    (CHANNEL, 8, "event_channel_op, bind_vcpu"),
    (CHANNEL, 9, "event_channel_op, unmask"),
    (HVM, 0, "hvm_op, set_param"),
    (HVM, 1, "hvm_op, get_param"),
    (HVM, 5, "hvm_op, flush_tlbs"),
    (HVM, 23, "hvm_op, set_evtchn_upcall_vector"),
];
const HVM: u64 = 34;
/// KiB for each processor, for what is written down.
const ROOM: u32 = 16 << 10;

/// All that was asked and done since.
pub struct Calls(Probes);

impl Calls {
    /// From now on. There must be no guest yet.
    pub fn watch() -> Result<Self> {
        let probes = Probes::new(&FUNCTIONS.map(|(name, _)| name), Whose::All)?;
        let probes = probes.with_room(ROOM)?.and("kvm/kvm_xen_hypercall")?;
        let answered = format!("reason == {XEN} && errno == 0");
        Ok(Self(probes.and_if("kvm/kvm_userspace_exit", &answered)?))
    }

    /// Shows it, and fails if the guest had nothing from KVM.
    pub fn show(&self) -> Result<()> {
        ensure!(self.0.lost()? == 0, "the tracer had too little room");
        let answers = count(&self.0.trace()?)?;
        ensure!(!answers.is_empty(), "the guest has made no hypercall");
        for (call, answers) in &answers {
            println!("# {call}: {answers}");
        }
        let called = self.0.each()?;
        for ((_, what), called) in FUNCTIONS.iter().zip(&called) {
            println!("# {what}: {called}");
        }
        let send = Call::new(CHANNEL, SEND);
        let sent = answers.get(&send).is_some_and(|answers| answers.kernel > 0);
        ensure!(sent, "KVM has sent no event that the guest asked for");
        ensure!(called[SENT] > 0, "KVM has sent no event of userspace's");
        Ok(())
    }
}

/// A hypercall's number and first parameter, which in most calls says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    number: u64,
    first: u64,
}

impl Call {
    const fn new(number: u64, first: u64) -> Self {
        Self { number, first }
    }
}

impl Display for Call {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { number, first } = *self;
        let mut names = NAMES.iter();
        match names.find(|name| (name.0, name.1) == (number, first)) {
            Some((_, _, name)) => write!(out, "{name}"),
            None => write!(out, "hypercall {number}, {first:#x}"),
        }
    }
}

/// How many KVM has answered, and how many userspace.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Answers {
    kernel: u64,
    userspace: u64,
}

impl Display for Answers {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} by KVM, {} by userspace",
            self.kernel, self.userspace
        )
    }
}

/// Who makes a call is a thread, which leaves the kernel before its next call if userspace is to answer.
fn count(trace: &str) -> Result<BTreeMap<Call, Answers>> {
    let mut counts: BTreeMap<Call, Answers> = BTreeMap::new();
    let mut latest: BTreeMap<&str, Call> = BTreeMap::new();
    for line in trace.lines() {
        let thread = line.split(" [").next().unwrap_or_default().trim();
        if let Some((_, words)) = line.split_once(CALL) {
            let call = call(words)?;
            counts.entry(call).or_default().kernel += 1;
            latest.insert(thread, call);
        } else if line.contains(EXIT) {
            let call = latest
                .remove(thread)
                .context("a call was answered that nobody has made")?;
            let answers = counts.entry(call).or_default();
            answers.kernel -= 1;
            answers.userspace += 1;
        }
    }
    Ok(counts)
}

fn call(words: &str) -> Result<Call> {
    let words: Vec<&str> = words.split_whitespace().collect();
    let number = |name| -> Result<u64> {
        let mut pairs = words.chunks_exact(2);
        let text = pairs.find(|pair| pair[0] == name).map(|pair| pair[1]);
        let text = text.with_context(|| format!("a call has no {name}"))?;
        Ok(u64::from_str_radix(text.trim_start_matches("0x"), 16)?)
    };
    let first = match number("nr")? {
        // It is a time.
        TIMER => 0,
        _ => number("a0")?,
    };
    Ok(Call::new(number("nr")?, first))
}

#[cfg(test)]
mod tests {
    use super::{count, Answers, Call};

    const TRACE: &str = "\
# tracer: nop
       CPU 0/KVM-81  [001] .....  7.1: kvm_xen_hypercall: cpl 0 nr 0x20 a0 0x4 a1 0x9 a2 0x0
       CPU 1/KVM-82  [000] .....  7.2: kvm_xen_hypercall: cpl 0 nr 0x22 a0 0x17 a1 0x9 a2 0x0
       CPU 0/KVM-81  [001] .....  7.3: kvm_xen_hypercall: cpl 0 nr 0x22 a0 0x17 a1 0x9 a2 0x0
       CPU 1/KVM-82  [000] .....  7.4: kvm_userspace_exit: reason KVM_EXIT_UNKNOWN (34)
        qemu-sys-80  [000] d....  7.5: on0: (kvm_xen_hvm_evtchn_send+0x4/0x90 [kvm])
       CPU 0/KVM-81  [001] .....  7.6: kvm_xen_hypercall: cpl 0 nr 0x20 a0 0x4 a1 0x9 a2 0x0
";

    fn answers(kernel: u64, userspace: u64) -> Answers {
        Answers { kernel, userspace }
    }

    #[test]
    fn calls_are_counted_by_who_has_answered() {
        let counts = count(TRACE).expect("the trace is whole");
        let wanted = [
            (Call::new(0x20, 4), answers(2, 0)),
            (Call::new(0x22, 0x17), answers(1, 1)),
        ];
        assert_eq!(counts.into_iter().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn an_exit_has_a_call() {
        let exit = TRACE.lines().nth(4).expect("a line");
        assert!(count(exit).is_err());
    }
}
