//! Reads the CPU time and memory of a process.

use std::fs;
use std::time::Duration;

use crate::BenchError;

/// `USER_HZ`, the kernel's unit of CPU time in `/proc`: the same on x86-64 and on arm64.
const TICKS_A_SECOND: u64 = 100;

/// The CPU time and memory of a process so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The user and system time.
    pub cpu: Duration,
    /// The peak of the resident memory, in KiB (`VmHWM`).
    pub peak: u64,
    /// The resident memory now, in KiB (`VmRSS`).
    pub resident: u64,
}

impl Usage {
    /// Reads the figures of a process from `/proc`.
    pub fn of(pid: u32) -> Result<Self, BenchError> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The process name, in parentheses, may contain any character. After it, utime and stime
        // are the 12th and 13th fields.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: Vec<u64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kib = |key: &str| -> Result<u64, BenchError> {
            let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            let number = line.and_then(|line| line.split_whitespace().next());
            Ok(number.ok_or_else(|| format!("/proc/{pid}/status has no {key}"))?.parse()?)
        };
        Ok(Self {
            cpu: Duration::from_millis(ticks.iter().sum::<u64>() * 1000 / TICKS_A_SECOND),
            peak: kib("VmHWM")?,
            resident: kib("VmRSS")?,
        })
    }
}
