//! What the figures were measured on.

use std::fs::read_to_string;

/// One line about this machine and its load; what cannot be read is left out.
pub(crate) fn description() -> String {
    let processor = field("/proc/cpuinfo", "model name");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal");
    let kernel = first_line("/proc/sys/kernel/osrelease");
    let load = first_line("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!("{processor}, {cores} cores, {memory}, Linux {kernel}, load {load}")
}

fn first_line(path: &str) -> String {
    let text = read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

/// The value behind `name:` in a file of such lines.
fn field(path: &str, name: &str) -> String {
    let text = read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
}
