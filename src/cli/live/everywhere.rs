//! In which channels is somebody, as the service shows it?

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Asked;
use crate::cli::Failure;
use crate::cli::person::{Live, Place};
use crate::cli::progress::Progress;
use crate::cli::resources::Known;
use crate::membership::arn::{ChannelArn, MemberArn};

/// What the service was asked.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct Looked {
    /// Where, when it was not AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    /// In whose name all channels of the person were listed.
    listed_by: Vec<String>,
    /// Channels that resources name, each of which was asked for the membership by itself.
    pub described: Vec<String>,
    /// What could not be found out.
    pub failures: Vec<String>,
}

/// Whom somebody means, in each app instance that resources, or bearers, are of.
pub(in crate::cli) fn members(user: &str, known: &[Known], service: Option<&Asked>) -> Result<Vec<MemberArn>, Failure> {
    if user.starts_with("arn:") {
        return Ok(vec![MemberArn::parse(user).map_err(Failure::of)?]);
    }
    let of_resources = known.iter().filter_map(|it| it.entry.channel()).map(|it| it.app_instance().to_owned());
    let of_bearers = service.into_iter().flat_map(Asked::app_instances).map(str::to_owned);
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

/// Asks the service for every channel that the person is in: the list of them all, and each channel that a resource names by itself, as it
/// is not documented whether the list shows HIDDEN memberships.
pub(in crate::cli) async fn look(
    service: &Asked,
    members: &[MemberArn],
    known: &[Known],
    places: &mut Vec<Place>,
) -> Looked {
    let mut looked = Looked { endpoint: service.endpoint.clone(), ..Looked::default() };
    let mut channels: BTreeMap<ChannelArn, usize> = BTreeMap::new();
    for channel in known.iter().filter_map(|it| it.entry.channel()) {
        *channels.entry(channel).or_default() += 1;
    }
    for member in members {
        let mut here: BTreeSet<ChannelArn> =
            channels.keys().filter(|channel| channel.app_instance() == member.app_instance()).cloned().collect();
        looked.described.extend(here.iter().map(|channel| channel.as_str().to_owned()));
        let mut listed = BTreeMap::new();
        match service.channels_of(member).await {
            Ok(found) => {
                looked.listed_by.extend(service.bearer(member.app_instance()).map(|it| it.as_str().to_owned()));
                listed.extend(found);
            }
            Err(why) => looked.failures.push(format!("the channels of {member} cannot be listed: {why}")),
        }
        here.extend(listed.keys().cloned());
        let (progress, all) = (Progress::new("asked about", "channels"), here.len());
        for (done, channel) in here.into_iter().enumerate() {
            progress.set(done, all);
            let mut live = service.look(&channel, member, true).await;
            if let (Some(of), Live::Out | Live::Unknown { .. }) = (listed.get(&channel), &live) {
                // What one call shows is not undone by another that does not.
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
