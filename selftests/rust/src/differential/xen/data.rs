// SPDX-License-Identifier: GPL-2.0

//! What calls read in a guest's memory.

use crate::rng::Rng;
use kvmtest::memory::Memory;
use kvmtest::vm::BASE;
use kvmtest::xen_guest::{DATA, END};

/// A channel to send to.
pub const SENT: u64 = DATA;
/// What the guest waits for, in either width.
pub const WAITS: [u64; 2] = [DATA + 64, DATA + 128];
/// The channels of that.
const PORTS: u64 = DATA + 192;
/// A time.
pub const WHEN: u64 = DATA + 256;
/// Times that are over at once, or not in a history.
pub const TIMES: [u64; 4] = [0, 1, 1 << 62, u64::MAX];

/// All of it.
#[derive(Clone, Debug)]
pub struct Data {
    port: u32,
    count: u32,
    ports: [u32; 2],
    time: u64,
}

impl Data {
    /// Any.
    pub fn any(rng: &mut Rng) -> Self {
        Self {
            port: port(rng),
            count: [1, 2, 3, 128, 129][rng.within(0..5) as usize],
            ports: [port(rng), port(rng)],
            time: TIMES[rng.within(0..4) as usize],
        }
    }

    /// All around is a time-out of a nanosecond and no channel, in either width. Where one width has a number
    /// of channels, the other may have its time-out. So that is not zero, and no call waits for long.
    pub fn write(&self, memory: &Memory) {
        for place in (DATA..END).step_by(8) {
            memory.write(place, &1u64.to_le_bytes());
        }
        memory.store(SENT, self.port);
        let [narrow, wide] = WAITS;
        memory.store(narrow, (BASE + PORTS) as u32);
        memory.store(narrow + 4, self.count);
        memory.store(wide, (BASE + PORTS) as u32);
        memory.store(wide + 8, self.count);
        for (index, &port) in self.ports.iter().enumerate() {
            memory.store(PORTS + 4 * index as u64, port);
        }
        memory.write(WHEN, &self.time.to_le_bytes());
    }
}

/// A channel near a limit, or any.
pub fn port(rng: &mut Rng) -> u32 {
    let near = [0, 1, 31, 32, 63, 64, 1023, 1024, 4095, 4096, u32::MAX];
    match near.get(rng.within(0..22) as usize) {
        Some(&port) => port,
        None => rng.within(0..4096) as u32,
    }
}
