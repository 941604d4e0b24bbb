//! The resources of the machine, and how much of them this process has used.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread;

use sysinfo::{CpuRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// The number of threads that may run at once, as the scheduler and the cgroup allow.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Half of the memory of the machine, or of this process's cgroup (v1 or v2) if that is less, in
/// bytes; 1 GiB if the system does not report it.
pub fn default_memory() -> u64 {
    let Ok(mut system) = System::new() else { return 1 << 30 };
    system.refresh_memory();
    let pid = Pid::from_u32(std::process::id());
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, ProcessRefreshKind::nothing());
    let limit =
        system.process(pid).and_then(|process| process.cgroup_limits()).map_or(u64::MAX, |group| group.total_memory);
    limit.min(system.total_memory()) / 2
}

/// The bytes that the page cache may hold beside a process of `memory` bytes: half of the other
/// memory that is available, because other processes need some too. No limit if the system does not
/// report it.
pub fn page_cache(memory: u64) -> u64 {
    let Ok(mut system) = System::new() else { return u64::MAX };
    system.refresh_memory();
    match system.available_memory() {
        0 => u64::MAX,
        available => available.saturating_sub(memory) / 2,
    }
}

/// The name of the CPU model; empty if the system does not report it.
pub fn cpu() -> String {
    let Ok(mut system) = System::new() else { return String::new() };
    system.refresh_cpu_list(CpuRefreshKind::nothing());
    system.cpus().first().map_or_else(String::new, |cpu| cpu.brand().trim().to_owned())
}

/// The CPU model with the properties that decide how dense products are cut into blocks: vector
/// instructions and caches (level, bytes, ways, number of CPUs that use it together).
pub fn cpu_in_full() -> String {
    let cpu = cpu();
    std::iter::once(cpu).chain(vectors().map(str::to_owned)).chain(caches()).collect::<Vec<_>>().join(", ")
}

/// The vector instructions that products depend on.
#[cfg(target_arch = "x86_64")]
fn vectors() -> impl Iterator<Item = &'static str> {
    let has = [
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
    ];
    has.into_iter().filter_map(|(name, has)| has.then_some(name))
}

/// The vector instructions that products depend on.
#[cfg(not(target_arch = "x86_64"))]
fn vectors() -> impl Iterator<Item = &'static str> {
    std::iter::once(std::env::consts::ARCH)
}

/// The data caches of a core, nearest first; empty if the system does not report them.
fn caches() -> Vec<String> {
    let cache = |index: usize| {
        let of = |name: &str| {
            let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{name}");
            fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
        };
        let kind = of("type")?;
        let [level, size, ways, shared] = ["level", "size", "ways_of_associativity", "shared_cpu_list"].map(of);
        let text = |field: Option<String>| field.unwrap_or_default();
        (kind != "Instruction")
            .then(|| format!("L{} {} {} {}", text(level), text(size), text(ways), cpus(&text(shared)).len()))
    };
    (0..8).filter_map(cache).collect()
}

/// The CPUs that this process may run on; empty if the kernel does not report them.
pub fn cpus_allowed() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).map_or_else(Vec::new, cpus)
}

/// The number of CPUs of this node; 0 if the kernel does not report it.
pub fn cpus_of_node() -> usize {
    cpus(&fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default()).len()
}

/// The CPUs in a list such as `0-3,8`.
fn cpus(list: &str) -> Vec<usize> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.trim().parse::<usize>().ok()?..last.trim().parse::<usize>().ok()? + 1)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// The peak of resident memory so far, in bytes; 0 if the kernel does not report it.
pub fn peak_rss() -> u64 {
    status("VmHWM:")
}

/// The resident memory now, in bytes; 0 if the kernel does not report it.
pub fn resident() -> u64 {
    status("VmRSS:")
}

/// A size in bytes from the status file of this process.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = field.and_then(|field| field.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kilobytes.map_or(0, |kilobytes| kilobytes << 10)
}

/// The processor time that all threads of this process have used so far, in seconds.
pub fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

/// The free bytes for this user in the file system of `folder`; `None` if the system does not
/// report them.
pub fn free_space(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_something() {
        assert!(threads() >= 1);
        assert!(default_memory() > 16 << 20, "{}", default_memory());
    }

    #[test]
    fn cpus_of_a_list_are_counted() {
        assert_eq!(["", "0", "0-1", "\t0-3,8,10-11\n"].map(|list| cpus(list).len()), [0, 1, 2, 7]);
        assert!(cpu_in_full().starts_with(&cpu()));
    }

    #[test]
    fn work_takes_processor_time() {
        let before = cpu_seconds();
        while cpu_seconds() < before + 0.01 {}
        assert!(cpu_seconds() > before);
    }

    #[test]
    fn a_folder_has_room_and_nothing_has_none() {
        assert!(free_space(Path::new("/")).is_some());
        assert!(free_space(Path::new("/no/such/folder")).is_none());
    }

    #[test]
    fn the_peak_is_at_least_what_was_touched() {
        let touched = vec![1u8; 64 << 20];
        assert!(peak_rss() >= touched.iter().map(|&byte| u64::from(byte)).sum::<u64>());
    }
}
