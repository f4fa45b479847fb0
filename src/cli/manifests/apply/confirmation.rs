//! The confirmation of removals, which the command asks for after it has shown the plan.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::shared::failure::Failure;
use crate::offline::plan::Plan;

/// The confirmation that members may be removed. No member is removed before it is given.
#[derive(Debug, Default)]
pub(super) struct Confirmation(AtomicBool);

impl Confirmation {
    pub(super) fn is_given(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks for confirmation if the plan removes members. A removal that was not part of the plan
    /// is not made.
    pub(super) async fn ask(&self, plan: &Plan, approved: &[String], yes: bool) -> Result<(), Failure> {
        let removals = removals(plan, approved);
        if removals > 0 && !yes {
            let members = if removals == 1 { "1 member".to_owned() } else { format!("{removals} members") };
            if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
                let next = "if that is right, run it again with --yes; nothing was changed";
                return Err(Failure(format!("{members} would be removed: {next}")));
            }
            if !answered_yes(&members).await? {
                return Err(Failure::of("not confirmed: nothing was changed"));
            }
        }
        self.0.store(yes || removals > 0, Ordering::Relaxed);
        Ok(())
    }
}

/// Returns the number of members that the plan may remove.
fn removals(plan: &Plan, approved: &[String]) -> usize {
    let pending = plan.resources.iter().filter_map(|resource| resource.pending_approval.as_ref());
    let pending: usize =
        pending.filter(|pending| approved.contains(&pending.hash)).map(|pending| pending.removals as usize).sum();
    plan.totals.remove + plan.totals.waiting + pending
}

async fn answered_yes(members: &str) -> Result<bool, Failure> {
    eprint!("Remove {members}? Type yes to confirm: ");
    let _ = io::stderr().flush();
    let read = || {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    };
    // A blocking thread waits for the answer, so that signals are still handled.
    let line = tokio::task::spawn_blocking(read).await.map_err(Failure::of)?;
    let line = line.map_err(|error| Failure::of(format!("failed to read the answer: {error}")))?;
    Ok(line.trim() == "yes")
}
