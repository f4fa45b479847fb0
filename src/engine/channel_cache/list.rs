//! Listing of a channel: one background task for all reconciles that wait for it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tracing::Instrument as _;

use super::entry::InFlightListing;
use super::{CacheLookup, ChannelCache, ChannelCacheEntry, ListingProgress};
use crate::chime::backoff::Backoff;
use crate::chime::port::{CallError, CallErrorClass, ListRequest, Operation, PAGE_SIZE, Page, Service};
use crate::chime::rate_limit::{Priority, SharedPriority};
use crate::engine::trace;
use crate::membership::listing::Listing;
use crate::membership::target::Target;

/// How often a listing is begun anew because a page token was refused or repeated.
const MAX_RESTARTS: u32 = 3;

/// The shortest pause between two attempts of a call, also when a reconcile asks for the result.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// The most pages of a listing: an elastic channel holds 1,000,000 members (Chime SDK Developer
/// Guide, elastic channels).
const MAX_PAGES: usize = 20_000;

impl<S: Service> ChannelCache<S> {
    /// Asks for a listing of an entry that began at `not_before` or later, and begins one if none
    /// is under way.
    pub(in crate::engine) fn look_up(
        self: &Arc<Self>,
        entry: &Arc<ChannelCacheEntry>,
        not_before: Timestamp,
        priority: Priority,
    ) -> CacheLookup {
        entry.look_up(not_before, priority, || self.begin_listing(entry, priority))
    }

    fn begin_listing(self: &Arc<Self>, entry: &Arc<ChannelCacheEntry>, priority: Priority) -> InFlightListing {
        let (cache, entry) = (Arc::clone(self), Arc::clone(entry));
        let (sender, progress) = watch::channel(ListingProgress::Running);
        let priority = SharedPriority::new(priority);
        let wake = Arc::new(Notify::new());
        let in_flight =
            InFlightListing { priority: priority.clone(), progress, wake: Arc::clone(&wake), stored: false };
        let span = trace::listing(&entry.target.channel);
        let listing = async move {
            let shutdown = cache.shutdown.clone();
            let lister = Lister { cache: &cache, entry: &entry, priority, progress: &sender, wake: &wake };
            let guard = EndGuard(&entry);
            let end = shutdown.run_until_cancelled(lister.run()).await;
            drop(guard);
            if let Some(Some(end)) = end {
                sender.send_replace(end);
            }
        };
        tokio::spawn(listing.instrument(span));
        in_flight
    }
}

/// Ends the listing of an entry however its task ends, also by a panic: the next one may begin
/// then.
struct EndGuard<'a>(&'a ChannelCacheEntry);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.0.end_listing();
    }
}

struct Lister<'a, S> {
    cache: &'a Arc<ChannelCache<S>>,
    entry: &'a ChannelCacheEntry,
    priority: SharedPriority,
    progress: &'a watch::Sender<ListingProgress>,
    wake: &'a Notify,
}

/// Why a listing did not come to its end.
enum ListError {
    /// A call was refused.
    Refused(CallError),
    /// The token of a page is no longer good; the listing may begin anew.
    BadToken(CallError),
    /// A call failed, and no reconcile waits for the listing any more.
    Abandoned,
}

