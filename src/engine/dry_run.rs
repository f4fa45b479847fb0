//! The dry run: what the reconciles of a resource will do once every wait is over.
//!
//! The same functions as a reconcile, up to the plan. It has no store and makes no recorded value,
//! so it can neither write a status nor add or remove a member.

mod result;

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub use self::result::{DryRun, MemberCounts, PriorState};
use super::Engine;
use super::add::describe_member;
use super::channel_info::detect_elastic;
use super::io::Io;
use super::message;
use super::observe::{ensure_listed_since, observe_recent, refresh_state};
use super::outcome::Outcome;
use super::progress::Silent;
use super::protection::channel_roles;
use super::remove::{ROLES_KNOWN, due_removals, exempt_for, update_candidates};
use super::resource::Resource;
use super::session::Session;
use super::settings::Settings;
use super::stop::{Pause, Stop};
use super::store::Wake;
use crate::api::{ChannelMembershipStatus, Mode, Prune, Reason};
use crate::chime::port::Service;
use crate::chime::rate_limit::Priority;
use crate::membership::approval::approved_members;
use crate::membership::approval_state::pending_approval;
use crate::membership::arn::MemberArn;
use crate::membership::blocker::Blocker;
use crate::membership::declarers::Declarers;
use crate::membership::guard::MembershipCheck;
use crate::membership::member_set::NameSet;
use crate::membership::record::Record;
use crate::membership::removal::proposed_within_limits;
use crate::membership::situation::Waits;
use crate::membership::spec::ValidSpec;
use crate::membership::time::later;

/// How often a failing call is made in a row: a person waits for the result.
const MAX_ATTEMPTS: u32 = 5;

/// The most memberships that are described to learn which bearer added them, if the earlier
/// declarers are unknown.
const MAX_DESCRIPTIONS: usize = 100;

impl<S: Service> Engine<S> {
    /// Registers a resource as a declarer for as long as `session` lives. All resources are
    /// registered before the first dry run: otherwise the members that the others declare would be
    /// unknown. `wake` reconciles the resource again when another one of its channel changes.
    pub fn register(&self, resource: &Resource, session: &mut Session, wake: Wake) {
        // A dry run or a reconcile reports what is wrong with the spec.
        let _ = self.validate_and_register(resource, session, wake);
    }

    /// Has a session treat `before` as the declarers it saw last: a member that one of them no
    /// longer declares was dropped by an edit, not left behind.
    pub fn assume_declarers(&self, resource: &Resource, session: &mut Session, before: &Declarers) {
        session.notes.declarers = before.without(&resource.uid);
    }

    /// Returns what the reconciles of a resource will do once every wait is over. Nothing is
    /// written, and no member is added or removed.
    ///
    /// `session` is the one of [`Self::register`]. The cache, which the session keeps, shows the
    /// result as done afterwards: later dry runs on the same channel build on it. The session is
    /// good for nothing but further dry runs.
    ///
    /// A call that fails transiently is made again a few times, at the rate of all calls.
    pub async fn dry_run(&self, resource: &Resource, session: &mut Session, before: PriorState<'_>) -> DryRun {
        let never = CancellationToken::new();
        let spec = self.validate_and_register(resource, session, Arc::new(|| ()));
        let deleting = resource.is_deleting();
        if deleting && (!resource.has_finalizer || self.should_release(resource)) {
            return DryRun { target: spec.ok().map(|spec| spec.target.clone()), ..DryRun::default() };
        }
        let spec = match spec {
            Ok(spec) => spec,
            Err(invalid) => {
                return DryRun { invalid: Some((invalid.reason, invalid.message)), ..DryRun::default() };
            }
        };
        let mut run = DryRun { target: Some(spec.target.clone()), ..DryRun::default() };
        if resource.spec.as_ref().is_ok_and(|spec| spec.suspend) {
            return run;
        }
        let (mut io, mut outcome) = if deleting {
            self.begin_cleanup(resource, &spec, session, Silent, &never)
        } else {
            let own = Arc::clone(&spec.desired);
            self.begin(resource, spec, own, session, Silent, Priority::Edit, &never)
        };
        io.max_attempts = Some(MAX_ATTEMPTS);
        outcome.facts.waits = Waits::OVER;
        match before {
            PriorState::Known(declarers) => outcome.state.notes.declarers = declarers.without(&resource.uid),
            PriorState::Unknown => session.track_all(&io.entry, outcome.facts.spec.keeps_ownership()),
        }
        let end = look_ahead(&mut io, &mut outcome, before, &mut run).await;
        conclude(&io, &mut outcome, end, &mut run);
        session.roles = io.roles;
        session.notes = outcome.state.notes;
        run
    }
}

/// Returns the part of the status of a resource, reconciled at `now`, that tells later reconciles
/// what it declared.
pub fn reconciled_status(resource: &Resource, settings: &Settings, now: Timestamp) -> ChannelMembershipStatus {
    let mut status = ChannelMembershipStatus::default();
    let Ok(spec) = ValidSpec::parse(resource, settings, now) else { return status };
    status.observed_generation = Some(resource.generation);
    status.desired = u32::try_from(spec.desired.len()).ok();
    let mut record = Record::default();
    if spec.keeps_ownership() {
        record.owned.extend(spec.desired.names());
        record.owned.confirm(spec.desired.names(), now);
    }
    record.write(&mut status, Some(&resource.uid), now);
    status.sources = spec.sources;
    status
}

