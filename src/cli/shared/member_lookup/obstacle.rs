//! The obstacles that keep a member in a channel or would add it again, and how to remove them.

use std::fmt;

use serde::Serialize;

use super::finding::{Finding, Origin};
use super::place::{Live, Place, Statement};
use crate::api::{KeepReason, Prune};

/// One obstacle to the removal of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "is")]
pub(in crate::cli) enum RemovalObstacle {
    /// A resource declares the member.
    Declared { resource: String, origin: Origin },
    /// No resource declares members of the channel.
    NoResource,
    /// No resource declares the member, and none ever did, according to the statuses.
    NeverDeclared,
    /// The resource that declared the member removes none.
    PruneNever { resource: String },
    /// Another caller added the member, and the resource removes only members that Rollcall added.
    InvitedByAnother { resource: String, invited_by: String },
    /// The member created the channel.
    Creator,
    /// The member is a moderator of the channel.
    Moderator,
    /// The member is a bearer of Rollcall.
    Bearer,
    /// A removal waits for approval.
    PendingApproval { resource: String, hash: String },
    /// The resource is suspended.
    Suspended { resource: String },
    /// The resource changes nothing.
    Observe { resource: String },
    /// The members of a resource cannot be read.
    Unreadable { resource: String, why: String },
    /// The service refused the removal.
    RemovalRefused { resource: String },
    /// The removal is under way.
    OnTheWay { resource: String },
}

impl fmt::Display for RemovalObstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declared { resource, origin } => {
                write!(f, "{resource} declares the member: delete it from {origin}")
            }
            Self::NoResource => {
                write!(f, "no resource declares members of this channel: remove the member in the service")
            }
            Self::NeverDeclared => write!(
                f,
                "no resource has declared the member, so none removes it: remove the member in the service, or declare it once in a resource with prune: Declared, wait for Ready, and delete it from the list again"
            ),
            Self::PruneNever { resource } => {
                write!(
                    f,
                    "{resource} removes no members (prune: Never): remove the member in the service, or set prune: Owned first"
                )
            }
            Self::InvitedByAnother { resource, invited_by } => write!(
                f,
                "{invited_by} added the member, and {resource} removes only members that Rollcall added (prune: Owned): remove the member in the service, or set prune: Declared"
            ),
            Self::Creator => {
                write!(
                    f,
                    "the member created the channel, and a creator is never removed: remove the member in the service"
                )
            }
            Self::Moderator => {
                write!(
                    f,
                    "the member is a moderator of the channel, and moderators are never removed: revoke that role in the service"
                )
            }
            Self::Bearer => {
                write!(f, "the member is a bearer of Rollcall: give the operator another bearer first")
            }
            Self::PendingApproval { resource, hash } => {
                write!(f, "the removal waits for approval ({hash}): rollcall approve {resource}")
            }
            Self::Suspended { resource } => write!(f, "{resource} is suspended: rollcall resume {resource}"),
            Self::Observe { resource } => write!(f, "{resource} changes nothing: remove mode: Observe"),
            Self::Unreadable { resource, why } => {
                write!(f, "the members of {resource} cannot be read, so no member is removed from the channel: {why}")
            }
            Self::RemovalRefused { resource } => {
                write!(f, "the service refused the removal: see the message of {resource}")
            }
            Self::OnTheWay { resource } => {
                write!(f, "{resource} is about to remove the member: check again in a minute")
            }
        }
    }
}

