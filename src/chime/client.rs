//! The client: a service, and the rate limiter of its calls.
//!
//! Each call takes a [`Permit`], so that no call can be written that does not wait for its turn.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument as _;

use super::call_metrics::CallMetrics;
use super::port::{
    BatchAnswer, CallError, CallErrorClass, ChannelInfo, Deleted, ListRequest, Membership, Operation, Page, Service,
    Target,
};
use super::rate_limit::{Permit, RateLimiter, SharedPriority};
use super::trace;
use crate::membership::arn::MemberArn;
use crate::membership::guard::Removal;

/// The longest time that a call may take, whatever the service behind the port does.
pub const DEADLINE: Duration = Duration::from_secs(12);

/// A service, and the rate limiter of its calls. Clones share both.
#[derive(Debug)]
pub struct Client<S> {
    service: Arc<S>,
    limiter: Arc<RateLimiter>,
    metrics: Arc<CallMetrics>,
    may_call: LeadershipCheck,
    read_only: bool,
}

/// Asks whether this process may make calls at all.
#[derive(Clone)]
struct LeadershipCheck(Arc<dyn Fn() -> bool + Send + Sync>);

impl std::fmt::Debug for LeadershipCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LeadershipCheck").field(&(self.0)()).finish()
    }
}

impl<S> Clone for Client<S> {
    fn clone(&self) -> Self {
        Self {
            service: Arc::clone(&self.service),
            limiter: Arc::clone(&self.limiter),
            metrics: Arc::clone(&self.metrics),
            may_call: self.may_call.clone(),
            read_only: self.read_only,
        }
    }
}

impl<S: Service> Client<S> {
    /// Creates a client of this service. A process has one rate limiter.
    pub fn new(service: Arc<S>, limiter: Arc<RateLimiter>) -> Self {
        let may_call = LeadershipCheck(Arc::new(|| true));
        Self { service, limiter, metrics: Arc::default(), may_call, read_only: false }
    }

    /// Returns a client that makes no call once `may_call` returns false: each further call waits
    /// for the end of the process.
    pub fn only_while(self, may_call: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { may_call: LeadershipCheck(Arc::new(may_call)), ..self }
    }

    /// Returns a client that refuses every call that would change something, without asking the
    /// service.
    pub fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    /// Returns the rate limiter of the calls.
    pub fn rate_limiter(&self) -> &Arc<RateLimiter> {
        &self.limiter
    }

    /// Returns the counts of the calls of this client and its clones.
    pub fn call_metrics(&self) -> &Arc<CallMetrics> {
        &self.metrics
    }

    /// Waits until a call of this kind may be made. Dropping the future leaves the queue.
    pub async fn acquire_permit(&self, target: &Target, operation: Operation, priority: &SharedPriority) -> Permit {
        self.measure_wait(operation, self.limiter.acquire_permit(target, operation, priority)).await
    }

    /// Waits as [`Self::acquire_permit`] does, for a call that is about no channel in particular.
    pub async fn acquire_bearer_permit(
        &self,
        bearer: &MemberArn,
        operation: Operation,
        priority: &SharedPriority,
    ) -> Permit {
        self.measure_wait(operation, self.limiter.acquire_bearer_permit(bearer, operation, priority)).await
    }

    async fn measure_wait(&self, operation: Operation, permit: impl Future<Output = Permit>) -> Permit {
        let began = Instant::now();
        let permit = permit.await;
        let waited = began.elapsed();
        self.metrics.add_wait(operation, waited);
        permit.with_wait(waited)
    }

    /// Returns a permit at once, for a call that must follow another without a wait. Later calls
    /// wait longer instead: see [`RateLimiter::permit_on_credit`].
    pub fn permit_on_credit(&self, target: &Target, operation: Operation) -> Permit {
        self.limiter.permit_on_credit(target, operation)
    }

    /// Reads one page of a list: see [`Service::list_page`].
    pub async fn list_page(
        &self,
        permit: Permit,
        list: ListRequest<'_>,
        token: Option<&str>,
    ) -> Result<Page, CallError> {
        self.execute(permit, list.subject(), list.operation(), || self.service.list_page(list, token)).await
    }

    /// Adds members: see [`Service::batch_create`].
    pub async fn batch_create(
        &self,
        permit: Permit,
        target: &Target,
        members: &[MemberArn],
    ) -> Result<BatchAnswer, CallError> {
        let operation = Operation::BatchCreateChannelMembership;
        self.check_writable(operation)?;
        self.execute(permit, target.channel.as_str(), operation, || self.service.batch_create(target, members)).await
    }

    /// Describes one member's membership: see [`Service::describe_membership`].
    pub async fn describe_membership(
        &self,
        permit: Permit,
        target: &Target,
        member: &MemberArn,
    ) -> Result<Option<Membership>, CallError> {
        let operation = Operation::DescribeChannelMembership;
        let call = || self.service.describe_membership(target, member);
        self.execute(permit, target.channel.as_str(), operation, call).await
    }

