//! The priority of waiting calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The reason why a call is made; the more urgent reason is the lesser value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Priority {
    /// A user changed or asked for something and may be watching.
    Edit = 0,
    /// A call is made again after it failed.
    Retry = 1,
    /// No user waits: the call checks whether the channel is still as declared.
    Resync = 2,
}

/// The priority of a piece of work, shared by all of its calls, including those that already wait.
///
/// A listing that a resync began and an edit joined is raised while it waits, and goes as an edit
/// does.
#[derive(Clone, Debug)]
pub struct SharedPriority(Arc<AtomicU8>);

impl SharedPriority {
    /// Creates the priority of work that begins at this level.
    pub fn new(level: Priority) -> Self {
        Self(Arc::new(AtomicU8::new(level as u8)))
    }

    /// Returns the priority in force.
    pub fn current(&self) -> Priority {
        match self.0.load(Ordering::Relaxed) {
            0 => Priority::Edit,
            1 => Priority::Retry,
            _ => Priority::Resync,
        }
    }

    /// Makes the work at least as urgent as `to`, and never less urgent.
    pub fn raise_to(&self, to: Priority) {
        self.0.fetch_min(to as u8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_is_raised_for_all_who_share_it_and_never_lowered() {
        let priority = SharedPriority::new(Priority::Resync);
        let shared = priority.clone();
        shared.raise_to(Priority::Edit);
        assert_eq!(priority.current(), Priority::Edit);
        shared.raise_to(Priority::Retry);
        assert_eq!(priority.current(), Priority::Edit);
    }
}
