// SPDX-License-Identifier: GPL-2.0

//! An instance of the kernel's tracer for KVM's events, as long as somebody listens.

use super::events::Line;
use anyhow::{anyhow, Context, Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;

/// Where the tracer's files are.
pub const TRACEFS: &str = "/sys/kernel/tracing";

/// What instances are called, before the number of the process that listens.
const NAME: &str = "kvmrs-";

/// KiB for each processor.
const ROOM: &str = "4096";

/// Changes of entries for 4K say nothing of huge pages. Where nothing was, and nothing is, KVM changes
/// 512 entries for each table that it frees.
const CHANGES: &str = "level > 1 && (old_spte & 2048 || new_spte & 2048)";

/// Events, and which of them.
const EVENTS: [(&str, Option<&str>); 6] = [
    ("kvmmmu/kvm_tdp_mmu_spte_changed", Some(CHANGES)),
    ("kvmmmu/kvm_mmu_spte_requested", Some("level > 1")),
    ("kvmmmu/fast_page_fault", None),
    ("kvmmmu/kvm_mmu_zap_all_fast", None),
    ("kvm/kvm_unmap_hva_range", None),
    // The first bit says that something was mapped.
    ("kvm/kvm_page_fault", Some("error_code & 1")),
];

/// Not in kernels without private memory.
const ATTRIBUTES: &str = "kvm/kvm_vm_set_mem_attributes";

/// The instance. It goes when this goes.
pub struct Tracer {
    instance: PathBuf,
    /// None when it is about to go.
    pipe: Option<File>,
    /// The begin of a line.
    rest: Vec<u8>,
}

impl Tracer {
    /// Listens from now on.
    pub fn begin(tracefs: &Path) -> Result<Self> {
        let instances = tracefs.join("instances");
        remove_abandoned(&instances);
        let instance = instances.join(format!("{NAME}{}", process::id()));
        fs::create_dir(&instance).map_err(|error| explain(tracefs, error))?;
        // From here on, dropping it removes the instance.
        let mut tracer = Self {
            instance,
            pipe: None,
            rest: Vec::new(),
        };
        tracer.switch_on()?;
        Ok(tracer)
    }

    fn switch_on(&mut self) -> Result<()> {
        self.set("buffer_size_kb", ROOM)?;
        // Tasks change processors, and so the clocks of these must agree.
        self.set("trace_clock", "mono")?;
        for (event, filter) in EVENTS {
            if let Some(filter) = filter {
                self.set(&format!("events/{event}/filter"), filter)?;
            }
            self.set(&format!("events/{event}/enable"), "1")?;
        }
        if self.instance.join("events").join(ATTRIBUTES).exists() {
            self.set(&format!("events/{ATTRIBUTES}/enable"), "1")?;
        }
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(libc::O_NONBLOCK);
        let pipe = self.instance.join("trace_pipe");
        let opened = options.open(&pipe);
        self.pipe = Some(opened.map_err(|error| explain_file(&pipe, error))?);
        Ok(())
    }

    fn set(&self, file: &str, value: &str) -> Result<()> {
        let path = self.instance.join(file);
        let mut options = OpenOptions::new();
        let written = options.write(true).open(&path);
        let written =
            written.and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
        written.map_err(|error| explain_file(&path, error))
    }

    /// What has happened since the last time.
    pub fn read(&mut self) -> Result<Vec<Line>> {
        if let Some(pipe) = &mut self.pipe {
            match pipe.read_to_end(&mut self.rest) {
                // The end of the file is where nobody traces.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("reading the tracer's events"),
            }
        }
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n');
        let rest = self.rest.split_off(whole.map_or(0, |end| end + 1));
        let lines = String::from_utf8_lossy(&self.rest);
        let lines = lines.lines().map(Line::parse).collect();
        self.rest = rest;
        lines
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // An instance with an open file stays.
        self.pipe = None;
        if let Err(error) = fs::remove_dir(&self.instance) {
            eprintln!("kvmrs: removing {}: {error}", self.instance.display());
        }
    }
}

/// Removes the instances of those who were killed.
fn remove_abandoned(instances: &Path) {
    for entry in fs::read_dir(instances).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let pid = name
            .strip_prefix(NAME)
            .and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // Somebody else may do the same.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn explain(tracefs: &Path, error: io::Error) -> Error {
    let shown = tracefs.display();
    match error.kind() {
        ErrorKind::PermissionDenied => no_root(),
        ErrorKind::NotFound if tracefs.join("events").exists() => {
            anyhow!("the kernel has no instances of its tracer")
        }
        ErrorKind::NotFound => anyhow!("tracefs is not mounted: mount -t tracefs none {shown}"),
        _ => Error::new(error).context(format!("making an instance of the tracer in {shown}")),
    }
}

fn explain_file(path: &Path, error: io::Error) -> Error {
    let shown = path.display();
    match error.kind() {
        ErrorKind::PermissionDenied => no_root(),
        ErrorKind::NotFound => {
            anyhow!("{shown} is missing: KVM is not loaded, or has no tracepoints")
        }
        _ => Error::new(error).context(format!("writing {shown}")),
    }
}

fn no_root() -> Error {
    anyhow!("tracing is not permitted: run kvmrs as root, and without lockdown of the kernel")
}