    /// Deletes one membership: see [`Service::delete_membership`].
    pub async fn delete_membership(
        &self,
        permit: Permit,
        target: &Target,
        removal: Removal,
    ) -> Result<Deleted, CallError> {
        let operation = Operation::DeleteChannelMembership;
        self.check_writable(operation)?;
        let call = || self.service.delete_membership(target, removal);
        self.execute(permit, target.channel.as_str(), operation, call).await
    }

    /// Describes the channel itself: see [`Service::describe_channel`].
    pub async fn describe_channel(&self, permit: Permit, target: &Target) -> Result<ChannelInfo, CallError> {
        let operation = Operation::DescribeChannel;
        self.execute(permit, target.channel.as_str(), operation, || self.service.describe_channel(target)).await
    }

    fn check_writable(&self, operation: Operation) -> Result<(), CallError> {
        if self.read_only {
            let message = "nothing is changed here";
            return Err(CallError::client_side(CallErrorClass::AccessDenied, operation, "ReadOnly", message));
        }
        Ok(())
    }

    /// Makes a call about a channel or an app instance within the deadline, reports the answer to
    /// the rate limiter, counts it and logs it.
    async fn execute<T, F: Future<Output = Result<T, CallError>>>(
        &self,
        permit: Permit,
        subject: &str,
        operation: Operation,
        call: impl FnOnce() -> F,
    ) -> Result<T, CallError> {
        debug_assert_eq!(permit.operation(), operation, "a permit is for the kind of call it was asked for");
        if !(self.may_call.0)() {
            drop(permit);
            return std::future::pending().await;
        }
        let span = trace::call_span(subject, operation, permit.waited());
        let started = permit.start();
        let began = Instant::now();
        // Boxed, because the future of an SDK call takes kilobytes, and thousands of reconciles may
        // wait.
        let attempt = Box::pin(call()).instrument(span.clone());
        let answer = tokio::time::timeout(DEADLINE, attempt).await.unwrap_or_else(|_| {
            let message = format!("no answer within {} s", DEADLINE.as_secs());
            Err(CallError::client_side(CallErrorClass::Transient, operation, "Timeout", message))
        });
        let error = answer.as_ref().err();
        self.metrics.count_answer(operation, error.map(|error| error.class));
        trace::record_outcome(&span, error);
        match error.map(|error| error.class) {
            Some(CallErrorClass::Throttled) => started.throttled(),
            _ => started.succeeded(),
        }
        tracing::debug!(
            operation = operation.as_str(),
            about = subject,
            code = error.map_or("OK", |error| &error.code),
            request_id = error.and_then(|error| error.request_id.as_deref()),
            ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "called the service",
        );
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;
    use std::sync::Mutex;

    use super::*;
    use crate::api::MembershipType;
    use crate::chime::port::{ChannelsQuery, Privacy};
    use crate::chime::rate_limit::{Priority, Rates};
    use crate::membership::arn::ChannelArn;

    const LIST: Operation = Operation::ListChannelMemberships;

    /// Answers listings by these classes, one each, then with an empty page; batches never.
    struct ScriptedService(Mutex<Vec<CallErrorClass>>);

    impl Service for ScriptedService {
        async fn list_page(&self, _: ListRequest<'_>, _: Option<&str>) -> Result<Page, CallError> {
            match self.0.lock().unwrap().pop() {
                None => Ok(Page::default()),
                Some(class) => Err(CallError {
                    class,
                    operation: LIST,
                    code: "Throttled".into(),
                    message: String::new(),
                    request_id: None,
                }),
            }
        }

        async fn batch_create(&self, _: &Target, _: &[MemberArn]) -> Result<BatchAnswer, CallError> {
            std::future::pending().await
        }

        async fn describe_membership(&self, _: &Target, _: &MemberArn) -> Result<Option<Membership>, CallError> {
            Ok(None)
        }

        async fn delete_membership(&self, _: &Target, _: Removal) -> Result<Deleted, CallError> {
            Ok(Deleted::default())
        }

        async fn describe_channel(&self, _: &Target) -> Result<ChannelInfo, CallError> {
            Ok(ChannelInfo::default())
        }
    }

    fn client(script: &[CallErrorClass]) -> Client<ScriptedService> {
        let service = ScriptedService(Mutex::new(script.to_vec()));
        Client::new(Arc::new(service), Arc::new(RateLimiter::new(Rates::default(), NonZeroU16::MAX)))
    }

    fn target() -> Target {
        let instance = "arn:aws:chime:us-east-1:123456789012:app-instance/1f";
        Target {
            channel: ChannelArn::parse(&format!("{instance}/channel/c")).unwrap(),
            membership_type: MembershipType::Default,
            bearer: MemberArn::parse(&format!("{instance}/user/rollcall")).unwrap(),
            sub_channel: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_never_answers_is_left_at_the_deadline() {
        let (client, priority) = (client(&[]), SharedPriority::new(Priority::Edit));
        let began = Instant::now();
        let permit = client.acquire_permit(&target(), Operation::BatchCreateChannelMembership, &priority).await;
        let error = client.batch_create(permit, &target(), &[]).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (CallErrorClass::Transient, "Timeout"));
        assert!((DEADLINE..DEADLINE + Duration::from_millis(2)).contains(&began.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_answer_slows_the_next_call_and_another_failure_does_not() {
        let priority = SharedPriority::new(Priority::Retry);
        for (class, slowed) in [(CallErrorClass::Throttled, true), (CallErrorClass::Transient, false)] {
            let client = client(&[class]);
            let permit = client.acquire_permit(&target(), LIST, &priority).await;
            assert!(client.list_page(permit, ListRequest::Members(&target()), None).await.is_err());
            let began = Instant::now();
            let permit = client.clone().acquire_permit(&target(), LIST, &priority).await;
            assert_eq!(client.list_page(permit, ListRequest::Members(&target()), None).await, Ok(Page::default()));
            assert_eq!(began.elapsed() >= Duration::from_secs(1), slowed, "{class:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn delete_on_credit_follows_its_describe_when_the_bearer_has_no_turn_left() {
        let (client, priority) = (client(&[]), SharedPriority::new(Priority::Edit));
        let target = target();
        let began = Instant::now();
        let permit = client.acquire_permit(&target, Operation::DescribeChannelMembership, &priority).await;
        let alice = target.channel.member_named("user/alice");
        assert_eq!(client.describe_membership(permit, &target, &alice).await, Ok(None));
        let permit = client.permit_on_credit(&target, Operation::DeleteChannelMembership);
        let removal = crate::chime::removal::of(&target, "user/alice");
        assert_eq!(client.delete_membership(permit, &target, removal).await, Ok(Deleted::default()));
        assert_eq!(began.elapsed(), Duration::ZERO);
        let permit = client.acquire_permit(&target, Operation::DescribeChannel, &priority).await;
        assert_eq!(client.describe_channel(permit, &target).await, Ok(ChannelInfo::default()));
        assert!(began.elapsed() >= Duration::from_millis(200));
    }

    #[tokio::test(start_paused = true)]
    async fn lists_about_a_channel_are_made_each_by_its_own_permit() {
        let (client, priority, target) = (client(&[]), SharedPriority::new(Priority::Edit), target());
        let permit = client.acquire_permit(&target, Operation::ListChannelModerators, &priority).await;
        assert_eq!(client.list_page(permit, ListRequest::Moderators(&target), None).await, Ok(Page::default()));
        let permit = client.acquire_permit(&target, Operation::ListChannelBans, &priority).await;
        assert_eq!(client.list_page(permit, ListRequest::Bans(&target), None).await, Ok(Page::default()));
        let permit = client.acquire_permit(&target, Operation::ListSubChannels, &priority).await;
        assert_eq!(client.list_page(permit, ListRequest::SubChannels(&target), None).await, Ok(Page::default()));
    }

    #[tokio::test(start_paused = true)]
    async fn channels_are_listed_at_the_pace_of_their_bearer() {
        let (client, priority) = (client(&[]), SharedPriority::new(Priority::Edit));
        let whose = ChannelsQuery { bearer: target().bearer, privacy: Privacy::Public };
        let began = Instant::now();
        for _ in 0..9 {
            let permit = client.acquire_bearer_permit(&whose.bearer, Operation::ListChannels, &priority).await;
            assert_eq!(client.list_page(permit, ListRequest::Channels(&whose), None).await, Ok(Page::default()));
        }
        // The first goes at once.
        assert!((Duration::from_secs(1)..Duration::from_millis(1100)).contains(&began.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_may_not_call_makes_no_call_and_takes_no_turn() {
        let service = Arc::new(ScriptedService(Mutex::new(vec![CallErrorClass::Refused])));
        let limiter = Arc::new(RateLimiter::new(Rates::UNLIMITED, NonZeroU16::MIN));
        let client = Client::new(Arc::clone(&service), limiter).only_while(|| false);
        let target = target();
        for _ in 0..2 {
            let permit = client.acquire_permit(&target, LIST, &SharedPriority::new(Priority::Edit)).await;
            let call = tokio::time::timeout(
                Duration::from_hours(1),
                client.list_page(permit, ListRequest::Members(&target), None),
            )
            .await;
            assert!(call.is_err(), "it waits for the end of the process");
        }
        assert_eq!(service.0.lock().unwrap().len(), 1, "nobody asked");
    }
}
