//! The findings of `rollcall doctor`, as text and as JSON.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use serde::Serialize;
use serde_json::{Value, json};

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// The check passed.
    Ok,
    /// The setup may be intended, and limits a feature.
    Warning,
    /// The operator cannot work.
    Failed,
    /// The check was not made.
    Skipped,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// The finding of one check.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
    result: Verdict,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Finding {
    fn new(check: &'static str, result: Verdict, message: impl Into<String>) -> Self {
        // Messages of other programs may have several lines.
        let message = message.into().split_whitespace().collect::<Vec<_>>().join(" ");
        Self { check, about: None, result, message, advice: None }
    }

    pub fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Verdict::Ok, message)
    }

    pub fn skipped(check: &'static str, why: impl Into<String>) -> Self {
        Self::new(check, Verdict::Skipped, why)
    }

    pub fn warning(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..Self::new(check, Verdict::Warning, message) }
    }

    pub fn failed(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..Self::new(check, Verdict::Failed, message) }
    }

    /// Names the channel or bearer that the finding is about.
    pub fn about(self, what: &str) -> Self {
        Self { about: Some(what.to_owned()), ..self }
    }
}

/// All findings, in the order of the checks.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub fn add(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn failed(&self) -> usize {
        self.count(Verdict::Failed)
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.0.iter().filter(|finding| finding.result == verdict).count()
    }

    /// Returns all findings as one JSON object.
    pub fn json(&self) -> Value {
        json!({"version": env!("CARGO_PKG_VERSION"), "failed": self.failed(), "checks": self.0})
    }

    /// Returns one finding a line, with the advice below it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let width = self.0.iter().map(|it| it.check.len()).max().unwrap_or_default();
        // Writing to a String cannot fail.
        for Finding { check, about, result, message, advice } in &self.0 {
            // The start of an ARN is the same in all of them.
            let about =
                about.as_ref().map(|about| about.split_once(":app-instance/").map_or(about.as_str(), |(_, id)| id));
            let about = about.map(|about| format!("{about}: ")).unwrap_or_default();
            let _ = writeln!(text, "{:<7}  {check:<width$}  {about}{message}", result.as_str());
            if let Some(advice) = advice {
                let _ = writeln!(text, "{:<7}  {:<width$}  -> {advice}", "", "");
            }
        }
        let count = |verdict| self.count(verdict);
        let (ok, warnings) = (count(Verdict::Ok), count(Verdict::Warning));
        let (failed, skipped) = (count(Verdict::Failed), count(Verdict::Skipped));
        let all = self.len();
        let plural = if warnings == 1 { "" } else { "s" };
        let _ =
            writeln!(text, "\n{all} checks: {ok} ok, {warnings} warning{plural}, {failed} failed, {skipped} skipped");
        text
    }
}

/// Prints a remark about slow progress.
pub(super) fn remark(text: &str) {
    // A remark that cannot be printed is no reason to stop.
    let _ = writeln!(io::stderr(), "{text}");
}
