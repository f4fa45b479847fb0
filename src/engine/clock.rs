//! The clock of a process.

use jiff::Timestamp;
use tokio::time::Instant;

/// Wall-clock time that moves with tokio's clock: it never jumps back, and it stands still while a
/// test pauses that clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Timestamp,
    started: Instant,
}

impl Clock {
    /// Creates a clock that shows `wall` now.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { wall, started: Instant::now() }
    }

    /// Returns the time.
    pub fn now(&self) -> Timestamp {
        self.wall.checked_add(self.started.elapsed()).unwrap_or(Timestamp::MAX)
    }
}