impl Place {
    /// Returns the obstacles to the removal of the member from this channel.
    pub(in crate::cli) fn obstacles(&self) -> Vec<RemovalObstacle> {
        let mut obstacles = Vec::new();
        for statement in self.resources.iter().filter(|statement| statement.declares()) {
            let resource = &statement.resource;
            let declared = statement.declared.iter().filter(|_| !statement.findings.contains(&Finding::Deleting));
            obstacles.extend(
                declared.map(|origin| RemovalObstacle::Declared { resource: resource.clone(), origin: origin.clone() }),
            );
        }
        let (there, invited_by) = match &self.live {
            Some(Live::In { invited_by, creator, moderator, .. }) => {
                obstacles.extend(creator.then_some(RemovalObstacle::Creator));
                obstacles.extend(moderator.then_some(RemovalObstacle::Moderator));
                (true, invited_by.as_deref())
            }
            Some(Live::Out) => (false, None),
            Some(Live::Unknown { .. }) | None => (true, None),
        };
        if !there {
            return obstacles;
        }
        if self.resources.is_empty() && self.silent == 0 {
            obstacles.push(RemovalObstacle::NoResource);
        }
        for statement in &self.resources {
            let resource = || statement.resource.clone();
            for finding in &statement.findings {
                obstacles.extend(match finding {
                    Finding::RemovalPendingApproval { hash } => {
                        Some(RemovalObstacle::PendingApproval { resource: resource(), hash: hash.clone() })
                    }
                    Finding::Suspended => Some(RemovalObstacle::Suspended { resource: resource() }),
                    Finding::Observe if statement.declared.is_empty() => {
                        Some(RemovalObstacle::Observe { resource: resource() })
                    }
                    Finding::Unreadable { why } => {
                        Some(RemovalObstacle::Unreadable { resource: resource(), why: why.clone() })
                    }
                    Finding::Removing
                    | Finding::RemovalApproved
                    | Finding::Claimed { prune: Prune::Declared | Prune::Authoritative } => {
                        Some(RemovalObstacle::OnTheWay { resource: resource() })
                    }
                    Finding::Claimed { prune: Prune::Owned } => match invited_by.filter(|by| !self.is_bearer(by)) {
                        Some(by) => {
                            Some(RemovalObstacle::InvitedByAnother { resource: resource(), invited_by: by.to_owned() })
                        }
                        None => Some(RemovalObstacle::OnTheWay { resource: resource() }),
                    },
                    Finding::Claimed { prune: Prune::Never } => {
                        Some(RemovalObstacle::PruneNever { resource: resource() })
                    }
                    Finding::Undeclared { reason } => self.kept_by(*reason, statement, invited_by),
                    _ => None,
                });
            }
        }
        // A removal is under way only if no obstacle stands against it.
        if obstacles.iter().any(|keep| !matches!(keep, RemovalObstacle::OnTheWay { .. })) {
            obstacles.retain(|keep| !matches!(keep, RemovalObstacle::OnTheWay { .. }));
        }
        let mut seen = Vec::new();
        obstacles.retain(|keep| {
            let new = !seen.contains(keep);
            seen.push(keep.clone());
            new
        });
        if obstacles.is_empty() {
            obstacles.push(RemovalObstacle::NeverDeclared);
        }
        obstacles
    }

    fn kept_by(&self, reason: KeepReason, statement: &Statement, invited_by: Option<&str>) -> Option<RemovalObstacle> {
        let resource = statement.resource.clone();
        match reason {
            KeepReason::Bearer => Some(RemovalObstacle::Bearer),
            KeepReason::Moderator => Some(RemovalObstacle::Moderator),
            KeepReason::Creator => Some(RemovalObstacle::Creator),
            KeepReason::Refused => Some(RemovalObstacle::RemovalRefused { resource }),
            KeepReason::Waiting | KeepReason::JoinedLately => Some(RemovalObstacle::OnTheWay { resource }),
            // `RemovalPendingApproval` covers this case, with the hash.
            KeepReason::AwaitingApproval => None,
            KeepReason::NotOwned | KeepReason::Bot => match (statement.prune, invited_by) {
                (Prune::Never, _) => Some(RemovalObstacle::PruneNever { resource }),
                (Prune::Owned, Some(by)) if !self.is_bearer(by) => {
                    Some(RemovalObstacle::InvitedByAnother { resource, invited_by: by.to_owned() })
                }
                _ => Some(RemovalObstacle::NeverDeclared),
            },
        }
    }

    /// Returns true if the ARN is the bearer of a resource of the channel.
    fn is_bearer(&self, arn: &str) -> bool {
        self.resources.iter().any(|statement| statement.bearer.as_deref() == Some(arn))
    }
}