/// Looks ahead; what is known so far is in `run`, however it ends.
async fn look_ahead<S: Service>(
    io: &mut Io<'_, S, Silent>,
    outcome: &mut Outcome<'_>,
    before: PriorState<'_>,
    run: &mut DryRun,
) -> Result<(), Stop> {
    let unknown = matches!(before, PriorState::Unknown);
    let was_elastic = io.view().is_elastic();
    observe_recent(io, outcome).await?;
    list_sub_channels(io, outcome, was_elastic).await?;
    let (prune, keeps_ownership) = (io.spec.prune, io.spec.keeps_ownership());
    if (unknown || prune == Prune::Authoritative) && keeps_ownership && !io.view().is_complete() {
        // Every name is needed, and a listing that another resource asked for may not have kept
        // them all.
        list_again(io, outcome).await?;
    }
    count_members(io, outcome, run);
    if io.spec.mode == Mode::Observe {
        return Ok(());
    }
    run.at_most = unknown && prune != Prune::Never;
    if run.at_most {
        own_present_members(io, outcome);
    }
    plan_additions(io, outcome, run);
    let mut due = removals_due(io, outcome).await?;
    // The protected members are known only now, and an approval is for a plan without them.
    if outcome.accept_approval(&io.view(), io.now()) {
        plan_additions(io, outcome, run);
        due = removals_due(io, outcome).await?;
    }
    if run.at_most && outcome.facts.declarers.unknown().is_none() {
        // The plan that needs approval depends on the earlier declarers, too.
        due = outcome.plan.candidates.clone();
    }
    let bearers: Vec<MemberArn> = match before {
        PriorState::Known(declarers) => declarers.bearers().cloned().collect(),
        PriorState::Unknown => Vec::new(),
    };
    run.remove = plan_removals(io, outcome, &due, &bearers, run.at_most).await?;
    Ok(())
}

/// Plans additions. The added members count as present and owned from now on: removals are judged
/// after that.
fn plan_additions<S: Service>(io: &Io<'_, S, Silent>, outcome: &mut Outcome<'_>, run: &mut DryRun) {
    outcome.make_plan(&io.view(), io.now());
    io.entry.mark_present(outcome.plan.add.iter(), io.now());
    run.add.extend(outcome.plan.add.iter());
}

/// Returns the due removals; a blocker is noted in the outcome.
async fn removals_due<S: Service>(io: &mut Io<'_, S, Silent>, outcome: &mut Outcome<'_>) -> Result<NameSet, Stop> {
    match due_removals(io, outcome).await {
        Ok(due) => Ok(due),
        Err(Pause::Stop(stop)) => Err(stop),
        Err(Pause::Blocked(blocker)) => {
            outcome.blocker = Some(blocker);
            Ok(NameSet::default())
        }
        Err(Pause::NoneDue) => Ok(NameSet::default()),
    }
}

/// Returns the due members whose described memberships may be removed.
async fn plan_removals<S: Service>(
    io: &mut Io<'_, S, Silent>,
    outcome: &mut Outcome<'_>,
    due: &NameSet,
    before: &[MemberArn],
    at_most: bool,
) -> Result<NameSet, Stop> {
    if due.is_empty() {
        return Ok(NameSet::default());
    }
    let roles = channel_roles(io, outcome, ROLES_KNOWN).await?;
    let bearers: Vec<MemberArn> = outcome.facts.declarers.bearers().chain(before).cloned().collect();
    let Some(protected) = io.protected_members(&roles, &bearers) else {
        outcome.blocker = Some(Blocker::CreatorUnknown);
        return Ok(NameSet::default());
    };
    let approved = if at_most { Some(due.clone()) } else { approved_members(&io.spec, &outcome.state.record, '-') };
    let (view, now) = (io.view(), io.now());
    let situation = outcome.facts.situation(&view, now);
    let proposal = proposed_within_limits(&situation, &outcome.state, situation.declarers, due, approved.as_ref());
    if at_most && proposal.names().len() > MAX_DESCRIPTIONS {
        return Ok(proposal.names().clone());
    }
    let mut removed = Vec::new();
    for name in proposal.names().iter() {
        let found = describe_member(io, outcome, name).await?;
        let now = io.now();
        let (reason, owned) = match proposal.check(&protected, name, found.as_ref(), now) {
            MembershipCheck::Removable => {
                removed.push(name);
                continue;
            }
            MembershipCheck::Gone => {
                io.entry.mark_absent([name], now);
                outcome.release_ownership(name);
                continue;
            }
            MembershipCheck::Stays(reason) => (reason, true),
            MembershipCheck::NotMeant(reason) => (reason, false),
        };
        outcome.exempt(name, reason, later(now, exempt_for(reason)));
        if !owned {
            outcome.release_ownership(name);
        }
    }
    Ok(removed.into_iter().collect())
}

