// SPDX-License-Identifier: GPL-2.0

//! Only a timer that was stopped is started, once.

use kvmrs_model::kvm::xen::{Stopped, Timer};

fn started_while_armed(timer: &Timer) {
    timer.start(10); //~ E0599
}

fn started_twice(stopped: Stopped<'_>) {
    stopped.start(10);
    stopped.restart(); //~ E0382
}

fn another_port_while_armed(timer: &Timer) {
    timer.set_port(1); //~ E0599
}

fn forged(timer: &Timer) {
    Stopped(timer).start(10); //~ E0423
}

fn main() {}
