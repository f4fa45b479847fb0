//! What keeps somebody in a channel, or brings them back, and what is to be changed?

use std::fmt;

use serde::Serialize;

use super::{Finding, Live, Origin, Place};
use crate::api::{KeepReason, Prune};

/// One thing that keeps somebody in a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "is")]
pub(in crate::cli) enum Keep {
    /// A resource declares them.
    Declared { resource: String, origin: Origin },
    /// No resource is about the channel.
    NoResource,
    /// No resource declares them, and no resource ever did, as far as the statuses know.
    NeverDeclared,
    /// Whoever declared them removes nobody.
    PruneNever { resource: String },
    /// They were added by somebody else, and only whom Rollcall added is removed.
    InvitedByAnother { resource: String, invited_by: String },
    /// They made the channel.
    Creator,
    /// They are a moderator of it.
    Moderator,
    /// Calls are made in their name.
    Bearer,
    /// A removal waits for approval.
    PendingApproval { resource: String, hash: String },
    /// The resource is suspended.
    Suspended { resource: String },
    /// The resource changes nothing.
    Observe { resource: String },
    /// It is not known whom a resource declares.
    Unreadable { resource: String, why: String },
    /// The service refused the removal.
    RemovalRefused { resource: String },
    /// The removal is under way.
    OnTheWay { resource: String },
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declared { resource, origin } => {
                write!(f, "{resource} declares them: take them out of {origin}")
            }
            Self::NoResource => write!(f, "no resource is about this channel: remove them in the service"),
            Self::NeverDeclared => write!(
                f,
                "no resource has declared them, so none removes them: remove them in the service, or declare them once where \
                 prune: Declared stands, wait for Ready, and take them out again"
            ),
            Self::PruneNever { resource } => {
                write!(
                    f,
                    "{resource} removes nobody (prune: Never): remove them in the service, or write prune: Owned first"
                )
            }
            Self::InvitedByAnother { resource, invited_by } => write!(
                f,
                "{invited_by} added them, and {resource} removes only whom Rollcall added (prune: Owned): remove them in the \
                 service, or write prune: Declared"
            ),
            Self::Creator => {
                write!(f, "they made the channel, and who did is never removed: remove them in the service")
            }
            Self::Moderator => {
                write!(
                    f,
                    "they are a moderator of the channel, and those are never removed: take that role away in the service"
                )
            }
            Self::Bearer => {
                write!(f, "Rollcall calls the service in their name: give the operator another bearer first")
            }
            Self::PendingApproval { resource, hash } => {
                write!(f, "the removal waits for approval ({hash}): rollcall approve {resource}")
            }
            Self::Suspended { resource } => write!(f, "{resource} is suspended: rollcall resume {resource}"),
            Self::Observe { resource } => write!(f, "{resource} changes nothing: take out mode: Observe"),
            Self::Unreadable { resource, why } => {
                write!(f, "it is not known whom {resource} declares, so nobody is removed from the channel: {why}")
            }
            Self::RemovalRefused { resource } => {
                write!(f, "the service refused the removal: see the message of {resource}")
            }
            Self::OnTheWay { resource } => write!(f, "{resource} is about to remove them: look again in a minute"),
        }
    }
}

impl Place {
    /// What keeps the person in the channel, or would bring them back.
    pub(in crate::cli) fn keeps(&self) -> Vec<Keep> {
        let mut keeps = Vec::new();
        for standing in self.resources.iter().filter(|standing| standing.declares()) {
            let resource = &standing.resource;
            let declared = standing.declared.iter().filter(|_| !standing.findings.contains(&Finding::Deleting));
            keeps.extend(declared.map(|origin| Keep::Declared { resource: resource.clone(), origin: origin.clone() }));
        }
        let (there, invited_by) = match &self.live {
            Some(Live::In { invited_by, creator, moderator, .. }) => {
                keeps.extend(creator.then_some(Keep::Creator));
                keeps.extend(moderator.then_some(Keep::Moderator));
                (true, invited_by.as_deref())
            }
            Some(Live::Out) => (false, None),
            Some(Live::Unknown { .. }) | None => (true, None),
        };
        if !there {
            return keeps;
        }
        if self.resources.is_empty() && self.silent == 0 {
            keeps.push(Keep::NoResource);
        }
        for standing in &self.resources {
            let resource = || standing.resource.clone();
            for finding in &standing.findings {
                keeps.extend(match finding {
                    Finding::RemovalPendingApproval { hash } => {
                        Some(Keep::PendingApproval { resource: resource(), hash: hash.clone() })
                    }
                    Finding::Suspended => Some(Keep::Suspended { resource: resource() }),
                    Finding::Observe if standing.declared.is_empty() => Some(Keep::Observe { resource: resource() }),
                    Finding::Unreadable { why } => Some(Keep::Unreadable { resource: resource(), why: why.clone() }),
                    Finding::Removing | Finding::RemovalApproved => Some(Keep::OnTheWay { resource: resource() }),
                    Finding::Claimed { prune: Prune::Owned } => match invited_by.filter(|by| !self.is_bearer(by)) {
                        Some(by) => Some(Keep::InvitedByAnother { resource: resource(), invited_by: by.to_owned() }),
                        None => Some(Keep::OnTheWay { resource: resource() }),
                    },
                    Finding::Claimed { prune: Prune::Declared | Prune::Authoritative } => {
                        Some(Keep::OnTheWay { resource: resource() })
                    }
                    Finding::Claimed { prune: Prune::Never } => Some(Keep::PruneNever { resource: resource() }),
                    Finding::Undeclared { reason } => self.kept_by(*reason, standing, invited_by),
                    _ => None,
                });
            }
        }
        // It is only on its way where nothing stands in it.
        if keeps.iter().any(|keep| !matches!(keep, Keep::OnTheWay { .. })) {
            keeps.retain(|keep| !matches!(keep, Keep::OnTheWay { .. }));
        }
        let mut seen = Vec::new();
        keeps.retain(|keep| {
            let new = !seen.contains(keep);
            seen.push(keep.clone());
            new
        });
        if keeps.is_empty() {
            keeps.push(Keep::NeverDeclared);
        }
        keeps
    }

    fn kept_by(&self, reason: KeepReason, standing: &super::Standing, invited_by: Option<&str>) -> Option<Keep> {
        let resource = standing.resource.clone();
        match reason {
            KeepReason::Bearer => Some(Keep::Bearer),
            KeepReason::Moderator => Some(Keep::Moderator),
            KeepReason::Creator => Some(Keep::Creator),
            KeepReason::Refused => Some(Keep::RemovalRefused { resource }),
            KeepReason::Waiting | KeepReason::JoinedLately => Some(Keep::OnTheWay { resource }),
            // Said with its hash where the plan names them.
            KeepReason::AwaitingApproval => None,
            KeepReason::NotOwned | KeepReason::Bot => match (standing.prune, invited_by) {
                (Prune::Never, _) => Some(Keep::PruneNever { resource }),
                (Prune::Owned, Some(by)) if !self.is_bearer(by) => {
                    Some(Keep::InvitedByAnother { resource, invited_by: by.to_owned() })
                }
                _ => Some(Keep::NeverDeclared),
            },
        }
    }

    /// Whether a resource of the channel calls in this one's name.
    fn is_bearer(&self, arn: &str) -> bool {
        self.resources.iter().any(|standing| standing.bearer.as_deref() == Some(arn))
    }
}
