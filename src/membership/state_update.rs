//! The state after an observation: drift, conflicts and ownership are brought up to the channel as
//! it is known now.

use jiff::Timestamp;

use super::confirmation::release_absent_members;
use super::conflicts::resolve_type_conflicts;
use super::declarers::Declarers;
use super::drift::DriftResponse;
use super::error_code::{CONTESTED, LEFT};
use super::notes::Notes;
use super::orphans::declared_by_others;
use super::situation::{Situation, State};
use super::time::later;
use crate::api::Mode;

/// Brings record and notes up to an observation. Also returns the other declarers that ownership
/// was computed against, unless one of them has unknown members: undeclared members cannot be told
/// apart then.
pub fn take_stock(now: &Situation<'_>, departed: &[Box<str>], mut state: State) -> (State, Option<Declarers>) {
    state.notes.exemptions.expire(now.now);
    record_out_of_band_removals(now, departed, &mut state.notes);
    resolve_type_conflicts(now, &mut state.notes);
    release_absent_members(now, &mut state);
    if now.declarers.unknown().is_some() {
        return (state, None);
    }
    state.record.declared_elsewhere = declared_by_others(now, &state, now.declarers).names;
    (state, Some(now.declarers.without(now.uid)))
}

/// Sets an error for each declared member that left, or was removed by another program, and that is
/// not added at once.
fn record_out_of_band_removals(now: &Situation<'_>, departed: &[Box<str>], notes: &mut Notes) {
    if now.spec.mode == Mode::Observe {
        return;
    }
    for name in departed {
        if now.view.has(name) || !now.spec.desired.names().contains(name) {
            continue;
        }
        let left = "was in the channel and left, or was removed by another program";
        let (code, message, next) = match notes.drift.record_departure(name, now.spec.on_leave) {
            DriftResponse::Readd => continue,
            DriftResponse::ReaddAfter(rest) => {
                (LEFT, format!("{left}, more than once: is added again later"), later(now.now, rest))
            }
            DriftResponse::Report => (LEFT, format!("{left}: stays out, as onLeave: Report asks"), Timestamp::MAX),
            DriftResponse::Contested => {
                let until = "is not added any more until the spec changes or a reconcile is requested";
                (CONTESTED, format!("{left} again and again: {until}"), Timestamp::MAX)
            }
        };
        notes.errors.set_error(name, code, &message, now.now, next);
    }
}
