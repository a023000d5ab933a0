// SPDX-License-Identifier: GPL-2.0

//! The VMs of this machine, as debugfs shows them, and why it may not.

use anyhow::{anyhow, bail, Context, Error, Result};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// KVM's directory in debugfs.
pub const DEBUGFS: &str = "/sys/kernel/debug/kvm";

/// The file of a VM with a figure a line.
const STATS: &str = "mmu_stats";

/// Files of a VM that hold no figures.
const OTHER_FILES: [&str; 3] = ["mmu_map", "mmu_check", "mmu_rmaps_stat"];

/// A VM.
#[derive(Clone, Debug)]
pub struct Vm {
    /// The name of its directory: the thread that made it, and the number of its file.
    pub name: String,
    folder: PathBuf,
}

/// All VMs, by name.
pub fn all(debugfs: &Path) -> Result<Vec<Vm>> {
    let entries = fs::read_dir(debugfs).map_err(|error| explain_folder(debugfs, error))?;
    let mut vms = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("reading {}", debugfs.display()))?;
        let name = entry.file_name().into_string().unwrap_or_default();
        if is_vm(&name) {
            let folder = entry.path();
            vms.push(Vm { name, folder });
        }
    }
    vms.sort_by_key(|vm| numbers(&vm.name));
    Ok(vms)
}

/// The one VM that the user means: by its name, or by the thread or process that has made it.
pub fn find(debugfs: &Path, wanted: &str) -> Result<Vm> {
    let vms = all(debugfs)?;
    let is_meant = |vm: &&Vm| vm.name == wanted || vm.thread() == wanted || is_of(wanted, vm);
    let meant: Vec<&Vm> = vms.iter().filter(is_meant).collect();
    match meant[..] {
        [vm] => Ok(vm.clone()),
        [] => bail!("there is no VM '{wanted}'; {}", list(&vms)),
        _ => bail!("'{wanted}' has several VMs: {}", names(&meant)),
    }
}

fn list(vms: &[Vm]) -> String {
    if vms.is_empty() {
        return "no VM runs".into();
    }
    format!("there are: {}", names(&vms.iter().collect::<Vec<_>>()))
}

fn names(vms: &[&Vm]) -> String {
    let names: Vec<&str> = vms.iter().map(|vm| vm.name.as_str()).collect();
    names.join(" ")
}

/// Whether the thread that made the VM belongs to process `pid`.
fn is_of(pid: &str, vm: &Vm) -> bool {
    let is_pid = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
    is_pid && Path::new(&format!("/proc/{pid}/task/{}", vm.thread())).exists()
}

/// The process of a thread. None for one that has ended.
pub fn process_of(thread: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    process.trim().parse().ok()
}

fn is_vm(name: &str) -> bool {
    numbers(name).is_some()
}

fn numbers(name: &str) -> Option<(u32, u32)> {
    let (thread, file) = name.split_once('-')?;
    Some((thread.parse().ok()?, file.parse().ok()?))
}

impl Vm {
    /// The thread that made it.
    fn thread(&self) -> &str {
        self.name.split('-').next().unwrap_or_default()
    }

    /// The process of that thread, if it is still there.
    pub fn process(&self) -> Option<u32> {
        process_of(self.thread().parse().ok()?)
    }

    /// What that thread runs, if it is still there.
    pub fn program(&self) -> Option<String> {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.thread())).ok()?;
        Some(name.trim_end().into())
    }

    /// Whether it has not ended.
    pub fn is_there(&self) -> bool {
        self.folder.exists()
    }

    /// What a file says of the page tables.
    pub fn tables(&self, file: &str) -> Result<String> {
        let path = self.folder.join(file);
        fs::read_to_string(&path).map_err(|error| self.explain(&path, error))
    }

    /// All figures of KVM's. None if the VM ended meanwhile.
    pub fn figures(&self) -> Result<Option<BTreeMap<String, i64>>> {
        let mut figures = BTreeMap::new();
        let Some(entries) = unless_gone(fs::read_dir(&self.folder))? else {
            return Ok(None);
        };
        for entry in entries.flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if !is_file || OTHER_FILES.contains(&name.as_str()) {
                continue;
            }
            let Some(text) = unless_gone(fs::read_to_string(entry.path()))? else {
                return Ok(None);
            };
            figures.extend(figures_of(name, &text));
        }
        Ok(Some(figures))
    }

    fn explain(&self, path: &Path, error: io::Error) -> Error {
        let name = &self.name;
        match error.raw_os_error() {
            Some(libc::ENODEV) => {
                anyhow!("no module looks into page tables; load it: modprobe kvm_rs")
            }
            Some(libc::EOPNOTSUPP) => {
                anyhow!(
                    "VM {name} cannot be looked into: shadow paging only, or mirror roots (TDX)"
                )
            }
            Some(libc::EACCES | libc::EPERM) => no_root(),
            Some(libc::ENOENT) if self.is_there() && !path.exists() => {
                anyhow!(
                    "KVM has no file '{}': its kernel lacks the patches",
                    path.display()
                )
            }
            Some(libc::ENOENT) => anyhow!("VM {name} is gone"),
            _ => Error::new(error).context(format!("reading {}", path.display())),
        }
    }
}

/// Those of a file: one of its name, or many. Histograms are left out, and what somebody else may add.
fn figures_of(name: String, text: &str) -> Vec<(String, i64)> {
    if name == STATS {
        return text.lines().filter_map(figure_of).collect();
    }
    let figure = text.trim().parse().ok().map(|value| (name, value));
    figure.into_iter().collect()
}

fn figure_of(line: &str) -> Option<(String, i64)> {
    let (name, value) = line.split_once(' ')?;
    Some((name.into(), value.parse().ok()?))
}

fn unless_gone<T>(read: io::Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(no_root()),
        Err(error) => Err(error.into()),
    }
}

fn no_root() -> Error {
    anyhow!("only root may look into VMs; run kvmrs as root")
}

fn explain_folder(debugfs: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return no_root();
    }
    let parent = debugfs.parent().unwrap_or(debugfs);
    let is_mounted = fs::read_dir(parent).is_ok_and(|mut entries| entries.next().is_some());
    if error.kind() == io::ErrorKind::NotFound && is_mounted {
        anyhow!("{} is missing: KVM is not loaded", debugfs.display())
    } else if error.kind() == io::ErrorKind::NotFound {
        let parent = parent.display();
        anyhow!("debugfs is not mounted: mount -t debugfs none {parent}")
    } else {
        Error::new(error).context(format!("reading {}", debugfs.display()))
    }
}