impl<S: Service> Lister<'_, S> {
    /// Lists all pages and stores the result; `None` if the listing was abandoned.
    async fn run(self) -> Option<ListingProgress> {
        let mut restarts = 0;
        loop {
            let error = match self.list_members().await {
                Ok(listing) => {
                    let declarers = self.cache.registry.declarers(&self.entry.target.channel);
                    self.entry.store_listing(&listing, &declarers);
                    return Some(ListingProgress::Done);
                }
                Err(ListError::Abandoned) => return None,
                Err(ListError::Refused(error)) => return Some(ListingProgress::Refused(error)),
                Err(ListError::BadToken(error)) => error,
            };
            restarts += 1;
            if restarts > MAX_RESTARTS {
                return Some(ListingProgress::Refused(error));
            }
        }
    }

    /// Lists the members. An elastic channel is listed by its sub-channels, because AWS does not
    /// document whether a plain listing spans them.
    async fn list_members(&self) -> Result<Listing, ListError> {
        let target = &self.entry.target;
        let mut targets = vec![target.clone()];
        if self.entry.view().is_elastic() && target.sub_channel.is_none() {
            targets.clear();
            let within = |id: &str| targets.push(Target { sub_channel: Some(id.into()), ..target.clone() });
            self.list_pages(target, Operation::ListSubChannels, within).await?;
        }
        let (mut names, mut foreign, mut began) = (Vec::<Box<str>>::new(), 0, None::<Timestamp>);
        for target in &targets {
            // A member of another app instance has no name here: no resource can declare it.
            let collect = |member: &str| match target.channel.name_of(member) {
                Some(name) => names.push(name.into()),
                None => foreign += 1,
            };
            let first = self.list_pages(target, Operation::ListChannelMemberships, collect).await?;
            began = began.or(first);
        }
        let ended = self.cache.clock.now();
        let names = names.iter().map(|name| &**name).collect::<crate::membership::member_set::NameSet>();
        let pages = (names.len() + foreign).div_ceil(PAGE_SIZE).max(1);
        Ok(Listing { names, pages, began: began.unwrap_or(ended), ended })
    }

    /// Collects the items of all pages of a list. Returns when the first page was requested.
    async fn list_pages(
        &self,
        target: &Target,
        operation: Operation,
        mut collect: impl FnMut(&str) + Send,
    ) -> Result<Option<Timestamp>, ListError> {
        let (mut token, mut began) = (None::<String>, None);
        for _ in 0..MAX_PAGES {
            let page = self.list_page(target, operation, token.as_deref(), &mut began).await?;
            page.items.iter().for_each(|item| collect(&item.id));
            match page.next {
                None => return Ok(began),
                next if next == token => {
                    return Err(ListError::BadToken(unreadable("the same page token came twice")));
                }
                next => token = next,
            }
        }
        Err(ListError::Refused(unreadable("the listing does not end")))
    }

    /// Requests one page until it is answered. Sets `began` to when the first page was requested
    /// that was answered.
    async fn list_page(
        &self,
        target: &Target,
        operation: Operation,
        token: Option<&str>,
        began: &mut Option<Timestamp>,
    ) -> Result<Page, ListError> {
        let mut backoff = Backoff::default();
        loop {
            let client = &self.cache.client;
            let permit = client.acquire_permit(target, operation, &self.priority).await;
            if token.is_none() {
                *began = Some(self.cache.clock.now());
            }
            let list = match operation {
                Operation::ListSubChannels => ListRequest::SubChannels(target),
                _ => ListRequest::Members(target),
            };
            match client.list_page(permit, list, token).await {
                Ok(page) => {
                    if backoff.failures() > 0 {
                        self.progress.send_replace(ListingProgress::Running);
                    }
                    return Ok(page);
                }
                Err(error) if error.class.is_transient() => {
                    // The entry itself holds one receiver.
                    if self.progress.receiver_count() <= 1 {
                        return Err(ListError::Abandoned);
                    }
                    self.progress.send_replace(ListingProgress::Retrying(error));
                    self.pause(backoff.next_delay(fastrand::f64())).await;
                }
                Err(error) if token.is_some() && error.class == CallErrorClass::Refused => {
                    return Err(ListError::BadToken(error));
                }
                Err(error) => return Err(ListError::Refused(error)),
            }
        }
    }

    /// Pauses. A reconcile that asks for the listing ends the pause, but not before [`MIN_PAUSE`].
    async fn pause(&self, pause: Duration) {
        let asked = async {
            tokio::time::sleep(MIN_PAUSE).await;
            self.wake.notified().await;
        };
        let _ = tokio::time::timeout(pause, asked).await;
    }
}

/// Returns the error for an answer that the service's model does not allow.
fn unreadable(message: &str) -> CallError {
    CallError::client_side(CallErrorClass::Refused, Operation::ListChannelMemberships, "UnreadableAnswer", message)
}
