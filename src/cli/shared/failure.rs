//! The error that every command ends with.

/// The reason why a command failed, in one line.
#[derive(Debug)]
pub(in crate::cli) struct Failure(pub String);

impl Failure {
    /// Turns any error into a failure.
    pub fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}
