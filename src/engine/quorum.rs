//! Who is declared, as the cluster has it now and no cache? And who of the channel is never removed?

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::intent::bearer;
use super::pass::{Halt, Pass};
use super::stock::declarer_of;
use super::store::{Store, StoreError};
use crate::api::Stays;
use crate::chime::port::{Operation, Service};
use crate::membership::arn::MemberArn;
use crate::membership::guard::Protected;
use crate::membership::roll::Roll;

/// When the cluster is asked again that could not be.
const REST: Duration = Duration::from_secs(5);

/// When the watch is expected to have shown what the cluster has.
const LAG: Duration = Duration::from_secs(1);

/// Who made the channel and who moderates it is asked again after this before anybody is removed.
const OFFICE_FRESH: Duration = Duration::from_secs(10);

/// And after this before a plan is judged.
pub(super) const OFFICE_KNOWN: Duration = Duration::from_hours(1);

/// A holder of an office stays for so long without being asked about again.
const OFFICE_HELD: Duration = Duration::from_hours(24);

/// What a read of the cluster showed.
pub(super) struct Quorum {
    /// Everybody who declares members of the channel.
    pub roll: Roll,
    /// In whose name its resources call, those that are being deleted too.
    pub bearers: Vec<MemberArn>,
    /// When the read began.
    pub read_at: Instant,
}

/// Who holds an office in a channel.
#[derive(Clone, Debug)]
pub(super) struct Office {
    creator: Option<String>,
    moderators: Vec<String>,
    asked_at: Instant,
}

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Everybody on the channel, by a read that no cache answers; only if this resource is in it as the pass knows it. `None`
    /// when the cluster could not be asked: then `waiting` says so.
    pub(super) async fn quorum(&mut self) -> Result<Option<Quorum>, Halt> {
        let channel = self.intent.target.channel.clone();
        let read_at = Instant::now();
        let snapshots = match self.report.resources_of(&channel).await {
            Ok(snapshots) => snapshots,
            Err(StoreError::Gone) => return Err(self.stale()),
            Err(error) => {
                tracing::warn!(%error, "failed to read who else declares members of the channel, so nobody is removed");
                self.wait_for(format!("who else declares members of the channel could not be read ({error})"), REST);
                return Ok(None);
            }
        };
        let me = snapshots.iter().find(|snapshot| snapshot.uid == self.declaration.uid);
        let Some(me) = me else { return Err(self.stale()) };
        let is_deleting = self.declaration.deleting_since.is_some();
        if me.generation != self.declaration.generation
            || me.deleting != is_deleting
            || me.version != *self.report.version()
        {
            return Err(self.stale());
        }
        self.memory.stale = 0;
        let (now, settings) = (self.engine.clock.now(), &self.engine.settings);
        let declarers = snapshots.iter().filter_map(|snapshot| declarer_of(snapshot, &channel, settings, now));
        let specs = snapshots.iter().filter_map(|snapshot| snapshot.spec.as_ref().ok());
        let bearers = specs.filter_map(|spec| bearer(&channel, spec.chime_bearer.as_deref(), settings).ok());
        Ok(Some(Quorum { roll: declarers.map(Arc::new).collect(), bearers: bearers.collect(), read_at }))
    }

    /// The cluster has the resource otherwise than this pass: the watch will show it.
    fn stale(&mut self) -> Halt {
        self.memory.stale = self.memory.stale.saturating_add(1);
        Halt::Stale(LAG * 2_u32.pow(self.memory.stale.min(7) - 1))
    }

    /// Who is never removed from this channel. `None` when that cannot be known.
    pub(super) async fn protected(&mut self, quorum: &Quorum) -> Result<Option<Protected>, Halt> {
        let office = self.office(OFFICE_FRESH).await?;
        Ok(self.protected_by(&office, &quorum.bearers))
    }

    /// Whoever is to be removed and holds an office stays: known without a look at each of them, so that no plan waits for an
    /// approval that would not remove them.
    pub(super) async fn spare_office_holders(&mut self) -> Result<(), Halt> {
        let office = self.office(OFFICE_KNOWN).await?;
        let bearers: Vec<MemberArn> = self.roll.bearers().cloned().collect();
        let Some(protected) = self.protected_by(&office, &bearers) else { return Ok(()) };
        let spared: Vec<(Box<str>, Stays)> = self
            .leaving
            .iter()
            .filter_map(|name| Some((name.into(), protected.reason(&self.intent.roster.arn(name))?)))
            .collect();
        for (name, reason) in spared {
            self.stays(&name, reason, OFFICE_HELD);
        }
        Ok(())
    }

    pub(super) fn protected_by(&mut self, office: &Office, bearers: &[MemberArn]) -> Option<Protected> {
        let settings = &self.engine.settings;
        let mut ours = vec![self.intent.target.bearer.clone()];
        ours.extend(settings.former_bearers.iter().cloned());
        let bearers = settings.bearers.iter().chain(bearers);
        let protected = Protected::new(ours, bearers, office.moderators.iter().cloned(), office.creator.as_deref());
        if protected.is_none() {
            let what = "the service does not say who made the channel, and whoever did is never removed".to_owned();
            self.wait_for(what, Duration::MAX);
        }
        protected
    }

    /// Who holds an office in the channel, asked at most so long ago. What a listing missed of a channel that turns out to be elastic is
    /// listed now.
    pub(super) async fn office(&mut self, age: Duration) -> Result<Office, Halt> {
        if let Some(office) = self.memory.office.as_ref().filter(|office| office.asked_at.elapsed() <= age) {
            return Ok(office.clone());
        }
        let asked_at = Instant::now();
        let was_elastic = self.cell.is_elastic();
        let info = self.describe_channel().await?.map_err(Halt::Refused)?;
        if info.elastic && !was_elastic {
            self.look(Instant::now()).await?;
        }
        let moderators = self.all_of(Operation::ListChannelModerators).await?.map_err(Halt::Refused)?;
        let office = Office { creator: info.created_by, moderators, asked_at };
        self.memory.office = Some(office.clone());
        Ok(office)
    }
}