/// Lists the sub-channels of a channel that turns out to be elastic: a listing that shows no
/// members may be of such a channel.
async fn list_sub_channels<S: Service>(
    io: &mut Io<'_, S, Silent>,
    outcome: &mut Outcome<'_>,
    was_elastic: bool,
) -> Result<(), Stop> {
    if io.view().count() == 0 && !io.spec.desired.is_empty() {
        detect_elastic(io, outcome).await?;
    }
    if io.view().is_elastic() && io.spec.target.sub_channel.is_none() && !was_elastic {
        list_again(io, outcome).await?;
    }
    Ok(())
}

async fn list_again<S: Service>(io: &mut Io<'_, S, Silent>, outcome: &mut Outcome<'_>) -> Result<(), Stop> {
    let now = io.now();
    ensure_listed_since(io, outcome, now).await?;
    refresh_state(io, outcome).await
}

/// Treats every present member as declared before by this resource.
fn own_present_members<S: Service>(io: &Io<'_, S, Silent>, outcome: &mut Outcome<'_>) {
    let present = io.view().present();
    let owned = &mut outcome.state.record.owned;
    owned.extend(&present);
    owned.confirm(&present, io.now());
}

/// Counts the members, and names a conflict.
fn count_members<S: Service>(io: &Io<'_, S, Silent>, outcome: &mut Outcome<'_>, run: &mut DryRun) {
    outcome.clear_resolved_errors(&io.view());
    let summary = io.summary(outcome);
    run.counts = Some(MemberCounts {
        desired: summary.desired,
        present: summary.present,
        undeclared: summary.undeclared.as_ref().map_or(0, |undeclared| undeclared.count as usize),
        pages: io.entry.pages(),
    });
    let invalid = [
        (summary.spec.source_error.is_some(), Reason::SourceNotReady),
        (summary.older_owner.is_some(), Reason::OwnershipConflict),
    ];
    if let Some((_, reason)) = invalid.into_iter().find(|(holds, _)| *holds) {
        let message = message::outcome(reason, &summary, &outcome.facts.resource.name);
        run.invalid.get_or_insert((reason, message));
    }
}

/// Takes in how the dry run ended, and what is left.
fn conclude<S: Service>(io: &Io<'_, S, Silent>, outcome: &mut Outcome<'_>, end: Result<(), Stop>, run: &mut DryRun) {
    match end {
        Err(Stop::Refused(error)) => {
            run.next_step = Some(message::next_step(&io.spec.target, &error));
            run.error = Some(error);
        }
        Err(Stop::Invalid(reason, message)) => run.invalid = Some((reason, message)),
        // A dry run is not cancelled, and it writes nothing.
        Ok(()) | Err(Stop::Interrupted | Stop::Stale(_) | Stop::NotWritten(_)) => {}
    }
    if io.view().listing.is_none() {
        return;
    }
    if io.spec.mode == Mode::Enforce {
        record_removed(io, outcome, &run.remove);
        find_waiting(io, outcome, run);
    }
    let view = io.view();
    if run.at_most {
        // No member is known to have been declared.
        outcome.state.notes.exemptions.clear();
    }
    let undeclared = |name: &str| !outcome.facts.declarers.declares(io.spec.target.membership_type, name);
    let kept = outcome.state.notes.exemptions.iter().filter(|(name, _)| view.has(name) && undeclared(name));
    run.kept = kept.map(|(name, reason)| (name.into(), reason)).collect();
    outcome.clear_resolved_errors(&view);
    run.errors = io.summary(outcome).errors;
}

/// Marks planned removals as done in the cache and in the counts.
fn record_removed<S: Service>(io: &Io<'_, S, Silent>, outcome: &mut Outcome<'_>, removed: &NameSet) {
    let now = io.now();
    if !removed.is_empty() {
        io.entry.mark_absent(removed.iter(), now);
    }
    let state = &mut outcome.state;
    let fresh = removed.iter().filter(|name| !state.record.removing.contains(name)).count();
    state.record.count(fresh, now);
    state.record.remember(&mut state.notes.removals, true, now);
}

/// Finds what the remaining candidates wait for: approval, or something else.
fn find_waiting<S: Service>(io: &Io<'_, S, Silent>, outcome: &mut Outcome<'_>, run: &mut DryRun) {
    update_candidates(io, outcome);
    let (view, now) = (io.view(), io.now());
    let (plan, state) = (&outcome.plan, &outcome.state);
    if run.error.is_none() && approved_members(&io.spec, &state.record, '-').is_none() {
        let situation = outcome.facts.situation(&view, now);
        run.pending_approval = pending_approval(&situation, state, &plan.candidates, &plan.on_hold);
    }
    let needs_approval = run.pending_approval.as_ref().is_some_and(|plan| plan.removals > 0);
    if !needs_approval && !plan.candidates.is_empty() {
        let why = outcome.blocker.take().map(|blocker| blocker.to_string());
        let why = why.unwrap_or_else(|| "the approved plan is carried out first".to_owned());
        run.waiting = Some((std::mem::take(&mut outcome.plan.candidates), why));
    }
}
