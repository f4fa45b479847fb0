//! The liveness and readiness of the process.
//!
//! A process is alive if its watches and queues make progress. An API server or a service that is
//! away is no reason to restart. The process has one thread, so any answer also shows that the
//! runtime runs.

use std::fmt;

/// Returns the problem, if there is one.
type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The checks of a process.
#[derive(Default)]
pub struct Health {
    alive: Vec<Check>,
    ready: Vec<Check>,
}

impl Health {
    /// Adds a check; if it fails, the process should be restarted.
    pub fn add_liveness_check(&mut self, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.alive.push(Box::new(check));
    }

    /// Adds a check; until it succeeds, the process has not begun its work.
    pub fn add_readiness_check(&mut self, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.ready.push(Box::new(check));
    }

    /// Returns the problems that make the process not alive.
    pub fn check_liveness(&self) -> Result<(), String> {
        all(&self.alive)
    }

    /// Returns the problems that make the process not ready.
    pub fn check_readiness(&self) -> Result<(), String> {
        all(&self.ready)
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("alive", &self.check_liveness()).field("ready", &self.check_readiness()).finish()
    }
}

fn all(checks: &[Check]) -> Result<(), String> {
    let wrong: Vec<String> = checks.iter().filter_map(|check| check().err()).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_said_and_readiness_is_another_matter() {
        let mut health = Health::default();
        assert_eq!((health.check_liveness(), health.check_readiness()), (Ok(()), Ok(())));
        health.add_liveness_check(|| Ok(()));
        health.add_liveness_check(|| Err("a".to_owned()));
        health.add_liveness_check(|| Err("b".to_owned()));
        health.add_readiness_check(|| Err("not yet".to_owned()));
        assert_eq!(
            (health.check_liveness(), health.check_readiness()),
            (Err("a\nb".to_owned()), Err("not yet".to_owned()))
        );
    }
}
