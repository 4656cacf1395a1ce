//! What it was measured on.

use std::fs;
use std::process::Command;

/// Prints the machine's description.
pub(crate) fn describe() {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let model = field(&cpuinfo, "model name").unwrap_or_default();
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    println!("- Processor: {model}, {cores} cores");
    println!("- Memory: {memory}");
    println!("- Kernel: Linux {}", kernel.trim());
    println!("- Load average before: {}", read("/proc/loadavg").trim());
    let of = crate::server::target();
    let disk = Command::new("df").args(["--output=fstype,source"]).arg(of).output();
    let disk = disk.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let disk = disk.unwrap_or_default();
    println!("- Disk of the data directory: {}", disk.lines().nth(1).unwrap_or_default().trim());
    println!();
}
