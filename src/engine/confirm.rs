//! Is somebody there of whom the service said Conflict, or nothing?

use super::pass::{Halt, Pass};
use super::store::Store;
use crate::chime::backoff::Backoff;
use crate::chime::port::{CallError, Membership, Operation, Service};
use crate::membership::answer::TYPE_MISMATCH;
use tokio::time::Instant;

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Looks again at members whose answer leaves open whether they are there: by a listing where that costs fewer calls,
    /// then one by one, since only a Describe tells one who is there with the other type.
    pub(super) async fn confirm(&mut self, doubtful: Vec<String>) -> Result<(), Halt> {
        let mut doubtful = self.cell.missing(doubtful);
        if doubtful.len() > self.cell.pages() {
            self.look(Instant::now()).await?;
            doubtful = self.cell.missing(doubtful);
        }
        let mut unseen = false;
        for name in doubtful {
            match self.describe(&name).await? {
                Ok(found) => {
                    self.settle(&name, found.as_ref());
                    unseen |=
                        found.is_some_and(|found| found.membership_type == Some(self.intent.target.membership_type));
                }
                Err(error) if error.class.affects_all_calls() => return Err(Halt::Refused(error)),
                Err(error) => {
                    let message = format!("is said to be a member already, which could not be confirmed: {error}");
                    self.failed(&name, Some(&error.code), &message);
                }
            }
        }
        if unseen {
            self.suspect_sub_channels().await?;
        }
        Ok(())
    }

    fn settle(&mut self, name: &str, found: Option<&Membership>) {
        let wanted = self.intent.target.membership_type;
        match found.map(|membership| membership.membership_type) {
            Some(Some(membership_type)) if membership_type == wanted => {
                self.cell.seen([name]);
                self.memory.problems.clear(name);
            }
            Some(other) => {
                let other = other.map_or("another", crate::api::MembershipType::as_str);
                let message = format!(
                    "is in the channel with type {other}, not {wanted}: the service cannot change a type in place, so \
                     that membership must be deleted first"
                );
                self.failed(name, Some(TYPE_MISMATCH), &message);
            }
            None => {
                let message = "the service neither added the member nor has the membership";
                self.failed(name, None, message);
            }
        }
    }

    /// One look at a membership.
    pub(super) async fn look_at(&mut self, name: &str) -> Result<Result<Option<Membership>, CallError>, Halt> {
        let member = self.intent.roster.arn(name);
        let permit = self.turn(Operation::DescribeChannelMembership).await?;
        Ok(self.engine.client.describe_membership(permit, &self.intent.target, &member).await)
    }

    /// One membership, asked for again until it is answered or refused.
    async fn describe(&mut self, name: &str) -> Result<Result<Option<Membership>, CallError>, Halt> {
        let mut backoff = Backoff::default();
        loop {
            match self.look_at(name).await? {
                Err(error) if error.class.is_transient() => self.rest(&mut backoff, error).await?,
                answer => return Ok(answer),
            }
        }
    }
}
