"""Checks a running simulator with boto3: each operation, each error, paging, and that every answer fits boto3's model.

Usage: check.py ENDPOINT_WITHOUT_QUOTAS ENDPOINT_WITH_QUOTAS
Prints one line a check; ends with 1 and the names of those that failed.
"""

import datetime
import json
import sys
import traceback
import urllib.request

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT, LIMITED = sys.argv[1:3]
CONFIG = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20)
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}

CHECKS = []
OPERATIONS_SEEN = set()
ERRORS_SEEN = set()


def check(function):
    CHECKS.append(function)
    return function


def fits(shape, value, where):
    """Everything in `value` is in `shape`, of its type; nothing required is missing."""
    kind = shape.type_name
    if kind == "structure":
        assert isinstance(value, dict), f"{where}: {value!r} is no structure"
        unknown = set(value) - set(shape.members)
        assert not unknown, f"{where}: {unknown} are not in the model"
        missing = set(shape.required_members) - set(value)
        assert not missing, f"{where}: {missing} are required"
        for key, inner in value.items():
            fits(shape.members[key], inner, f"{where}.{key}")
    elif kind == "list":
        assert isinstance(value, list), f"{where}: {value!r} is no list"
        for index, inner in enumerate(value):
            fits(shape.member, inner, f"{where}[{index}]")
    elif kind == "timestamp":
        assert isinstance(value, datetime.datetime), f"{where}: {value!r} is no time"
        age = datetime.datetime.now(datetime.timezone.utc) - value
        assert abs(age) < datetime.timedelta(hours=1), f"{where}: {value} is not about now"
    elif kind == "integer":
        assert isinstance(value, int), f"{where}: {value!r} is no integer"
    elif kind == "string":
        assert isinstance(value, str), f"{where}: {value!r} is no string"
        choices = getattr(shape, "enum", None)
        assert not choices or value in choices, f"{where}: {value!r} is none of {choices}"
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 1 << 30)
        assert low <= len(value) <= high, f"{where}: {value!r} has a length outside {low} to {high}"
    else:
        raise AssertionError(f"{where}: no check for {kind}")


def judge(parsed, model, http_response, **_):
    """Called by boto3 after each answer it has parsed."""
    status = parsed["ResponseMetadata"]["HTTPStatusCode"]
    headers = parsed["ResponseMetadata"]["HTTPHeaders"]
    assert parsed["ResponseMetadata"].get("RequestId"), "no request id"
    assert "date" in headers, "no date"
    if status >= 400:
        assert headers.get("x-amzn-errortype"), "no x-amzn-errortype"
        body = json.loads(http_response.content)
        assert set(body) == {"Code", "Message"} and body["Message"], body
        modelled = {shape.name: shape for shape in model.service_model.error_shapes}
        shape = modelled.get(headers["x-amzn-errortype"])
        if shape:
            assert shape.metadata["error"]["httpStatusCode"] == status, f"{shape.name} with {status}"
            fits(shape, body, shape.name)
        return
    OPERATIONS_SEEN.add(model.name)
    assert status == model.http.get("responseCode", 200), f"{model.name} answered {status}"
    if model.output_shape is None:
        assert not http_response.content, "a body where there should be none"
        return
    # What boto3 drops because it does not know it must not be there either.
    raw = json.loads(http_response.content)
    assert set(raw) <= set(model.output_shape.members), f"{set(raw)} in {model.name}"
    answer = {key: value for key, value in parsed.items() if key != "ResponseMetadata"}
    assert set(answer) == set(raw), f"{model.name}: {set(raw)} came, {set(answer)} understood"
    fits(model.output_shape, answer, model.name)


def client(service, endpoint=ENDPOINT, region="us-east-1", **options):
    made = boto3.client(
        service, endpoint_url=endpoint, region_name=region, **{**CREDENTIALS, "config": CONFIG, **options}
    )
    made.meta.events.register("after-call", judge)
    return made


