//! How is a channel listed, once for everybody who wants to know?

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::trace;
use super::view::{Cell, Flight, Listed, Listing, Look};
use super::views::Views;
use crate::chime::backoff::Backoff;
use crate::chime::port::{CallError, CallErrorClass, ListRequest, Operation, Page, Service, Target};
use crate::chime::rate_limit::{Priority, SharedPriority};

/// A listing is begun anew at most so often because its token was refused or came twice.
const MAX_RESTARTS: u32 = 3;

/// Between two tries of a call lies at least this, whoever asks.
const LEAST_REST: Duration = Duration::from_secs(1);

/// No channel has more pages: an elastic one holds 1,000,000 members (Chime SDK Developer Guide, elastic channels).
const MAX_PAGES: usize = 20_000;

impl<S: Service> Views<S> {
    /// A view of a listing that began at `not_before` or later; one is begun where none is under way.
    pub(super) fn look(self: &Arc<Self>, cell: &Arc<Cell>, not_before: Instant, level: Priority) -> Look {
        cell.look(not_before, level, || self.list(cell, level))
    }

    /// Starts to list in the background.
    fn list(self: &Arc<Self>, cell: &Arc<Cell>, level: Priority) -> Flight {
        let (views, cell) = (Arc::clone(self), Arc::clone(cell));
        let (tell, news) = watch::channel(Listing::Running);
        let urgency = SharedPriority::new(level);
        let wake = Arc::new(Notify::new());
        let flight = Flight { urgency: urgency.clone(), news, wake: Arc::clone(&wake), landed: false };
        let span = trace::listing(&cell.target.channel);
        let listing = async move {
            let shutdown = views.shutdown.clone();
            let list = List { views: &views, cell: &cell, urgency, tell: &tell, wake: &wake };
            let over = Over(&cell);
            let end = shutdown.run_until_cancelled(list.run()).await.flatten();
            drop(over);
            if let Some(end) = end {
                tell.send_replace(end);
            }
        };
        tokio::spawn(listing.instrument(span));
        flight
    }
}

/// Whatever ends a listing, a panic too, the next may begin.
struct Over<'a>(&'a Cell);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.flight_over();
    }
}

struct List<'a, S> {
    views: &'a Arc<Views<S>>,
    cell: &'a Cell,
    urgency: SharedPriority,
    tell: &'a watch::Sender<Listing>,
    wake: &'a Notify,
}

impl<S: Service> List<'_, S> {
    /// Lists all pages; `None` when it was given up because it failed and nobody waited any more.
    async fn run(self) -> Option<Listing> {
        let mut restarts = 0;
        loop {
            let fault = match self.everybody().await? {
                Ok(listed) => {
                    let roll = self.views.siblings.roll(&self.cell.target.channel);
                    self.cell.landed(&listed, self.views.clock.now(), &roll);
                    return Some(Listing::Done);
                }
                Err(Fault::Refused(error)) => return Some(Listing::Refused(error)),
                Err(Fault::Token(error)) => error,
            };
            restarts += 1;
            if restarts > MAX_RESTARTS {
                return Some(Listing::Refused(fault));
            }
        }
    }

    /// Everybody in the channel; of an elastic one, everybody in each of its sub-channels, because it is not documented
    /// whether a plain listing spans them.
    async fn everybody(&self) -> Option<Result<Listed, Fault>> {
        let target = &self.cell.target;
        let targets = if self.cell.is_elastic() && target.sub_channel.is_none() {
            let mut targets = Vec::new();
            let within = |id: &str| targets.push(Target { sub_channel: Some(id.into()), ..target.clone() });
            if let Err(fault) = self.all_pages(target, Operation::ListSubChannels, within).await? {
                return Some(Err(fault));
            }
            targets
        } else {
            vec![target.clone()]
        };
        let (mut names, mut foreign, mut began) = (Vec::<Box<str>>::new(), 0, None::<Instant>);
        for target in &targets {
            let take_in = |member: &str| match target.channel.name_of(member) {
                Some(name) => names.push(name.into()),
                None => foreign += 1,
            };
            match self.all_pages(target, Operation::ListChannelMemberships, take_in).await? {
                Err(fault) => return Some(Err(fault)),
                Ok(first) => began = began.or(first),
            }
        }
        let names = names.iter().map(|name| &**name).collect();
        Some(Ok(Listed { names, foreign, began: began.unwrap_or_else(Instant::now) }))
    }

    /// Takes in what all pages of a list hold, and gives when the first of them was asked for.
    async fn all_pages(
        &self,
        target: &Target,
        operation: Operation,
        mut take_in: impl FnMut(&str) + Send,
    ) -> Option<Result<Option<Instant>, Fault>> {
        let (mut token, mut began) = (None::<String>, None);
        for _ in 0..MAX_PAGES {
            let page = match self.page(target, operation, token.as_deref(), &mut began).await? {
                Ok(page) => page,
                Err(error) if token.is_some() && error.class == CallErrorClass::Refused => {
                    return Some(Err(Fault::Token(error)));
                }
                Err(error) => return Some(Err(Fault::Refused(error))),
            };
            page.items.iter().for_each(|item| take_in(&item.id));
            match page.next {
                None => return Some(Ok(began)),
                next if next == token => return Some(Err(Fault::Token(odd("the same page token came twice")))),
                next => token = next,
            }
        }
        Some(Err(Fault::Refused(odd("the listing does not end"))))
    }

    /// One page, asked for again until it is answered. `began` is set to when the first was asked for that was answered.
    async fn page(
        &self,
        target: &Target,
        operation: Operation,
        token: Option<&str>,
        began: &mut Option<Instant>,
    ) -> Option<Result<Page, CallError>> {
        let mut backoff = Backoff::default();
        loop {
            let client = &self.views.client;
            let permit = client.acquire_permit(target, operation, &self.urgency).await;
            if token.is_none() {
                *began = Some(Instant::now());
            }
            let list = match operation {
                Operation::ListSubChannels => ListRequest::SubChannels(target),
                _ => ListRequest::Members(target),
            };
            match client.list_page(permit, list, token).await {
                Ok(page) => {
                    if backoff.failures() > 0 {
                        self.tell.send_replace(Listing::Running);
                    }
                    return Some(Ok(page));
                }
                Err(error) if error.class.is_transient() => {
                    // The cell holds one receiver itself.
                    if self.tell.receiver_count() <= 1 {
                        return None;
                    }
                    self.tell.send_replace(Listing::Retrying(error));
                    self.rest(backoff.next_delay(fastrand::f64())).await;
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<S> List<'_, S> {
    /// Rests, but not while somebody asks; for a second in any case.
    async fn rest(&self, rest: Duration) {
        let asked = async {
            tokio::time::sleep(LEAST_REST).await;
            self.wake.notified().await;
        };
        let _ = tokio::time::timeout(rest, asked).await;
    }
}

enum Fault {
    /// The listing was refused.
    Refused(CallError),
    /// The token of a page was not good any more; the listing may be begun anew.
    Token(CallError),
}

/// An answer that the service's model does not allow for.
fn odd(message: &str) -> CallError {
    CallError::client_side(CallErrorClass::Refused, Operation::ListChannelMemberships, "UnreadableAnswer", message)
}
