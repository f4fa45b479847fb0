//! Who is in the channel, recently enough for this pass?

use std::time::Duration;

use tokio::time::Instant;

use super::pass::{Halt, Pass};
use super::store::Store;
use super::view::{Listing, Look};
use super::wait::Waiting;
use crate::api::{Mode, Prune};
use crate::chime::port::{CallError, CallErrorClass, Operation, Service};
use crate::chime::rate_limit::Priority;

/// Listings may take this part of a bearer's rate; beyond it, resync intervals stretch.
const LISTING_SHARE: f64 = 0.5;

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Waits for a view that is recent enough; begins a listing, or joins one, where there is none.
    pub(super) async fn observe(&mut self) -> Result<(), Halt> {
        self.look(self.not_before()).await
    }

    /// Waits for a view of a listing that began at `not_before` or later.
    pub(super) async fn look(&mut self, mut not_before: Instant) -> Result<(), Halt> {
        loop {
            let level = self.urgency.current();
            let mut news = match self.engine.views.look(&self.cell, not_before, level) {
                Look::Ready => return Ok(()),
                Look::Wait(news) => news,
            };
            let mut failures = 0;
            loop {
                let listing = news.borrow_and_update().clone();
                let waiting = match listing {
                    Listing::Running => Waiting::Listing,
                    Listing::Retrying(error) => {
                        failures += 1;
                        Waiting::Again(self.worth_another_try(failures, error)?)
                    }
                    Listing::Done => break,
                    Listing::Refused(error) => {
                        if !self.has_turned_out_elastic(&error).await? {
                            return Err(Halt::Refused(error));
                        }
                        not_before = Instant::now();
                        break;
                    }
                };
                self.wait(&waiting, news.changed()).await?.map_err(|_| self.listing_lost())?;
            }
        }
    }

    /// Whether a refused listing was one of an elastic channel, of which that was not known: it is listed by its sub-channels then. It is not
    /// documented whether AWS takes a listing of such a channel as a whole.
    async fn has_turned_out_elastic(&mut self, refusal: &CallError) -> Result<bool, Halt> {
        if refusal.class != CallErrorClass::Refused || self.cell.is_shape_known() {
            return Ok(false);
        }
        self.suspect_sub_channels().await?;
        Ok(self.cell.is_elastic() && self.intent.target.sub_channel.is_none())
    }

    /// A listing that ended without a word was stopped with the process, or panicked.
    fn listing_lost(&self) -> Halt {
        if self.cancel.is_cancelled() {
            return Halt::Interrupted;
        }
        let (class, operation) = (CallErrorClass::Transient, Operation::ListChannelMemberships);
        Halt::Refused(CallError::client_side(class, operation, "Lost", "the listing ended without an answer"))
    }

    /// From when on a listing is recent enough: a request wants one of its own, one in doubt is made again, an edit takes what
    /// the last resync saw, and at a resync the one that another resource of the channel has just made will do.
    fn not_before(&self) -> Instant {
        let now = Instant::now();
        if let Some(asked) = self.memory.open_request() {
            return asked;
        }
        if let Some(settled) = self.cell.doubted_until().filter(|settled| *settled <= now) {
            return settled;
        }
        if self.intent.mode == Mode::Enforce
            && !self.foresees
            && let Some(at) = self.wants_look_at().filter(|at| *at <= now)
        {
            if self.second_look_at() == Some(at) {
                self.cell.mark_second_look();
            }
            return at;
        }
        let age = match self.urgency.current() {
            Priority::Edit | Priority::Retry if !self.cell.until_resync(self.interval()).is_zero() => self.interval(),
            _ => self.interval() / 2,
        };
        now.checked_sub(age).unwrap_or(now)
    }

    /// From when on a listing is wanted of its own: to see undeclared members a second time, and to see whether those
    /// are gone who are claimed and were not seen.
    pub(super) fn wants_look_at(&self) -> Option<Instant> {
        let mut wanted: Vec<Instant> = self.unseen_until().into_iter().collect();
        if let Some(at) = self.second_look_at() {
            wanted.push(at);
        }
        wanted.into_iter().min()
    }

    /// From when on a listing is wanted to see undeclared members a second time.
    pub(super) fn second_look_at(&self) -> Option<Instant> {
        if self.intent.prune != Prune::Authoritative || self.usurped(&self.roll).is_some() {
            return None;
        }
        let (_, undeclared) = self.cell.undeclared(&self.roll);
        // A bot is removed only if it was added for this resource.
        let may_go = |name: &str| !name.starts_with("bot/") || self.ledger.claims.names().contains(name);
        let open = |name: &str| may_go(name) && self.memory.why_stays(name).is_none();
        self.cell.second_look_at(&undeclared, open)
    }

    /// The resync interval in force: what the resource wants, or more where listing all the bearer's channels so often
    /// would take too much of its rate.
    pub(super) fn interval(&self) -> Duration {
        let wanted = self.intent.interval;
        let Some(rate) = self.engine.client.rate_limiter().bearer_rate(&self.intent.target) else { return wanted };
        #[expect(clippy::cast_precision_loss, reason = "pages are far below 2^52")]
        let pages = self.cell.pages_of_bearer() as f64;
        wanted.max(Duration::try_from_secs_f64((pages / (rate * LISTING_SHARE)).ceil()).unwrap_or(wanted))
    }
}
