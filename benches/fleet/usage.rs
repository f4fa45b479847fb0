//! What has a process used?

use std::fs;
use std::time::Duration;

use crate::Failure;

/// `USER_HZ`, in which the kernel tells user space of time on every architecture that the operator is built for.
const TICKS_A_SECOND: u64 = 100;

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// The most memory it had at once, in KiB (`VmHWM`).
    pub peak: u64,
    /// The memory it has now, in KiB (`VmRSS`).
    pub resident: u64,
}

impl Usage {
    /// Reads what the kernel says of a process.
    pub fn of(pid: u32) -> Result<Self, Failure> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name, in parentheses, may hold anything; after it, utime and stime are the 12th and 13th field.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: Vec<u64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kib = |key: &str| -> Result<u64, Failure> {
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
