//! Calls in sequence: repeating an attempt that failed, and reading a list from its first page to
//! its last.
//!
//! A [`Caller`] decides how to wait and when to give up: a command gives up after some attempts, a
//! reconcile waits as long as nothing cancels it and reports its progress meanwhile.

use std::future::Future;

use super::backoff::Backoff;
use super::client::Client;
use super::port::{CallError, CallErrorClass, ListRequest, Operation, PageItem, Service};
use super::rate_limit::Permit;

/// A list starts again at most this often because the token of a page was refused or came twice.
const MAX_RESTARTS: u32 = 3;

/// No list has more pages: an elastic channel holds 1,000,000 members (Chime SDK Developer Guide,
/// elastic channels), an app instance 10,000,000 channels (AWS General Reference, Chime SDK
/// messaging quotas).
const MAX_PAGES: usize = 200_000;

/// A task that makes calls about one channel or in the name of one bearer.
pub trait Caller {
    /// The reason why the task ends a sequence of calls early.
    type Stop: From<CallError>;

    /// Waits until a call of this kind may be made.
    fn acquire_permit(&mut self, operation: Operation) -> impl Future<Output = Result<Permit, Self::Stop>>;

    /// Waits after an attempt that failed with a transient error, or gives up.
    fn back_off(&mut self, backoff: &mut Backoff, error: CallError) -> impl Future<Output = Result<(), Self::Stop>>;
}

/// Repeats a call until the service answers or refuses it, or until the caller gives up.
pub async fn retry_transient<C: Caller, T, F: Future<Output = Result<T, CallError>>>(
    caller: &mut C,
    operation: Operation,
    call: impl Fn(Permit) -> F,
) -> Result<T, C::Stop> {
    let mut backoff = Backoff::default();
    loop {
        let permit = caller.acquire_permit(operation).await?;
        match call(permit).await {
            Err(error) if error.class.is_transient() => caller.back_off(&mut backoff, error).await?,
            answer => return Ok(answer?),
        }
    }
}

