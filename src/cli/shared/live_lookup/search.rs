//! Searches all channels of a user in the service.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::service::LiveService;
use crate::cli::shared::failure::Failure;
use crate::cli::shared::member_lookup::{Live, Place};
use crate::cli::shared::progress::Progress;
use crate::cli::shared::resources::KnownResource;
use crate::membership::arn::{ChannelArn, MemberArn};

/// The questions to the service and its failures.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct LiveSearch {
    /// The address of the service, if it is not AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    /// The bearers that listed all channels of the user.
    listed_by: Vec<String>,
    /// The channels that resources name; the membership of each was read with its own call.
    pub described: Vec<String>,
    /// The calls that failed.
    pub failures: Vec<String>,
}

/// Returns the ARNs of a user, one for each app instance of a resource or a bearer.
pub(in crate::cli) fn resolve_members(
    user: &str,
    known: &[KnownResource],
    service: Option<&LiveService>,
) -> Result<Vec<MemberArn>, Failure> {
    if user.starts_with("arn:") {
        return Ok(vec![MemberArn::parse(user).map_err(Failure::of)?]);
    }
    let of_resources = known.iter().filter_map(|it| it.entry.channel()).map(|it| it.app_instance().to_owned());
    let of_bearers = service.into_iter().flat_map(LiveService::app_instances).map(str::to_owned);
    let instances: BTreeSet<String> = of_resources.chain(of_bearers).collect();
    if instances.is_empty() {
        return Err(Failure::of(format!(
            "no resource and no --chime-bearer says in which app instance {user} is: give the ARN"
        )));
    }
    instances
        .iter()
        .map(|instance| {
            let channel = ChannelArn::parse(&format!("{instance}/channel/any"))?;
            channel.member(user)
        })
        .collect::<Result<_, _>>()
        .map_err(Failure::of)
}

/// Asks the service for every channel of the user: the list of all channels, and one call for each
/// channel that a resource names. AWS does not document whether the list shows HIDDEN memberships.
pub(in crate::cli) async fn search_channels(
    service: &LiveService,
    members: &[MemberArn],
    known: &[KnownResource],
    places: &mut Vec<Place>,
) -> LiveSearch {
    let mut looked = LiveSearch { endpoint: service.endpoint.clone(), ..LiveSearch::default() };
    let mut channels: BTreeMap<ChannelArn, usize> = BTreeMap::new();
    for channel in known.iter().filter_map(|it| it.entry.channel()) {
        *channels.entry(channel).or_default() += 1;
    }
    for member in members {
        let mut here: BTreeSet<ChannelArn> =
            channels.keys().filter(|channel| channel.app_instance() == member.app_instance()).cloned().collect();
        looked.described.extend(here.iter().map(|channel| channel.as_str().to_owned()));
        let mut listed = BTreeMap::new();
        match service.list_channels_of(member).await {
            Ok(found) => {
                looked.listed_by.extend(service.bearer(member.app_instance()).map(|it| it.as_str().to_owned()));
                listed.extend(found);
            }
            Err(why) => looked.failures.push(format!("the channels of {member} cannot be listed: {why}")),
        }
        here.extend(listed.keys().cloned());
        let (progress, all) = (Progress::new("checked", "channels"), here.len());
        for (done, channel) in here.into_iter().enumerate() {
            progress.set(done, all);
            let mut live = service.describe_member(&channel, member, true).await;
            if let (Some(of), Live::Out | Live::Unknown { .. }) = (listed.get(&channel), &live) {
                // The list showed the membership; a single call that does not show it cannot
                // disprove that.
                let (invited_by, since) = (None, None);
                live = Live::In { membership_type: *of, invited_by, since, creator: false, moderator: false };
            }
            if let Live::Unknown { why } = &live {
                looked.failures.push(format!("{channel}: {why}"));
            }
            let arn = channel.as_str();
            match places.iter_mut().find(|place| place.channel == arn) {
                Some(place) => place.live = Some(live),
                None if live == Live::Out => {}
                None => places.push(Place {
                    channel: arn.to_owned(),
                    member: member.as_str().to_owned(),
                    live: Some(live),
                    resources: Vec::new(),
                    silent: channels.get(&channel).copied().unwrap_or_default(),
                }),
            }
        }
    }
    looked
}
