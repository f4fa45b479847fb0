//! The operator resolves answers that leave something open.

use rollcall::api::MembershipType;
use rollcall::simulator::{
    ApiOperation, ChannelSeed, Fault, FaultEffect, Quotas, RepeatedMember, SimulatorOptions, UndocumentedBehaviours,
};

use crate::stage::{Stage, channel, counts, ids, ready, seed, shared, spec, status, support, user, verdict};

const BATCH: ApiOperation = ApiOperation::BatchCreateChannelMembership;
const DESCRIBE: ApiOperation = ApiOperation::DescribeChannelMembership;

#[tokio::test]
async fn a_conflict_for_a_present_member_is_success() {
    let stage = Stage::open(seed(10)).await;
    stage.apply("team", support(&ids(9))).await;
    let _operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;
    // Another client adds a member after the listing, and an edit then declares the same member.
    stage.simulator.add_member(&channel("support"), "m0009").unwrap();

    stage.apply("team", support(&ids(10))).await;
    let told = stage.until_reason("team", "AllPresent").await;

    assert_eq!((counts(&told), status(&told).errors), ([10, 10, 0, 0], vec![]));
    let log = stage.simulator.membership_log();
    assert_eq!(log.len(), 10, "the batch had no effect: {log:?}");
    assert_eq!(stage.calls(DESCRIBE), 1, "one call looks for one member");
}

#[tokio::test]
async fn many_conflicts_are_resolved_by_one_listing() {
    let stage = Stage::open(seed(60)).await;
    stage.apply("team", support(&ids(10))).await;
    let _operator = stage.operator(&[]);
    stage.until_reason("team", "AllPresent").await;
    for id in &ids(60)[10..] {
        stage.simulator.add_member(&channel("support"), id).unwrap();
    }

    stage.apply("team", support(&ids(60))).await;
    let told = stage.until_reason("team", "AllPresent").await;

    assert_eq!(counts(&told), [60, 60, 0, 0]);
    assert_eq!((stage.calls(ApiOperation::ListChannelMemberships), stage.calls(DESCRIBE)), (1 + 2, 0));
}

#[tokio::test]
async fn a_member_of_the_other_type_is_a_type_mismatch_once() {
    let channel_seed = ChannelSeed::new("mixed").hidden(["m0001"]);
    let stage = Stage::open(seed(3).channel(channel_seed)).await;
    stage.apply("team", spec("mixed", &ids(3))).await;
    let _operator = stage.operator(&["--resync-interval=1s", "--min-resync-interval=1s"]);

    let told = stage.until_reason("team", "MembersRefused").await;

    assert_eq!((verdict(&told), counts(&told)), (["False", "False", "True"].map(str::to_owned), [3, 2, 0, 1]));
    let problem = &status(&told).errors[0];
    assert_eq!((problem.member_arn.as_str(), problem.error_code.as_str()), (user("m0001").as_str(), "TypeMismatch"));
    assert!(problem.error_message.contains("HIDDEN, not DEFAULT"), "{problem:?}");
    assert!(ready(&told).2.contains("TypeMismatch ×1"), "{told:?}");

    stage.until_listed(3).await;
    assert_eq!((stage.calls(BATCH), stage.calls(DESCRIBE)), (1, 1), "the service is asked once");
    assert_eq!(stage.get("team").await.metadata.resource_version, told.metadata.resource_version);
    assert!(stage.simulator.list_members(&channel("mixed"), MembershipType::Hidden).contains(&user("m0001")));
}

#[tokio::test]
async fn a_service_that_accepts_present_members_works_as_well() {
    let behaviours =
        UndocumentedBehaviours { existing_member: RepeatedMember::Success, ..UndocumentedBehaviours::default() };
    let options = SimulatorOptions { seed: seed(5), quotas: Quotas::Off, behaviours, ..SimulatorOptions::default() };
    let stage = Stage::with(shared().await, options).await;
    stage.simulator.inject_fault(Fault::new(FaultEffect::LoseAnswer).on(BATCH).times(1));
    stage.apply("team", support(&ids(5))).await;
    let _operator = stage.operator(&[]);

    let told = stage.until_reason("team", "AllPresent").await;

    assert_eq!((counts(&told), stage.count("support")), ([5, 5, 0, 0], 5));
}

#[tokio::test]
async fn a_member_in_neither_list_of_an_answer_is_looked_for() {
    for added in [true, false] {
        let stage = Stage::open(seed(3)).await;
        let omit = FaultEffect::OmitMembers { members: vec![user("m0001")], added };
        stage.simulator.inject_fault(Fault::new(omit).on(BATCH).times(1));
        stage.apply("team", support(&ids(3))).await;
        let _operator = stage.operator(&[]);

        stage.until_reason("team", "AllPresent").await;

        assert_eq!(stage.present("support"), ids(3));
        assert_eq!(stage.calls(DESCRIBE), 1);
        assert_eq!(stage.calls(BATCH), if added { 1 } else { 2 });
    }
}