impl<S: Service> Client<S> {
    /// Reads all pages of a list and folds them into a value by `add`. Starts again from an empty
    /// value if the token of a page is not accepted any more.
    pub async fn list_all<C: Caller, T: Default>(
        &self,
        caller: &mut C,
        list: ListRequest<'_>,
        add: impl Fn(&mut T, Vec<PageItem>),
    ) -> Result<T, C::Stop> {
        // An answer that the service's model does not allow.
        let unreadable = |message: &str| {
            CallError::client_side(CallErrorClass::Refused, list.operation(), "UnreadableAnswer", message)
        };
        let (mut all, mut token, mut pages) = (T::default(), None::<String>, 0);
        let (mut backoff, mut restarts) = (Backoff::default(), 0);
        loop {
            let permit = caller.acquire_permit(list.operation()).await?;
            let token_error = match self.list_page(permit, list, token.as_deref()).await {
                Ok(page) => {
                    add(&mut all, page.items);
                    (backoff, pages) = (Backoff::default(), pages + 1);
                    match page.next {
                        None => return Ok(all),
                        next if next == token => unreadable("the same page token came twice"),
                        _ if pages == MAX_PAGES => return Err(unreadable("the list does not end").into()),
                        next => {
                            token = next;
                            continue;
                        }
                    }
                }
                Err(error) if error.class.is_transient() => {
                    caller.back_off(&mut backoff, error).await?;
                    continue;
                }
                Err(error) if token.is_some() && error.class == CallErrorClass::Refused => error,
                Err(error) => return Err(error.into()),
            };
            if restarts == MAX_RESTARTS {
                return Err(token_error.into());
            }
            restarts += 1;
            (all, token, pages) = (T::default(), None, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::num::NonZeroU16;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::api::MembershipType;
    use crate::chime::port::{BatchAnswer, ChannelInfo, Deleted, Membership, Page, Target};
    use crate::chime::rate_limit::{Priority, RateLimiter, Rates, SharedPriority};
    use crate::membership::arn::{ChannelArn, MemberArn};
    use crate::membership::guard::Removal;

    type Answer = Result<(&'static str, Option<&'static str>), CallErrorClass>;

    /// Answers lists from a script, and logs the tokens it was asked with.
    #[derive(Default)]
    struct Scripted {
        answers: Mutex<VecDeque<Answer>>,
        asked: Mutex<Vec<Option<String>>>,
    }

    impl Service for Scripted {
        async fn list_page(&self, list: ListRequest<'_>, token: Option<&str>) -> Result<Page, CallError> {
            self.asked.lock().unwrap().push(token.map(str::to_owned));
            match self.answers.lock().unwrap().pop_front().unwrap() {
                Ok((id, next)) => Ok(Page { items: vec![id.to_owned().into()], next: next.map(str::to_owned) }),
                Err(class) => Err(CallError::client_side(class, list.operation(), "Scripted", "no")),
            }
        }

        async fn batch_create(&self, _: &Target, _: &[MemberArn]) -> Result<BatchAnswer, CallError> {
            unreachable!("only lists are read")
        }

        async fn describe_membership(&self, _: &Target, _: &MemberArn) -> Result<Option<Membership>, CallError> {
            unreachable!("only lists are read")
        }

        async fn delete_membership(&self, _: &Target, _: Removal) -> Result<Deleted, CallError> {
            unreachable!("only lists are read")
        }

        async fn describe_channel(&self, _: &Target) -> Result<ChannelInfo, CallError> {
            unreachable!("only lists are read")
        }
    }

    struct Task {
        client: Client<Scripted>,
        target: Target,
    }

    impl Caller for Task {
        type Stop = CallError;

        async fn acquire_permit(&mut self, operation: Operation) -> Result<Permit, CallError> {
            Ok(self.client.acquire_permit(&self.target, operation, &SharedPriority::new(Priority::Edit)).await)
        }

        async fn back_off(&mut self, backoff: &mut Backoff, error: CallError) -> Result<(), CallError> {
            if backoff.failures() == 2 {
                return Err(error);
            }
            tokio::time::sleep(backoff.next_delay(0.0)).await;
            Ok(())
        }
    }

    /// Reads a list that is answered by this script, in a spawned task, as a reconcile does.
    async fn read(script: &[Answer]) -> (Result<Vec<String>, String>, Vec<Option<String>>) {
        let instance = "arn:aws:chime:us-east-1:123456789012:app-instance/1f";
        let target = Target {
            channel: ChannelArn::parse(&format!("{instance}/channel/c")).unwrap(),
            membership_type: MembershipType::Default,
            bearer: MemberArn::parse(&format!("{instance}/user/rollcall")).unwrap(),
            sub_channel: None,
        };
        let service =
            Arc::new(Scripted { answers: Mutex::new(script.iter().copied().collect()), ..Scripted::default() });
        let client = Client::new(Arc::clone(&service), Arc::new(RateLimiter::new(Rates::UNLIMITED, NonZeroU16::MIN)));
        let task = tokio::spawn(async move {
            let mut task = Task { client: client.clone(), target: target.clone() };
            let add = |all: &mut Vec<String>, page: Vec<PageItem>| all.extend(page.into_iter().map(|item| item.id));
            client.list_all(&mut task, ListRequest::Moderators(&target), add).await.map_err(|error| error.to_string())
        });
        let listed = task.await.unwrap();
        (listed, service.asked.lock().unwrap().clone())
    }

    fn tokens(asked: &[&str]) -> Vec<Option<String>> {
        asked.iter().map(|token| Some((*token).to_owned()).filter(|token| !token.is_empty())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn list_is_read_page_by_page_and_transient_errors_are_repeated() {
        let throttled = Err(CallErrorClass::Throttled);
        let began = tokio::time::Instant::now();
        let (listed, asked) =
            read(&[Ok(("a", Some("1"))), throttled, throttled, Ok(("b", Some("2"))), throttled, Ok(("c", None))]).await;
        assert_eq!(listed.unwrap(), ["a", "b", "c"]);
        assert_eq!(asked, tokens(&["", "1", "1", "1", "2", "2"]));
        // The delays double, and each page begins anew.
        assert!(began.elapsed() >= Duration::from_secs(1 + 2 + 1), "{:?}", began.elapsed());
        let error = read(&[throttled; 3]).await.0.unwrap_err();
        assert_eq!(error, "ListChannelModerators answered Scripted: no");
    }

    #[tokio::test(start_paused = true)]
    async fn list_starts_again_when_a_token_is_refused_or_comes_twice() {
        let (first, refused) = (Ok(("a", Some("1"))), Err(CallErrorClass::Refused));
        let (listed, asked) = read(&[first, refused, first, first, first, Ok(("b", None))]).await;
        assert_eq!(listed.unwrap(), ["a", "b"], "nothing is left of the reading that ended early");
        assert_eq!(asked, tokens(&["", "1", "", "1", "", "1"]));
        let (listed, asked) = read(&[first, refused, first, refused, first, refused, first, refused]).await;
        assert!(listed.is_err());
        assert_eq!(asked.len(), 8, "three further readings");
    }

    #[tokio::test(start_paused = true)]
    async fn list_ends_when_its_first_page_or_the_bearer_is_refused() {
        assert_eq!(read(&[Err(CallErrorClass::Refused)]).await.1.len(), 1);
        assert_eq!(read(&[Ok(("a", Some("1"))), Err(CallErrorClass::AccessDenied)]).await.1.len(), 2);
    }
}
