//! What time is it, for a process whose timers may be those of a test?

use jiff::Timestamp;
use tokio::time::Instant;

/// Wall-clock time that moves with tokio's clock: it never jumps back, and stands still where a test pauses that clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that shows `wall` now.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { wall, started: Instant::now() }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.wall.checked_add(self.started.elapsed()).unwrap_or(Timestamp::MAX)
    }
}
