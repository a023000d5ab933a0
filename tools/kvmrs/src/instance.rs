// SPDX-License-Identifier: GPL-2.0

//! An instance of the kernel's tracer, as long as somebody listens.

use crate::holds::probes;
use anyhow::{anyhow, Context, Error, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

/// Where the tracer's files are.
pub const TRACEFS: &str = "/sys/kernel/tracing";

/// What instances are called, before the number of the process that listens.
const NAME: &str = "kvmrs-";

/// KiB for each processor.
const ROOM: &str = "4096";

/// As much is read at once. Who reads to the end would never come to it if the kernel writes faster.
const MOST: u64 = 16 << 20;

/// The instance. It goes when this goes.
pub struct Instance {
    folder: PathBuf,
    /// None before somebody listens, and when it is about to go.
    pipe: Option<File>,
    /// The begin of a line.
    rest: Vec<u8>,
}

impl Instance {
    /// An instance in which nothing is switched on yet.
    pub fn begin(tracefs: &Path) -> Result<Self> {
        let instances = tracefs.join("instances");
        remove_abandoned(&instances);
        probes::remove_abandoned(tracefs);
        let folder = instances.join(format!("{NAME}{}", process::id()));
        fs::create_dir(&folder).map_err(|error| explain(tracefs, error))?;
        // From here on, dropping it removes the instance.
        let instance = Self {
            folder,
            pipe: None,
            rest: Vec::new(),
        };
        instance.set("buffer_size_kb", ROOM)?;
        Ok(instance)
    }

    /// Writes one of its files.
    pub fn set(&self, file: &str, value: &str) -> Result<()> {
        let path = self.folder.join(file);
        let mut options = OpenOptions::new();
        let written = options.write(true).open(&path);
        let written =
            written.and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
        written.map_err(|error| explain_file(&path, error))
    }

    /// Reads one of its files.
    pub fn get(&self, file: &str) -> Result<String> {
        let path = self.folder.join(file);
        fs::read_to_string(&path).map_err(|error| explain_file(&path, error))
    }

    /// Whether the kernel has an event.
    pub fn has(&self, event: &str) -> bool {
        self.folder.join("events").join(event).exists()
    }

    /// From now on, [`Self::read`] has something to read. The clock must have been chosen before.
    pub fn listen(&mut self) -> Result<()> {
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(libc::O_NONBLOCK);
        let pipe = self.folder.join("trace_pipe");
        let opened = options.open(&pipe);
        self.pipe = Some(opened.map_err(|error| explain_file(&pipe, error))?);
        Ok(())
    }

    /// The next whole lines; none if nothing has happened since the last time.
    pub fn read(&mut self) -> Result<String> {
        if let Some(pipe) = &mut self.pipe {
            match pipe.take(MOST).read_to_end(&mut self.rest) {
                // The end of the file is where nobody traces.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("reading the tracer's events"),
            }
        }
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n');
        let rest = self.rest.split_off(whole.map_or(0, |end| end + 1));
        let lines = String::from_utf8_lossy(&self.rest).into_owned();
        self.rest = rest;
        Ok(lines)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // An instance with an open file stays.
        self.pipe = None;
        if let Err(error) = fs::remove_dir(&self.folder) {
            eprintln!("kvmrs: removing {}: {error}", self.folder.display());
        }
    }
}

/// Is true when a signal has come. Nothing else ends the tool then: the tracer must be left as it was.
pub fn until_signal() -> Result<Arc<AtomicBool>> {
    let is_over = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        flag::register(signal, is_over.clone())?;
    }
    Ok(is_over)
}

/// Whether a name is `begin` and the number of a process that has ended.
pub fn is_abandoned(name: &str, begin: &str) -> bool {
    let pid = name.strip_prefix(begin);
    let pid = pid.and_then(|pid| pid.parse::<u32>().ok());
    pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

/// Removes the instances of those who were killed.
fn remove_abandoned(instances: &Path) {
    for entry in fs::read_dir(instances).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        if is_abandoned(&name, NAME) {
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
        _ => Error::new(error).context(format!("using {shown}")),
    }
}

/// Why the tracer's files may not be used.
pub fn no_root() -> Error {
    anyhow!("tracing is not permitted: run kvmrs as root, and without lockdown of the kernel")
}
