"""Checks a running simulator with boto3: operations, errors, pages and the model of each response.

Usage: check.py ENDPOINT_WITHOUT_QUOTAS ENDPOINT_WITH_QUOTAS
Prints one line for each check. Exits with 1 and the names of the failed checks if a check fails.
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
CHECKED_OPERATIONS = set()
CHECKED_ERRORS = set()


def check(function):
    CHECKS.append(function)
    return function


def check_shape(shape, value, where):
    """Checks the fields of `value` against `shape`, and that no required field is missing."""
    kind = shape.type_name
    if kind == "structure":
        assert isinstance(value, dict), f"{where}: {value!r} is not a structure"
        unknown = set(value) - set(shape.members)
        assert not unknown, f"{where}: {unknown} are not in the model"
        missing = set(shape.required_members) - set(value)
        assert not missing, f"{where}: {missing} are required"
        for key, inner in value.items():
            check_shape(shape.members[key], inner, f"{where}.{key}")
    elif kind == "list":
        assert isinstance(value, list), f"{where}: {value!r} is not a list"
        for index, inner in enumerate(value):
            check_shape(shape.member, inner, f"{where}[{index}]")
    elif kind == "timestamp":
        assert isinstance(value, datetime.datetime), f"{where}: {value!r} is not a time"
        age = datetime.datetime.now(datetime.timezone.utc) - value
        assert abs(age) < datetime.timedelta(hours=1), f"{where}: {value} is not near the current time"
    elif kind == "integer":
        assert isinstance(value, int), f"{where}: {value!r} is not an integer"
    elif kind == "string":
        assert isinstance(value, str), f"{where}: {value!r} is not a string"
        choices = getattr(shape, "enum", None)
        assert not choices or value in choices, f"{where}: {value!r} is not one of {choices}"
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 1 << 30)
        assert low <= len(value) <= high, f"{where}: {value!r} has a length outside {low} to {high}"
    else:
        raise AssertionError(f"{where}: no check for {kind}")


def check_response(parsed, model, http_response, **_):
    """Checks a response. boto3 calls this after it has parsed the response."""
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
            check_shape(shape, body, shape.name)
        return
    CHECKED_OPERATIONS.add(model.name)
    assert status == model.http.get("responseCode", 200), f"{model.name} answered {status}"
    if model.output_shape is None:
        assert not http_response.content, "a body where the model has none"
        return
    # boto3 drops unknown fields. The response must not have any.
    raw = json.loads(http_response.content)
    assert set(raw) <= set(model.output_shape.members), f"{set(raw)} in {model.name}"
    answer = {key: value for key, value in parsed.items() if key != "ResponseMetadata"}
    assert set(answer) == set(raw), f"{model.name}: {set(raw)} received, {set(answer)} parsed"
    check_shape(model.output_shape, answer, model.name)


def client(service, endpoint=ENDPOINT, region="us-east-1", **options):
    created = boto3.client(
        service, endpoint_url=endpoint, region_name=region, **{**CREDENTIALS, "config": CONFIG, **options}
    )
    created.meta.events.register("after-call", check_response)
    return created


CHIME = client("chime-sdk-messaging")
IDENTITY = client("chime-sdk-identity")


def admin_post(path, body, endpoint=ENDPOINT, method="POST"):
    request = urllib.request.Request(
        endpoint + "/_admin/" + path, json.dumps(body).encode(), {"content-type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


class AppInstance:
    """A new app instance with an admin, created through the identity service."""

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
        assert pages is None, "boto3 has a paginator now: use it"
        found, sizes, token = [], [], {}
        while True:
            page = self.call("list_channel_memberships", channel, bearer, **options, **token)
            found += [membership["Member"]["Arn"] for membership in page["ChannelMemberships"]]
            sizes.append(len(page["ChannelMemberships"]))
            if "NextToken" not in page:
                return found, sizes
            token = {"NextToken": page["NextToken"]}


def expect_error(shape, status, function, *arguments, **options):
    try:
        function(*arguments, **options)
    except ClientError as error:
        found = (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])
        # boto3 takes the code from the body if it has one. The header has the shape.
        header = error.response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-errortype"]
        assert (header, found[1]) == (shape, status), f"{header} {found}, not {shape} {status}"
        CHECKED_ERRORS.add(shape)
        exceptions = getattr(CHIME.exceptions, shape, None)
        assert exceptions is None or isinstance(error, exceptions), f"boto3 made a {type(error)} of {shape}"
        return
    raise AssertionError(f"not refused with {shape}")


# --- operations -----------------------------------------------------------------------------------


@check
def channel_is_created_described_listed_and_deleted():
    app = AppInstance()
    arn = app.channel(ChannelId="support", Metadata="{}", Privacy="PUBLIC")
    assert arn == f"{app.arn}/channel/support"
    described = app.call("describe_channel", arn)["Channel"]
    assert (described["Mode"], described["Privacy"], described["Metadata"]) == ("RESTRICTED", "PUBLIC", "{}")
    assert described["CreatedBy"]["Arn"] == app.admin
    private = app.channel()
    for privacy, expected in [({}, [arn]), ({"Privacy": "PUBLIC"}, [arn]), ({"Privacy": "PRIVATE"}, [private])]:
        listed = app.chime.list_channels(AppInstanceArn=app.arn, ChimeBearer=app.admin, **privacy)["Channels"]
        assert [channel["ChannelArn"] for channel in listed] == expected, listed
    app.call("delete_channel", arn)
    expect_error("ForbiddenException", 403, app.call, "describe_channel", arn)


@check
def creator_is_member_and_moderator():
    app = AppInstance()
    alice = app.user("alice")
    arn = app.channel(ChimeBearer=alice)
    assert app.members(arn)[0] == [alice]
    moderators = app.call("list_channel_moderators", arn)["ChannelModerators"]
    assert [moderator["Moderator"]["Arn"] for moderator in moderators] == [alice]


@check
def client_token_creates_one_channel():
    app = AppInstance()
    assert app.channel(ClientRequestToken="once") == app.channel(ClientRequestToken="once")
    app.channel(ChannelId="taken")
    expect_error("ConflictException", 409, app.channel, ChannelId="taken")


@check
def channel_is_created_with_members_and_moderators():
    app = AppInstance()
    alice, bob = app.user("alice"), app.user("bob")
    arn = app.channel(MemberArns=[alice], ModeratorArns=[bob])
    assert set(app.members(arn)[0]) == {alice, app.admin}
    expect_error("ForbiddenException", 403, app.channel, MemberArns=[f"{app.arn}/user/ghost"])


@check
def membership_is_created_described_and_deleted():
    app = AppInstance()
    arn, alice = app.channel(), app.user("alice@example.com")
    made = app.call("create_channel_membership", arn, MemberArn=alice, Type="DEFAULT")
    assert made["Member"] == {"Arn": alice, "Name": "alice@example.com"}, made
    described = app.call("describe_channel_membership", arn, MemberArn=alice)["ChannelMembership"]
    assert (described["Type"], described["InvitedBy"]["Arn"]) == ("DEFAULT", app.admin)
    expect_error("ConflictException", 409, app.call, "create_channel_membership", arn, MemberArn=alice, Type="DEFAULT")
    app.call("delete_channel_membership", arn, MemberArn=alice)
    expect_error("NotFoundException", 404, app.call, "describe_channel_membership", arn, MemberArn=alice)
    app.call("delete_channel_membership", arn, MemberArn=alice)


@check
def batch_reports_each_member():
    app = AppInstance()
    arn = app.channel()
    alice, bob, mallory = app.user("alice"), app.user("us-east-1:bob"), app.user("mallory")
    bot = app.identity.create_app_instance_bot(
        AppInstanceArn=app.arn,
        Configuration={"Lex": {"RespondsTo": "STANDARD_MESSAGES", "LexBotAliasArn": "arn:aws:lex:us-east-1:1:bot/x", "LocaleId": "en_US"}},
    )["AppInstanceBotArn"]
    app.call("create_channel_ban", arn, MemberArn=mallory)
    ghost, foreign = f"{app.arn}/user/ghost", AppInstance().admin
    added, errors = app.batch(arn, [alice, bob, bot, mallory, ghost, foreign, alice], Type="DEFAULT")
    assert added == [alice, bob, bot], added
    assert errors == {mallory: "Forbidden", ghost: "Forbidden", foreign: "Forbidden", alice: "Conflict"}, errors
    assert app.batch(arn, [alice]) == ([], {alice: "Conflict"})


@check
def hidden_members_are_listed_apart():
    app = AppInstance()
    arn, alice, bob = app.channel(), app.user("alice"), app.user("bob")
    app.batch(arn, [alice], Type="HIDDEN")
    app.batch(arn, [bob], Type="DEFAULT")
    assert app.members(arn, Type="HIDDEN")[0] == [alice]
    assert alice not in app.members(arn)[0] and bob in app.members(arn, Type="DEFAULT")[0]
    assert app.batch(arn, [alice], Type="DEFAULT") == ([], {alice: "Conflict"})
    expect_error("ForbiddenException", 403, app.members, arn, bob, Type="HIDDEN")
    expect_error("ForbiddenException", 403, app.batch, arn, [app.user("carol")], bob, Type="HIDDEN")


@check
def page_has_fifty_members_and_the_last_page_no_token():
    app = AppInstance()
    for count, sizes in [(49, [50]), (50, [50, 1]), (100, [50, 50, 1])]:
        arn = app.channel()
        users = app.users(count)
        app.batch(arn, users)
        found, seen = app.members(arn, MaxResults=50)
        assert (sorted(found), seen) == (sorted([*users, app.admin]), sizes), (count, seen)
        assert app.members(arn)[1] == sizes
    assert app.members(arn, MaxResults=34)[1] == [34, 34, 33]
    first = app.call("list_channel_memberships", arn, MaxResults=1)
    wrong_list = {"Type": "HIDDEN", "NextToken": first["NextToken"]}
    expect_error("BadRequestException", 400, app.call, "list_channel_memberships", arn, **wrong_list)
    expect_error("BadRequestException", 400, app.call, "list_channel_memberships", arn, NextToken="made up")


@check
def moderator_is_created_described_listed_and_deleted():
    app = AppInstance()
    arn, alice, bob = app.channel(), app.user("alice"), app.user("bob")
    made = app.call("create_channel_moderator", arn, ChannelModeratorArn=alice)
    assert made["ChannelModerator"]["Arn"] == alice
    described = app.call("describe_channel_moderator", arn, ChannelModeratorArn=alice)["ChannelModerator"]
    assert described["CreatedBy"]["Arn"] == app.admin
    expect_error("ConflictException", 409, app.call, "create_channel_moderator", arn, ChannelModeratorArn=alice)
    page = app.call("list_channel_moderators", arn, MaxResults=1)
    rest = app.call("list_channel_moderators", arn, MaxResults=1, NextToken=page["NextToken"])
    both = {item["Moderator"]["Arn"] for item in page["ChannelModerators"] + rest["ChannelModerators"]}
    assert both == {alice, app.admin} and "NextToken" not in rest
    assert app.batch(arn, [bob], alice) == ([bob], {})
    app.call("delete_channel_moderator", arn, ChannelModeratorArn=alice)
    expect_error("NotFoundException", 404, app.call, "describe_channel_moderator", arn, ChannelModeratorArn=alice)
    expect_error("ForbiddenException", 403, app.batch, arn, [alice], alice)


@check
def ban_is_created_described_listed_and_deleted():
    app = AppInstance()
    arn, mallory = app.channel(), app.user("mallory")
    app.batch(arn, [mallory])
    assert app.call("create_channel_ban", arn, MemberArn=mallory)["Member"]["Arn"] == mallory
    assert mallory not in app.members(arn)[0]
    assert app.call("describe_channel_ban", arn, MemberArn=mallory)["ChannelBan"]["Member"]["Arn"] == mallory
    assert [ban["Member"]["Arn"] for ban in app.call("list_channel_bans", arn)["ChannelBans"]] == [mallory]
    expect_error("ConflictException", 409, app.call, "create_channel_ban", arn, MemberArn=mallory)
    expect_error("BadRequestException", 400, app.call, "create_channel_ban", arn, MemberArn=app.admin)
    membership = {"MemberArn": mallory, "Type": "DEFAULT"}
    expect_error("ForbiddenException", 403, app.call, "create_channel_membership", arn, **membership)
    app.call("delete_channel_ban", arn, MemberArn=mallory)
    expect_error("NotFoundException", 404, app.call, "describe_channel_ban", arn, MemberArn=mallory)
    assert app.batch(arn, [mallory]) == ([mallory], {})


@check
def channels_of_a_user_are_listed_in_pages():
    app = AppInstance()
    alice, bob = app.user("alice"), app.user("bob")
    channels = [app.channel(ChannelId=f"c{number:02}", MemberArns=[alice]) for number in range(51)]
    listing = app.chime.list_channel_memberships_for_app_instance_user
    first = listing(ChimeBearer=alice)
    rest = listing(ChimeBearer=app.admin, AppInstanceUserArn=alice, NextToken=first["NextToken"])
    found = [item["ChannelSummary"]["ChannelArn"] for item in first["ChannelMemberships"] + rest["ChannelMemberships"]]
    assert found == channels and len(rest["ChannelMemberships"]) == 1
    assert first["ChannelMemberships"][0]["AppInstanceUserMembershipSummary"]["Type"] == "DEFAULT"
    expect_error("ForbiddenException", 403, listing, ChimeBearer=bob, AppInstanceUserArn=alice)


@check
def elastic_channels_have_sub_channels():
    app = AppInstance()
    arn = app.elastic()
    moderator, users = app.user("moderator"), app.users(5)
    assert app.call("describe_channel", arn)["Channel"]["ElasticChannelConfiguration"]["MaximumSubChannels"] == 2
    assert app.members(arn)[0] == [], "the creator of an elastic channel is no member"
    added, errors = app.batch(arn, users)
    assert (len(added), list(errors.values())) == (4, ["ResourceLimitExceeded"]), errors
    listed = app.call("list_sub_channels", arn)["SubChannels"]
    assert [item["MembershipCount"] for item in listed] == [2, 2]
    first, second = [item["SubChannelId"] for item in listed]
    assert len(app.members(arn, SubChannelId=first)[0]) == 2 and len(app.members(arn)[0]) == 4
    assert app.batch(arn, [users[4]], SubChannelId=first) == ([], {users[4]: "BadRequest"})
    described = app.call("describe_channel_membership", arn, MemberArn=users[0])["ChannelMembership"]
    assert described["SubChannelId"] == first
    app.call("create_channel_moderator", arn, ChannelModeratorArn=moderator)
    assert app.batch(arn, [moderator]) == ([], {moderator: "BadRequest"})
    assert app.batch(arn, [moderator], SubChannelId=first) == ([moderator], {})
    made = app.call("create_channel_membership", arn, MemberArn=moderator, Type="DEFAULT", SubChannelId=second)
    assert made["SubChannelId"] == second
    app.call("delete_channel_membership", arn, MemberArn=moderator, SubChannelId=first)
    assert moderator in app.members(arn, SubChannelId=second)[0]
    app.call("delete_channel_membership", arn, MemberArn=moderator)
    assert moderator not in app.members(arn)[0]
    expect_error("BadRequestException", 400, app.call, "delete_channel_membership", arn, MemberArn=users[0], SubChannelId=first)
    expect_error("ForbiddenException", 403, app.call, "list_sub_channels", arn, users[0])
    expect_error("ResourceLimitExceededException", 400, app.elastic)


@check
def promotion_in_an_elastic_channel_ends_the_membership():
    app = AppInstance()
    arn, alice = app.elastic(), app.user("alice")
    app.batch(arn, [alice])
    app.call("create_channel_moderator", arn, ChannelModeratorArn=alice)
    assert app.members(arn)[0] == []
    expect_error("BadRequestException", 400, app.batch, app.channel(), [alice], SubChannelId="x")
    expect_error("BadRequestException", 400, app.elastic, MemberArns=[alice])


@check
def deleted_user_has_no_memberships():
    app = AppInstance()
    arn, alice = app.channel(), app.user("alice")
    app.batch(arn, [alice])
    app.identity.delete_app_instance_user(AppInstanceUserArn=alice)
    assert alice not in app.members(arn)[0]
    assert app.batch(arn, [alice]) == ([], {alice: "Forbidden"})
    expect_error("UnauthorizedClientException", 401, app.members, arn, alice)


@check
def former_admin_has_no_rights():
    app = AppInstance()
    alice = app.user("alice")
    arn = app.channel(ChimeBearer=alice)
    app.identity.delete_app_instance_admin(AppInstanceArn=app.arn, AppInstanceAdminArn=app.admin)
    expect_error("ForbiddenException", 403, app.members, arn)


# --- roles ----------------------------------------------------------------------------------------


@check
def roles_limit_adding_listing_and_removing():
    app = AppInstance()
    member, outsider, target = app.user("member"), app.user("outsider"), app.user("target")
    for mode in ["RESTRICTED", "UNRESTRICTED"]:
        for privacy in ["PUBLIC", "PRIVATE"]:
            arn = app.channel(Mode=mode, Privacy=privacy, MemberArns=[member])

            def may(bearer, expected, operation, **options):
                name = f"{operation} {options} in {mode} {privacy} channel as {bearer.rsplit('/')[-1]}"
                try:
                    app.call(operation, arn, bearer, **options)
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
            may(member, False, "delete_channel_membership", MemberArn=app.admin)
            may(member, False, "list_channel_moderators")
            may(member, False, "list_channel_bans")
            may(member, False, "create_channel_ban", MemberArn=outsider)
            may(member, False, "create_channel_moderator", ChannelModeratorArn=member)
            may(member, False, "delete_channel")
            joins = mode == "UNRESTRICTED" and privacy == "PUBLIC"
            may(outsider, joins, "create_channel_membership", MemberArn=outsider, Type="DEFAULT")
            may(member, True, "delete_channel_membership", MemberArn=member)


@check
def bearer_must_be_known_and_of_the_same_app_instance():
    app = AppInstance()
    arn = app.channel()
    expect_error("UnauthorizedClientException", 401, app.members, arn, f"{app.arn}/user/ghost")
    expect_error("UnauthorizedClientException", 401, app.members, arn, "nonsense")
    expect_error("ForbiddenException", 403, app.members, arn, AppInstance().admin)


# --- errors ---------------------------------------------------------------------------------------


@check
def malformed_calls_are_bad_requests():
    app = AppInstance()
    arn, alice = app.channel(), app.user("alice")
    lax = client("chime-sdk-messaging", config=CONFIG.merge(Config(parameter_validation=False)))
    bearer = {"ChannelArn": arn, "ChimeBearer": app.admin}
    expect_error("BadRequestException", 400, lax.batch_create_channel_membership, MemberArns=[], **bearer)
    expect_error("BadRequestException", 400, lax.batch_create_channel_membership, MemberArns=[alice] * 101, **bearer)
    expect_error("BadRequestException", 400, lax.batch_create_channel_membership, MemberArns=["nonsense"], **bearer)
    expect_error("BadRequestException", 400, lax.batch_create_channel_membership, MemberArns=[alice], Type="ODD", **bearer)
    expect_error("BadRequestException", 400, lax.create_channel_membership, MemberArn=alice, **bearer)
    for size in [0, 51, -1]:
        expect_error("BadRequestException", 400, lax.list_channel_memberships, MaxResults=size, **bearer)
    expect_error("BadRequestException", 400, lax.list_channel_memberships, ChannelArn=arn)
    expect_error("BadRequestException", 400, app.members, "nonsense")


@check
def missing_channel_is_forbidden_to_read_and_not_found_to_add():
    app = AppInstance()
    arn, alice = f"{app.arn}/channel/gone", app.user("alice")
    for operation, options in [
        ("list_channel_memberships", {}), ("describe_channel", {}), ("delete_channel", {}),
        ("delete_channel_membership", {"MemberArn": alice}),
    ]:
        expect_error("ForbiddenException", 403, app.call, operation, arn, **options)
    expect_error("NotFoundException", 404, app.batch, arn, [alice])
    expect_error("NotFoundException", 404, app.call, "create_channel_membership", arn, MemberArn=alice, Type="DEFAULT")


@check
def injected_errors_are_those_of_the_model():
    app = AppInstance()
    arn = app.channel()
    for status, shape in [
        (400, "BadRequestException"), (401, "UnauthorizedClientException"), (403, "ForbiddenException"),
        (404, "NotFoundException"), (409, "ConflictException"), (429, "ThrottledClientException"),
        (500, "ServiceFailureException"), (503, "ServiceUnavailableException"),
    ]:
        effect = {"kind": "refuse", "status": status}
        admin_post("faults", {"channel": arn, "times": 1, "effect": effect})
        expect_error(shape, status, app.members, arn)
    effect = {"kind": "refuse", "status": 403, "code": "AccessDeniedException", "message": "not authorized"}
    admin_post("faults", {"channel": arn, "times": 1, "effect": effect})
    expect_error("AccessDeniedException", 403, app.members, arn)
    assert app.members(arn)[0] == [app.admin]


@check
def every_member_error_code_of_the_model_can_be_injected():
    app = AppInstance()
    arn, alice = app.channel(), app.user("alice")
    codes = CHIME.meta.service_model.shape_for("ErrorCode").enum
    for code in codes:
        effect = {"kind": "refuseMembers", "members": [alice], "code": code, "message": "refused on purpose"}
        admin_post("faults", {"channel": arn, "times": 1, "effect": effect})
        assert app.batch(arn, [alice]) == ([], {alice: code})


@check
def unsigned_calls_are_expect_error():
    app = AppInstance()
    unsigned = client("chime-sdk-messaging", config=CONFIG.merge(Config(signature_version=UNSIGNED)))
    bearer = {"ChannelArn": app.channel(), "ChimeBearer": app.admin}
    expect_error("MissingAuthenticationTokenException", 403, unsigned.list_channel_memberships, **bearer)


@check
def second_batch_within_a_second_is_throttled():
    app = AppInstance(LIMITED)
    arn, alice = app.channel(), app.user("alice")
    # The calls come faster than one per second on any machine, so one of them is throttled.
    outcomes = []
    for _ in range(20):
        try:
            app.batch(arn, [alice])
            outcomes.append(200)
        except app.chime.exceptions.ThrottledClientException:
            outcomes.append(429)
            break
    assert outcomes[0] == 200 and outcomes[-1] == 429, outcomes
    CHECKED_ERRORS.add("ThrottledClientException")


@check
def every_membership_operation_and_error_was_checked():
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
    assert played - CHECKED_OPERATIONS == left_out, played - CHECKED_OPERATIONS
    errors = {shape.name for operation in CHECKED_OPERATIONS & set(model.operation_names) for shape in model.operation_model(operation).error_shapes}
    assert errors <= CHECKED_ERRORS, errors - CHECKED_ERRORS


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
    for name in sorted(CHECKED_OPERATIONS):
        print(f"ok      {name} fits the model")
    for name in sorted(CHECKED_ERRORS):
        print(f"ok      {name} was returned")
    if failed:
        sys.exit("failed: " + "; ".join(failed))


main()
