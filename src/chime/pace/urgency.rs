//! Which of the waiting calls goes first?

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Why a call is made; the more urgent reason is the lesser value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// Somebody changed or asked for something and may be watching.
    Edit = 0,
    /// A call is made again after it failed.
    Retry = 1,
    /// Nobody waits: a look whether all is still as declared.
    Resync = 2,
}

/// The urgency of a piece of work, shared by all of its calls, those that already wait among them.
///
/// A listing that a resync began and an edit joined is raised while it waits, and goes as an edit does.
#[derive(Clone, Debug)]
pub struct Urgency(Arc<AtomicU8>);

impl Urgency {
    /// Work that begins at this level.
    pub fn new(level: Level) -> Self {
        Self(Arc::new(AtomicU8::new(level as u8)))
    }

    /// The level in force.
    pub fn level(&self) -> Level {
        match self.0.load(Ordering::Relaxed) {
            0 => Level::Edit,
            1 => Level::Retry,
            _ => Level::Resync,
        }
    }

    /// Makes the work at least as urgent as `to`; never less urgent than it is.
    pub fn raise(&self, to: Level) {
        self.0.fetch_min(to as u8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgency_is_raised_for_all_who_share_it_and_never_lowered() {
        let urgency = Urgency::new(Level::Resync);
        let shared = urgency.clone();
        shared.raise(Level::Edit);
        assert_eq!(urgency.level(), Level::Edit);
        shared.raise(Level::Retry);
        assert_eq!(urgency.level(), Level::Edit);
    }
}
