//! A process with numbered effects, so that a test can kill it at each of them.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The moment of an effect at which a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the effect.
    Before,
    /// After the effect, and before its answer arrives.
    BeforeAnswer,
    /// When the answer arrives: its consequences in memory are lost, and no further effect happens.
    AfterAnswer,
}

impl Moment {
    pub const ALL: [Self; 3] = [Self::Before, Self::BeforeAnswer, Self::AfterAnswer];
}

/// The fault of one effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The process is killed.
    Dies(Moment),
    /// The call fails, before or after its effect.
    Fails { after: bool },
}

#[derive(Default)]
struct Inner {
    effects: Mutex<Vec<String>>,
    /// Effects that happened and have no answer yet.
    unanswered: Mutex<BTreeMap<usize, String>>,
    fate: Option<(usize, Fate)>,
    latency: Duration,
    died: CancellationToken,
}

/// One process. All clones share its state.
#[derive(Clone, Default)]
pub struct Process(Arc<Inner>);

impl Process {
    /// A process whose calls take some time: half of it before their effect, half after.
    pub fn with_latency(latency: Duration) -> Self {
        Self(Arc::new(Inner { latency, ..Inner::default() }))
    }

    /// A process that is killed at an effect. The first effect has the number 0.
    pub fn killed_at(latency: Duration, effect: usize, moment: Moment) -> Self {
        Self(Arc::new(Inner { fate: Some((effect, Fate::Dies(moment))), latency, ..Inner::default() }))
    }

    /// A process with one call that fails as over a network, before or after its effect.
    pub fn failing_at(latency: Duration, effect: usize, after: bool) -> Self {
        Self(Arc::new(Inner { fate: Some((effect, Fate::Fails { after })), latency, ..Inner::default() }))
    }

    /// Returns all effects in order.
    pub fn effects(&self) -> Vec<String> {
        self.0.effects.lock().unwrap().clone()
    }

    /// Returns the effects whose answer never arrived. A later process cannot know their outcome.
    pub fn unanswered(&self) -> Vec<String> {
        self.0.unanswered.lock().unwrap().values().cloned().collect()
    }

    /// Kills the process: it has no further effect and gets no answer.
    pub fn kill(&self) {
        self.0.died.cancel();
    }

    pub fn is_dead(&self) -> bool {
        self.0.died.is_cancelled()
    }

    /// Waits until the process is dead.
    pub async fn died(&self) {
        self.0.died.cancelled().await;
    }

    /// Runs one call to the service or the cluster. `failed` makes the answer of a network failure.
    pub async fn run_effect<T>(&self, what: String, effect: impl Future<Output = T>, failed: impl FnOnce() -> T) -> T {
        self.halt_if_dead().await;
        let number = {
            let mut effects = self.0.effects.lock().unwrap();
            effects.push(what.clone());
            effects.len() - 1
        };
        let fate = self.0.fate.and_then(|(fated, fate)| (fated == number).then_some(fate));
        self.pass_time().await;
        self.die_if_due(fate, Moment::Before).await;
        let mut answer = match fate {
            Some(Fate::Fails { after: false }) => return failed(),
            _ => effect.await,
        };
        self.0.unanswered.lock().unwrap().insert(number, what);
        if fate == Some(Fate::Fails { after: true }) {
            answer = failed();
        }
        self.die_if_due(fate, Moment::BeforeAnswer).await;
        self.pass_time().await;
        self.halt_if_dead().await;
        if fate.is_none() {
            self.0.unanswered.lock().unwrap().remove(&number);
        }
        if fate == Some(Fate::Dies(Moment::AfterAnswer)) {
            self.0.unanswered.lock().unwrap().remove(&number);
            self.kill();
        }
        answer
    }

    /// Dies if the chosen moment has come, and stops for ever if the process is dead.
    async fn die_if_due(&self, fate: Option<Fate>, now: Moment) {
        if fate == Some(Fate::Dies(now)) {
            self.kill();
        }
        self.halt_if_dead().await;
    }

    async fn pass_time(&self) {
        if !self.0.latency.is_zero() {
            tokio::time::sleep(self.0.latency / 2).await;
        }
    }

    async fn halt_if_dead(&self) {
        if self.is_dead() {
            pending::<()>().await;
        }
    }
}
