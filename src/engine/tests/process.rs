//! A process whose every effect on the world is numbered, so that a test can kill it at each of them.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// When, in the course of one effect, a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before it has an effect.
    Before,
    /// After it had its effect, before its answer is there.
    BeforeAnswer,
    /// When its answer is there: what follows from it in memory is lost, and there is no further effect.
    AfterAnswer,
}

impl Moment {
    pub const ALL: [Self; 3] = [Self::Before, Self::BeforeAnswer, Self::AfterAnswer];
}

/// What happens to a process in the course of one effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is killed.
    Dies(Moment),
    /// The call fails, before it had its effect or after it.
    Fails { after: bool },
}

#[derive(Default)]
struct Inner {
    effects: Mutex<Vec<String>>,
    /// Those that were had and not answered yet.
    unanswered: Mutex<BTreeMap<usize, String>>,
    fate: Option<(usize, Fate)>,
    latency: Duration,
    died: CancellationToken,
}

/// One process. Clones are of the same.
#[derive(Clone, Default)]
pub struct Process(Arc<Inner>);

impl Process {
    /// A process whose calls take some time, half of it before their effect and half after it.
    pub fn with_latency(latency: Duration) -> Self {
        Self(Arc::new(Inner { latency, ..Inner::default() }))
    }

    /// One that is killed at its nth effect, the first being 0.
    pub fn fated(latency: Duration, effect: usize, moment: Moment) -> Self {
        Self(Arc::new(Inner { fate: Some((effect, Fate::Dies(moment))), latency, ..Inner::default() }))
    }

    /// One whose nth effect fails as calls do over a network, before or after it has its effect.
    pub fn failing(latency: Duration, effect: usize, after: bool) -> Self {
        Self(Arc::new(Inner { fate: Some((effect, Fate::Fails { after })), latency, ..Inner::default() }))
    }

    /// What it did, in order.
    pub fn effects(&self) -> Vec<String> {
        self.0.effects.lock().unwrap().clone()
    }

    /// What it did and never heard of, as it died: whether that was done, nobody after it can know.
    pub fn unanswered(&self) -> Vec<String> {
        self.0.unanswered.lock().unwrap().values().cloned().collect()
    }

    /// From now on it has no effect, and gets no answer.
    pub fn kill(&self) {
        self.0.died.cancel();
    }

    pub fn is_dead(&self) -> bool {
        self.0.died.is_cancelled()
    }

    /// Waits until it is dead.
    pub async fn died(&self) {
        self.0.died.cancelled().await;
    }

    /// One call of the world around it; `failed` is its answer when the network fails.
    pub async fn effect<T>(&self, what: String, effect: impl Future<Output = T>, failed: impl FnOnce() -> T) -> T {
        self.alive().await;
        let number = {
            let mut effects = self.0.effects.lock().unwrap();
            effects.push(what.clone());
            effects.len() - 1
        };
        let fate = self.0.fate.and_then(|(fated, fate)| (fated == number).then_some(fate));
        self.pass_time().await;
        self.dies(fate, Moment::Before).await;
        let mut answer = match fate {
            Some(Fate::Fails { after: false }) => return failed(),
            _ => effect.await,
        };
        self.0.unanswered.lock().unwrap().insert(number, what);
        if fate == Some(Fate::Fails { after: true }) {
            answer = failed();
        }
        self.dies(fate, Moment::BeforeAnswer).await;
        self.pass_time().await;
        self.alive().await;
        if fate.is_none() {
            self.0.unanswered.lock().unwrap().remove(&number);
        }
        if fate == Some(Fate::Dies(Moment::AfterAnswer)) {
            self.0.unanswered.lock().unwrap().remove(&number);
            self.kill();
        }
        answer
    }

    /// Dies, if this is when it is to die, and does not go on if it is dead.
    async fn dies(&self, fate: Option<Fate>, now: Moment) {
        if fate == Some(Fate::Dies(now)) {
            self.kill();
        }
        self.alive().await;
    }

    async fn pass_time(&self) {
        if !self.0.latency.is_zero() {
            tokio::time::sleep(self.0.latency / 2).await;
        }
    }

    async fn alive(&self) {
        if self.is_dead() {
            pending::<()>().await;
        }
    }
}