CHIME = client("chime-sdk-messaging")
IDENTITY = client("chime-sdk-identity")


def admin_post(path, body, endpoint=ENDPOINT, method="POST"):
    request = urllib.request.Request(
        endpoint + "/_admin/" + path, json.dumps(body).encode(), {"content-type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


class World:
    """A new app instance with an admin, made through the identity service."""

    def __init__(self, endpoint=ENDPOINT):
        self.identity = IDENTITY if endpoint == ENDPOINT else client("chime-sdk-identity", endpoint)
        self.chime = CHIME if endpoint == ENDPOINT else client("chime-sdk-messaging", endpoint)
        self.arn = self.identity.create_app_instance(Name="test")["AppInstanceArn"]
        self.admin = self.user("admin")
        self.identity.create_app_instance_admin(AppInstanceArn=self.arn, AppInstanceAdminArn=self.admin)

    def user(self, user_id):
        made = self.identity.create_app_instance_user(AppInstanceArn=self.arn, AppInstanceUserId=user_id, Name=user_id)
        return made["AppInstanceUserArn"]

    def users(self, count, prefix="u"):
        arns = [f"{self.arn}/user/{prefix}{number:04}" for number in range(count)]
        admin_post("users", {"users": arns}, self.chime.meta.endpoint_url)
        return arns

    def channel(self, **options):
        options = {"Mode": "RESTRICTED", "Privacy": "PRIVATE", "ChimeBearer": self.admin, **options}
        return self.chime.create_channel(AppInstanceArn=self.arn, Name="test", **options)["ChannelArn"]

    def elastic(self, **options):
        configuration = {
            "MaximumSubChannels": 2, "TargetMembershipsPerSubChannel": 2, "MinimumMembershipPercentage": 40,
        }
        return self.channel(ElasticChannelConfiguration=configuration, **options)

    def call(self, operation, channel, bearer=None, **options):
        return getattr(self.chime, operation)(ChannelArn=channel, ChimeBearer=bearer or self.admin, **options)

    def batch(self, channel, members, bearer=None, **options):
        answer = self.call("batch_create_channel_membership", channel, bearer, MemberArns=members, **options)
        errors = {error["MemberArn"]: error["ErrorCode"] for error in answer.get("Errors", [])}
        return [member["Arn"] for member in answer["BatchChannelMemberships"]["Members"]], errors

    def members(self, channel, bearer=None, **options):
        pages = self.chime.get_paginator("list_channel_memberships") if CHIME.can_paginate("list_channel_memberships") else None
        assert pages is None, "boto3 pages by itself now: use it"
        found, sizes, token = [], [], {}
        while True:
            page = self.call("list_channel_memberships", channel, bearer, **options, **token)
            found += [membership["Member"]["Arn"] for membership in page["ChannelMemberships"]]
            sizes.append(len(page["ChannelMemberships"]))
            if "NextToken" not in page:
                return found, sizes
            token = {"NextToken": page["NextToken"]}


def refused(shape, status, function, *arguments, **options):
    try:
        function(*arguments, **options)
    except ClientError as error:
        found = (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])
        # boto3 takes the code from the body where there is one, as older clients do; the header has the shape.
        header = error.response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-errortype"]
        assert (header, found[1]) == (shape, status), f"{header} {found}, not {shape} {status}"
        ERRORS_SEEN.add(shape)
        exceptions = getattr(CHIME.exceptions, shape, None)
        assert exceptions is None or isinstance(error, exceptions), f"boto3 made a {type(error)} of {shape}"
        return
    raise AssertionError(f"not refused with {shape}")


# --- each operation ---------------------------------------------------------------------------------------------------


@check
def a_channel_is_made_described_listed_and_deleted():
    world = World()
    arn = world.channel(ChannelId="support", Metadata="{}", Privacy="PUBLIC")
    assert arn == f"{world.arn}/channel/support"
    described = world.call("describe_channel", arn)["Channel"]
    assert (described["Mode"], described["Privacy"], described["Metadata"]) == ("RESTRICTED", "PUBLIC", "{}")
    assert described["CreatedBy"]["Arn"] == world.admin
    private = world.channel()
    for privacy, expected in [({}, [arn]), ({"Privacy": "PUBLIC"}, [arn]), ({"Privacy": "PRIVATE"}, [private])]:
        listed = world.chime.list_channels(AppInstanceArn=world.arn, ChimeBearer=world.admin, **privacy)["Channels"]
        assert [channel["ChannelArn"] for channel in listed] == expected, listed
    world.call("delete_channel", arn)
    refused("ForbiddenException", 403, world.call, "describe_channel", arn)


@check
def the_creator_is_member_and_moderator():
    world = World()
    alice = world.user("alice")
    arn = world.channel(ChimeBearer=alice)
    assert world.members(arn)[0] == [alice]
    moderators = world.call("list_channel_moderators", arn)["ChannelModerators"]
    assert [moderator["Moderator"]["Arn"] for moderator in moderators] == [alice]


@check
def a_client_token_makes_one_channel():
    world = World()
    assert world.channel(ClientRequestToken="once") == world.channel(ClientRequestToken="once")
    world.channel(ChannelId="taken")
    refused("ConflictException", 409, world.channel, ChannelId="taken")


@check
def members_and_moderators_can_be_given_at_creation():
    world = World()
    alice, bob = world.user("alice"), world.user("bob")
    arn = world.channel(MemberArns=[alice], ModeratorArns=[bob])
    assert set(world.members(arn)[0]) == {alice, world.admin}
    refused("ForbiddenException", 403, world.channel, MemberArns=[f"{world.arn}/user/ghost"])


@check
def a_membership_is_made_described_and_deleted():
    world = World()
    arn, alice = world.channel(), world.user("alice@example.com")
    made = world.call("create_channel_membership", arn, MemberArn=alice, Type="DEFAULT")
    assert made["Member"] == {"Arn": alice, "Name": "alice@example.com"}, made
    described = world.call("describe_channel_membership", arn, MemberArn=alice)["ChannelMembership"]
    assert (described["Type"], described["InvitedBy"]["Arn"]) == ("DEFAULT", world.admin)
    refused("ConflictException", 409, world.call, "create_channel_membership", arn, MemberArn=alice, Type="DEFAULT")
    world.call("delete_channel_membership", arn, MemberArn=alice)
    refused("NotFoundException", 404, world.call, "describe_channel_membership", arn, MemberArn=alice)
    world.call("delete_channel_membership", arn, MemberArn=alice)


@check
def a_batch_reports_each_member():
    world = World()
    arn = world.channel()
    alice, bob, mallory = world.user("alice"), world.user("us-east-1:bob"), world.user("mallory")
    bot = world.identity.create_app_instance_bot(
        AppInstanceArn=world.arn,
        Configuration={"Lex": {"RespondsTo": "STANDARD_MESSAGES", "LexBotAliasArn": "arn:aws:lex:us-east-1:1:bot/x", "LocaleId": "en_US"}},
    )["AppInstanceBotArn"]
    world.call("create_channel_ban", arn, MemberArn=mallory)
    ghost, foreign = f"{world.arn}/user/ghost", World().admin
    added, errors = world.batch(arn, [alice, bob, bot, mallory, ghost, foreign, alice], Type="DEFAULT")
    assert added == [alice, bob, bot], added
    assert errors == {mallory: "Forbidden", ghost: "Forbidden", foreign: "Forbidden", alice: "Conflict"}, errors
    assert world.batch(arn, [alice]) == ([], {alice: "Conflict"})


@check
def hidden_members_are_listed_apart():
    world = World()
    arn, alice, bob = world.channel(), world.user("alice"), world.user("bob")
    world.batch(arn, [alice], Type="HIDDEN")
    world.batch(arn, [bob], Type="DEFAULT")
    assert world.members(arn, Type="HIDDEN")[0] == [alice]
    assert alice not in world.members(arn)[0] and bob in world.members(arn, Type="DEFAULT")[0]
    assert world.batch(arn, [alice], Type="DEFAULT") == ([], {alice: "Conflict"})
    refused("ForbiddenException", 403, world.members, arn, bob, Type="HIDDEN")
    refused("ForbiddenException", 403, world.batch, arn, [world.user("carol")], bob, Type="HIDDEN")


@check
def pages_hold_fifty_and_the_last_has_no_token():
    world = World()
    for count, sizes in [(49, [50]), (50, [50, 1]), (100, [50, 50, 1])]:
        arn = world.channel()
        users = world.users(count)
        world.batch(arn, users)
        found, seen = world.members(arn, MaxResults=50)
        assert (sorted(found), seen) == (sorted([*users, world.admin]), sizes), (count, seen)
        assert world.members(arn)[1] == sizes
    assert world.members(arn, MaxResults=34)[1] == [34, 34, 33]
    first = world.call("list_channel_memberships", arn, MaxResults=1)
    wrong_list = {"Type": "HIDDEN", "NextToken": first["NextToken"]}
    refused("BadRequestException", 400, world.call, "list_channel_memberships", arn, **wrong_list)
    refused("BadRequestException", 400, world.call, "list_channel_memberships", arn, NextToken="made up")


@check
def moderators_are_made_described_listed_and_deleted():
    world = World()
    arn, alice, bob = world.channel(), world.user("alice"), world.user("bob")
    made = world.call("create_channel_moderator", arn, ChannelModeratorArn=alice)
    assert made["ChannelModerator"]["Arn"] == alice
    described = world.call("describe_channel_moderator", arn, ChannelModeratorArn=alice)["ChannelModerator"]
    assert described["CreatedBy"]["Arn"] == world.admin
    refused("ConflictException", 409, world.call, "create_channel_moderator", arn, ChannelModeratorArn=alice)
    page = world.call("list_channel_moderators", arn, MaxResults=1)
    rest = world.call("list_channel_moderators", arn, MaxResults=1, NextToken=page["NextToken"])
    both = {item["Moderator"]["Arn"] for item in page["ChannelModerators"] + rest["ChannelModerators"]}
    assert both == {alice, world.admin} and "NextToken" not in rest
    assert world.batch(arn, [bob], alice) == ([bob], {})
    world.call("delete_channel_moderator", arn, ChannelModeratorArn=alice)
    refused("NotFoundException", 404, world.call, "describe_channel_moderator", arn, ChannelModeratorArn=alice)
    refused("ForbiddenException", 403, world.batch, arn, [alice], alice)


@check
def bans_are_made_described_listed_and_deleted():
    world = World()
    arn, mallory = world.channel(), world.user("mallory")
    world.batch(arn, [mallory])
    assert world.call("create_channel_ban", arn, MemberArn=mallory)["Member"]["Arn"] == mallory
    assert mallory not in world.members(arn)[0]
    assert world.call("describe_channel_ban", arn, MemberArn=mallory)["ChannelBan"]["Member"]["Arn"] == mallory
    assert [ban["Member"]["Arn"] for ban in world.call("list_channel_bans", arn)["ChannelBans"]] == [mallory]
    refused("ConflictException", 409, world.call, "create_channel_ban", arn, MemberArn=mallory)
    refused("BadRequestException", 400, world.call, "create_channel_ban", arn, MemberArn=world.admin)
    refused("ForbiddenException", 403, world.call, "create_channel_membership", arn, MemberArn=mallory, Type="DEFAULT")
    world.call("delete_channel_ban", arn, MemberArn=mallory)
    refused("NotFoundException", 404, world.call, "describe_channel_ban", arn, MemberArn=mallory)
    assert world.batch(arn, [mallory]) == ([mallory], {})


@check
def the_channels_of_a_user_are_listed_in_pages():
    world = World()
    alice, bob = world.user("alice"), world.user("bob")
    channels = [world.channel(ChannelId=f"c{number:02}", MemberArns=[alice]) for number in range(51)]
    listing = world.chime.list_channel_memberships_for_app_instance_user
    first = listing(ChimeBearer=alice)
    rest = listing(ChimeBearer=world.admin, AppInstanceUserArn=alice, NextToken=first["NextToken"])
    found = [item["ChannelSummary"]["ChannelArn"] for item in first["ChannelMemberships"] + rest["ChannelMemberships"]]
    assert found == channels and len(rest["ChannelMemberships"]) == 1
    assert first["ChannelMemberships"][0]["AppInstanceUserMembershipSummary"]["Type"] == "DEFAULT"
    refused("ForbiddenException", 403, listing, ChimeBearer=bob, AppInstanceUserArn=alice)


@check
def elastic_channels_have_sub_channels():
    world = World()
    arn = world.elastic()
    moderator, users = world.user("moderator"), world.users(5)
    assert world.call("describe_channel", arn)["Channel"]["ElasticChannelConfiguration"]["MaximumSubChannels"] == 2
    assert world.members(arn)[0] == [], "the creator of an elastic channel is no member"
    added, errors = world.batch(arn, users)
    assert (len(added), list(errors.values())) == (4, ["ResourceLimitExceeded"]), errors
    listed = world.call("list_sub_channels", arn)["SubChannels"]
    assert [item["MembershipCount"] for item in listed] == [2, 2]
    first, second = [item["SubChannelId"] for item in listed]
    assert len(world.members(arn, SubChannelId=first)[0]) == 2 and len(world.members(arn)[0]) == 4
    assert world.batch(arn, [users[4]], SubChannelId=first) == ([], {users[4]: "BadRequest"})
    described = world.call("describe_channel_membership", arn, MemberArn=users[0])["ChannelMembership"]
    assert described["SubChannelId"] == first
    world.call("create_channel_moderator", arn, ChannelModeratorArn=moderator)
    assert world.batch(arn, [moderator]) == ([], {moderator: "BadRequest"})
    assert world.batch(arn, [moderator], SubChannelId=first) == ([moderator], {})
    made = world.call("create_channel_membership", arn, MemberArn=moderator, Type="DEFAULT", SubChannelId=second)
    assert made["SubChannelId"] == second
    world.call("delete_channel_membership", arn, MemberArn=moderator, SubChannelId=first)
    assert moderator in world.members(arn, SubChannelId=second)[0]
    world.call("delete_channel_membership", arn, MemberArn=moderator)
    assert moderator not in world.members(arn)[0]
    refused("BadRequestException", 400, world.call, "delete_channel_membership", arn, MemberArn=users[0], SubChannelId=first)
    refused("ForbiddenException", 403, world.call, "list_sub_channels", arn, users[0])
    refused("ResourceLimitExceededException", 400, world.elastic)


@check
def promotion_in_an_elastic_channel_ends_the_membership():
    world = World()
    arn, alice = world.elastic(), world.user("alice")
    world.batch(arn, [alice])
    world.call("create_channel_moderator", arn, ChannelModeratorArn=alice)
    assert world.members(arn)[0] == []
    refused("BadRequestException", 400, world.batch, world.channel(), [alice], SubChannelId="x")
    refused("BadRequestException", 400, world.elastic, MemberArns=[alice])


@check
def a_deleted_user_is_nowhere():
    world = World()
    arn, alice = world.channel(), world.user("alice")
    world.batch(arn, [alice])
    world.identity.delete_app_instance_user(AppInstanceUserArn=alice)
    assert alice not in world.members(arn)[0]
    assert world.batch(arn, [alice]) == ([], {alice: "Forbidden"})
    refused("UnauthorizedClientException", 401, world.members, arn, alice)


@check
def an_admin_can_be_deposed():
    world = World()
    alice = world.user("alice")
    arn = world.channel(ChimeBearer=alice)
    world.identity.delete_app_instance_admin(AppInstanceArn=world.arn, AppInstanceAdminArn=world.admin)
    refused("ForbiddenException", 403, world.members, arn)


# --- who may do what --------------------------------------------------------------------------------------------------


@check
def roles_decide_who_adds_lists_and_removes():
    world = World()
    member, outsider, target = world.user("member"), world.user("outsider"), world.user("target")
    for mode in ["RESTRICTED", "UNRESTRICTED"]:
        for privacy in ["PUBLIC", "PRIVATE"]:
            arn = world.channel(Mode=mode, Privacy=privacy, MemberArns=[member])

            def may(bearer, expected, operation, **options):
                name = f"{operation} {options} in {mode} {privacy} channel as {bearer.rsplit('/')[-1]}"
                try:
                    world.call(operation, arn, bearer, **options)
                    allowed = True
                except CHIME.exceptions.ForbiddenException:
                    allowed = False
                assert allowed == expected, f"{name}: {allowed}"

            adding = {"MemberArn": target, "Type": "DEFAULT"}
            may(outsider, False, "create_channel_membership", **adding)
            may(member, mode == "UNRESTRICTED", "create_channel_membership", **adding)
            may(outsider, privacy == "PUBLIC", "list_channel_memberships")
            may(outsider, privacy == "PUBLIC", "describe_channel")
            may(member, True, "list_channel_memberships")
            may(member, False, "delete_channel_membership", MemberArn=world.admin)
            may(member, False, "list_channel_moderators")
            may(member, False, "list_channel_bans")
            may(member, False, "create_channel_ban", MemberArn=outsider)
            may(member, False, "create_channel_moderator", ChannelModeratorArn=member)
            may(member, False, "delete_channel")
            joins = mode == "UNRESTRICTED" and privacy == "PUBLIC"
            may(outsider, joins, "create_channel_membership", MemberArn=outsider, Type="DEFAULT")
            may(member, True, "delete_channel_membership", MemberArn=member)


@check
def bearers_must_be_known_and_of_the_same_app_instance():
    world = World()
    arn = world.channel()
    refused("UnauthorizedClientException", 401, world.members, arn, f"{world.arn}/user/ghost")
    refused("UnauthorizedClientException", 401, world.members, arn, "nonsense")
    refused("ForbiddenException", 403, world.members, arn, World().admin)


# --- each error -------------------------------------------------------------------------------------------------------


@check
def malformed_calls_are_bad_requests():
    world = World()
    arn, alice = world.channel(), world.user("alice")
    lax = client("chime-sdk-messaging", config=CONFIG.merge(Config(parameter_validation=False)))
    bearer = {"ChannelArn": arn, "ChimeBearer": world.admin}
    refused("BadRequestException", 400, lax.batch_create_channel_membership, MemberArns=[], **bearer)
    refused("BadRequestException", 400, lax.batch_create_channel_membership, MemberArns=[alice] * 101, **bearer)
    refused("BadRequestException", 400, lax.batch_create_channel_membership, MemberArns=["nonsense"], **bearer)
    refused("BadRequestException", 400, lax.batch_create_channel_membership, MemberArns=[alice], Type="ODD", **bearer)
    refused("BadRequestException", 400, lax.create_channel_membership, MemberArn=alice, **bearer)
    for size in [0, 51, -1]:
        refused("BadRequestException", 400, lax.list_channel_memberships, MaxResults=size, **bearer)
    refused("BadRequestException", 400, lax.list_channel_memberships, ChannelArn=arn)
    refused("BadRequestException", 400, world.members, "nonsense")


@check
def a_vanished_channel_is_forbidden_to_read_and_not_found_to_add_to():
    world = World()
    arn, alice = f"{world.arn}/channel/gone", world.user("alice")
    for operation, options in [
        ("list_channel_memberships", {}), ("describe_channel", {}), ("delete_channel", {}),
        ("delete_channel_membership", {"MemberArn": alice}),
    ]:
        refused("ForbiddenException", 403, world.call, operation, arn, **options)
    refused("NotFoundException", 404, world.batch, arn, [alice])
    refused("NotFoundException", 404, world.call, "create_channel_membership", arn, MemberArn=alice, Type="DEFAULT")


@check
def injected_errors_are_those_of_the_model():
    world = World()
    arn = world.channel()
    for status, shape in [
        (400, "BadRequestException"), (401, "UnauthorizedClientException"), (403, "ForbiddenException"),
        (404, "NotFoundException"), (409, "ConflictException"), (429, "ThrottledClientException"),
        (500, "ServiceFailureException"), (503, "ServiceUnavailableException"),
    ]:
        effect = {"kind": "refuse", "status": status}
        admin_post("faults", {"channel": arn, "times": 1, "effect": effect})
        refused(shape, status, world.members, arn)
    effect = {"kind": "refuse", "status": 403, "code": "AccessDeniedException", "message": "not authorized"}
    admin_post("faults", {"channel": arn, "times": 1, "effect": effect})
    refused("AccessDeniedException", 403, world.members, arn)
    assert world.members(arn)[0] == [world.admin]


@check
def every_member_error_code_of_the_model_can_be_injected():
    world = World()
    arn, alice = world.channel(), world.user("alice")
    codes = CHIME.meta.service_model.shape_for("ErrorCode").enum
    for code in codes:
        effect = {"kind": "refuseMembers", "members": [alice], "code": code, "message": "refused on purpose"}
        admin_post("faults", {"channel": arn, "times": 1, "effect": effect})
        assert world.batch(arn, [alice]) == ([], {alice: code})


@check
def unsigned_calls_are_refused():
    world = World()
    unsigned = client("chime-sdk-messaging", config=CONFIG.merge(Config(signature_version=UNSIGNED)))
    bearer = {"ChannelArn": world.channel(), "ChimeBearer": world.admin}
    refused("MissingAuthenticationTokenException", 403, unsigned.list_channel_memberships, **bearer)


@check
def a_second_batch_within_the_second_is_throttled():
    world = World(LIMITED)
    arn, alice = world.channel(), world.user("alice")
    # Faster than one a second, whatever the machine: the third of three at once cannot fit.
    outcomes = []
    for _ in range(20):
        try:
            world.batch(arn, [alice])
            outcomes.append(200)
        except world.chime.exceptions.ThrottledClientException:
            outcomes.append(429)
            break
    assert outcomes[0] == 200 and outcomes[-1] == 429, outcomes
    ERRORS_SEEN.add("ThrottledClientException")


@check
def every_membership_operation_and_error_was_seen():
    model = CHIME.meta.service_model
    played = {
        name for name in model.operation_names
        if any(word in name for word in ["Membership", "Moderator", "Ban", "SubChannel"])
        or name in {"CreateChannel", "DescribeChannel", "ListChannels", "DeleteChannel"}
    }
    left_out = {
        "DescribeChannelMembershipForAppInstanceUser",
        "GetChannelMembershipPreferences",
        "PutChannelMembershipPreferences",
    }
    assert played - OPERATIONS_SEEN == left_out, played - OPERATIONS_SEEN
    errors = {shape.name for operation in OPERATIONS_SEEN & set(model.operation_names) for shape in model.operation_model(operation).error_shapes}
    assert errors <= ERRORS_SEEN, errors - ERRORS_SEEN


def main():
    failed = []
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok      {name}")
        except Exception:
            failed.append(name)
            print(f"FAILED  {name}")
            traceback.print_exc()
    for name in sorted(OPERATIONS_SEEN):
        print(f"ok      {name} fits the model")
    for name in sorted(ERRORS_SEEN):
        print(f"ok      {name} was seen")
    if failed:
        sys.exit("failed: " + "; ".join(failed))


main()
