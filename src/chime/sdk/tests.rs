//! Tests of requests and answers of the SDK, against a server on loopback with canned answers.

mod removal;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use tokio::net::TcpListener;

use super::*;
use crate::api::MembershipType;
use crate::chime::port::{
    BatchAnswer, BatchMemberError, CallErrorClass, ListRequest, Membership, Operation, Page, PageItem, Service, Target,
};
use crate::membership::arn::ChannelArn;
use crate::membership::arn::MemberArn;

const INSTANCE: &str = "arn:aws:chime:eu-central-1:123456789012:app-instance/1f";
const CHANNEL_PATH: &str =
    "/channels/arn%3Aaws%3Achime%3Aeu-central-1%3A123456789012%3Aapp-instance%2F1f%2Fchannel%2Fus%3Aa%40b";

#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn line(&self) -> (&str, String) {
        (self.method.as_str(), self.uri.path().to_owned())
    }

    /// The parts of the query, sorted.
    fn query(&self) -> Vec<&str> {
        let mut parts: Vec<&str> = self.uri.query().unwrap_or_default().split('&').collect();
        parts.sort_unstable();
        parts
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Answers every request alike and remembers them all.
struct StandIn {
    endpoint: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl StandIn {
    async fn answering(status: u16, error_type: Option<&'static str>, body: &'static str) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = Arc::clone(&asked);
        let answer = move |method: Method, uri: Uri, headers: HeaderMap, sent: Bytes| {
            log.lock().unwrap().push(Asked { method, uri, headers, body: sent });
            let mut answer = Response::builder()
                .status(StatusCode::from_u16(status).unwrap())
                .header("content-type", "application/json")
                .header("x-amzn-requestid", "5bbf-1");
            if let Some(error_type) = error_type {
                answer = answer.header("x-amzn-errortype", error_type);
            }
            let answer = answer.body(Body::from(body)).unwrap();
            async move { answer }
        };
        Self::serving(asked, Router::new().fallback(answer)).await
    }

    async fn silent() -> Self {
        let never = || async { std::future::pending::<()>().await };
        Self::serving(Arc::default(), Router::new().fallback(never)).await
    }

    async fn serving(asked: Arc<Mutex<Vec<Asked>>>, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { endpoint, asked, server }
    }

    async fn sdk(&self) -> Sdk {
        load(&self.endpoint, CALL_TIMEOUT).await
    }

    fn only_request(&self) -> Asked {
        let asked = self.asked.lock().unwrap();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked[0].clone()
    }
}

async fn load(endpoint: &str, call_timeout: Duration) -> Sdk {
    let credentials = Some(("AKIDEXAMPLE".to_owned(), "secret".to_owned()));
    Sdk::load(SdkOptions { endpoint: Some(endpoint.to_owned()), credentials, call_timeout }).await.unwrap()
}

fn target(membership_type: MembershipType) -> Target {
    Target {
        channel: ChannelArn::parse(&format!("{INSTANCE}/channel/us:a@b")).unwrap(),
        membership_type,
        bearer: MemberArn::parse(&format!("{INSTANCE}/bot/rollcall")).unwrap(),
        sub_channel: None,
    }
}

fn member(id: &str) -> MemberArn {
    MemberArn::parse(&format!("{INSTANCE}/user/{id}")).unwrap()
}

#[tokio::test]
async fn a_listing_asks_for_fifty_of_the_type_in_the_bearers_name_and_is_signed() {
    let stand_in = StandIn::answering(200, None, r#"{"ChannelMemberships":[]}"#).await;
    stand_in
        .sdk()
        .await
        .list_page(ListRequest::Members(&target(MembershipType::Hidden)), Some("to/ken="))
        .await
        .unwrap();
    let asked = stand_in.only_request();
    assert_eq!(asked.line(), ("GET", format!("{CHANNEL_PATH}/memberships")));
    assert_eq!(asked.query(), ["max-results=50", "next-token=to%2Fken%3D", "type=HIDDEN"]);
    assert_eq!(asked.header("x-amz-chime-bearer"), format!("{INSTANCE}/bot/rollcall"));
    let authorization = asked.header("authorization");
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{authorization}");
    assert!(authorization.contains("/eu-central-1/chime/aws4_request"), "{authorization}");
    assert!(authorization.contains("x-amz-chime-bearer"), "{authorization}");
    assert!(
        asked.header("user-agent").contains("app/rollcall")
            || asked.header("x-amz-user-agent").contains("app/rollcall")
    );
    assert!(asked.header("amz-sdk-request").contains("max=1"));
}

#[tokio::test]
async fn a_batch_names_its_members_and_its_type() {
    let stand_in = StandIn::answering(200, None, "{}").await;
    let answer =
        stand_in.sdk().await.batch_create(&target(MembershipType::Default), &[member("a"), member("b@c")]).await;
    assert_eq!(answer.unwrap(), BatchAnswer { request_id: Some("5bbf-1".to_owned()), ..BatchAnswer::default() });
    let asked = stand_in.only_request();
    assert_eq!(asked.line(), ("POST", format!("{CHANNEL_PATH}/memberships")));
    assert_eq!(asked.uri.query(), Some("operation=batch-create"));
    assert_eq!(asked.header("x-amz-chime-bearer"), format!("{INSTANCE}/bot/rollcall"));
    let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    let members = [format!("{INSTANCE}/user/a"), format!("{INSTANCE}/user/b@c")];
    assert_eq!(body, serde_json::json!({"MemberArns": members, "Type": "DEFAULT"}));
}

#[tokio::test]
async fn a_page_holds_its_members_and_the_next_token() {
    let body = r#"{"ChannelArn":"c","ChannelMemberships":[{"Member":{"Arn":"m1","Name":"One"}},{"Member":{"Arn":"m2"}},{}],"NextToken":"t"}"#;
    let stand_in = StandIn::answering(200, None, body).await;
    let page =
        stand_in.sdk().await.list_page(ListRequest::Members(&target(MembershipType::Default)), None).await.unwrap();
    assert_eq!(
        page,
        Page {
            items: vec![
                PageItem { id: "m1".into(), name: Some("One".into()), membership_type: None },
                PageItem::from("m2".to_owned())
            ],
            next: Some("t".into())
        }
    );
}

#[tokio::test]
async fn the_last_page_may_have_an_empty_token_and_no_list() {
    for body in ["{}", r#"{"ChannelMemberships":[],"NextToken":""}"#, r#"{"NextToken":null}"#] {
        let stand_in = StandIn::answering(200, None, body).await;
        let page =
            stand_in.sdk().await.list_page(ListRequest::Members(&target(MembershipType::Default)), None).await.unwrap();
        assert_eq!(page, Page::default(), "{body}");
    }
}

#[tokio::test]
async fn a_batch_tells_who_was_added_and_why_others_were_not() {
    let body = r#"{"BatchChannelMemberships":{"InvitedBy":{"Arn":"b"},"Type":"DEFAULT","Members":[{"Arn":"m1"}],"ChannelArn":"c"},
        "Errors":[{"MemberArn":"m2","ErrorCode":"Forbidden","ErrorMessage":"banned"},{"MemberArn":"m3","ErrorCode":"BrandNew"},{}]}"#;
    let stand_in = StandIn::answering(200, None, body).await;
    let answer = stand_in.sdk().await.batch_create(&target(MembershipType::Default), &[member("a")]).await.unwrap();
    assert_eq!(answer.added, ["m1"]);
    let of = |member: &str, code: &str| BatchMemberError {
        member: Some(member.into()),
        code: Some(code.into()),
        message: None,
    };
    let banned = BatchMemberError { message: Some("banned".into()), ..of("m2", "Forbidden") };
    assert_eq!(answer.errors, [banned, of("m3", "BrandNew"), BatchMemberError::default()]);
}

#[tokio::test]
async fn a_membership_is_described_by_type_and_inviter() {
    let body = r#"{"ChannelMembership":{"InvitedBy":{"Arn":"boss"},"Type":"HIDDEN","Member":{"Arn":"m"},"CreatedTimestamp":1.7e9}}"#;
    let stand_in = StandIn::answering(200, None, body).await;
    let described =
        stand_in.sdk().await.describe_membership(&target(MembershipType::Default), &member("a")).await.unwrap();
    let created = Some(jiff::Timestamp::from_second(1_700_000_000).unwrap());
    let expected =
        Membership { membership_type: Some(MembershipType::Hidden), invited_by: Some("boss".into()), created };
    assert_eq!(described, Some(expected));
    assert!(stand_in.only_request().uri.path().ends_with("app-instance%2F1f%2Fuser%2Fa"));
}

#[tokio::test]
async fn who_is_not_there_is_described_as_nobody() {
    let stand_in = StandIn::answering(404, Some("NotFoundException"), r#"{"Code":"NotFound","Message":"no"}"#).await;
    assert_eq!(
        stand_in.sdk().await.describe_membership(&target(MembershipType::Default), &member("a")).await,
        Ok(None)
    );
}

#[tokio::test]
async fn a_404_that_is_not_the_services_is_no_absence() {
    let stand_in = StandIn::answering(404, None, "<html>no such page</html>").await;
    let error =
        stand_in.sdk().await.describe_membership(&target(MembershipType::Default), &member("a")).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (CallErrorClass::ChannelNotAccessible, "Http404"));
}

/// Status, header, code as we say it, class.
const REFUSALS: &[(u16, Option<&str>, &str, CallErrorClass)] = {
    use CallErrorClass as C;
    &[
        (400, Some("BadRequestException"), "BadRequest", C::Refused),
        (400, Some("ResourceLimitExceededException"), "ResourceLimitExceeded", C::Refused),
        (401, Some("UnauthorizedClientException"), "Unauthorized", C::BearerRejected),
        (403, Some("ForbiddenException"), "Forbidden", C::ChannelNotAccessible),
        (404, Some("NotFoundException"), "NotFound", C::ChannelNotAccessible),
        (409, Some("ConflictException"), "Conflict", C::Refused),
        (429, Some("ThrottledClientException"), "Throttled", C::Throttled),
        (500, Some("ServiceFailureException"), "ServiceFailure", C::Transient),
        (503, Some("ServiceUnavailableException"), "ServiceUnavailable", C::Transient),
        // Outside the model.
        (400, Some("ThrottlingException"), "Throttling", C::Throttled),
        (400, Some("AccessDeniedException"), "AccessDenied", C::AccessDenied),
        (403, Some("AccessDeniedException:http://internal.amazon.com/"), "AccessDenied", C::AccessDenied),
        (403, Some("InvalidSignatureException"), "InvalidSignature", C::AccessDenied),
        (403, Some("ExpiredTokenException"), "ExpiredToken", C::AccessDenied),
        (400, Some("RequestExpired"), "RequestExpired", C::AccessDenied),
        (403, Some("UnrecognizedClientException"), "Unrecognized", C::AccessDenied),
        (403, Some("MissingAuthenticationTokenException"), "MissingAuthenticationToken", C::AccessDenied),
        (403, Some("SomethingOfIamException"), "SomethingOfIam", C::AccessDenied),
        (404, Some("UnknownOperationException"), "UnknownOperation", C::Refused),
        (502, None, "Http502", C::Transient),
        (429, None, "Http429", C::Throttled),
        (403, None, "Http403", C::ChannelNotAccessible),
        (400, None, "Http400", C::Refused),
    ]
};

#[tokio::test]
async fn each_refusal_has_its_class_and_keeps_code_text_and_request_id() {
    for &(status, header, code, class) in REFUSALS {
        let stand_in = StandIn::answering(status, header, r#"{"Message":"the text"}"#).await;
        let sdk = stand_in.sdk().await;
        let place = target(MembershipType::Default);
        let listing = sdk.list_page(ListRequest::Members(&place), None).await.unwrap_err();
        let batch = sdk.batch_create(&place, &[member("a")]).await.unwrap_err();
        for error in [&listing, &batch] {
            assert_eq!((error.class, error.code.as_str()), (class, code), "{status} {header:?}");
            assert_eq!(
                (error.message.as_str(), error.request_id.as_deref()),
                ("the text", Some("5bbf-1")),
                "{error:?}"
            );
        }
        assert_eq!(listing.operation, Operation::ListChannelMemberships);
        assert_eq!(batch.operation, Operation::BatchCreateChannelMembership);
        assert_eq!(stand_in.asked.lock().unwrap().len(), 2, "one attempt each: {status} {header:?}");
    }
}

#[tokio::test]
async fn a_code_in_the_body_alone_is_read_as_well() {
    let stand_in = StandIn::answering(403, None, r#"{"Code":"Forbidden","Message":"closed"}"#).await;
    let error =
        stand_in.sdk().await.list_page(ListRequest::Members(&target(MembershipType::Default)), None).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (CallErrorClass::ChannelNotAccessible, "Forbidden"));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_transient() {
    for body in ["", "<html>", r#"{"ChannelMemberships":[{"Member":"#] {
        let stand_in = StandIn::answering(200, None, body).await;
        let answer = stand_in.sdk().await.list_page(ListRequest::Members(&target(MembershipType::Default)), None).await;
        if body.is_empty() {
            // An empty body is an empty object to the SDK.
            assert_eq!(answer, Ok(Page::default()));
            continue;
        }
        let error = answer.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (CallErrorClass::Transient, "UnreadableAnswer"), "{error}");
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_or_refused_is_transient() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let sdk = load(&endpoint, CALL_TIMEOUT).await;
    let place = target(MembershipType::Default);
    let cut = async {
        drop(listener.accept().await.unwrap());
        drop(listener);
    };
    let (answer, ()) = tokio::join!(sdk.list_page(ListRequest::Members(&place), None), cut);
    for answer in [answer, sdk.list_page(ListRequest::Members(&place), None).await] {
        let error = answer.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (CallErrorClass::Transient, "ConnectionFailed"), "{error}");
    }
}

#[tokio::test]
async fn a_call_without_an_answer_ends_at_its_timeout() {
    let stand_in = StandIn::silent().await;
    let sdk = load(&stand_in.endpoint, Duration::from_millis(50)).await;
    let error = sdk.list_page(ListRequest::Members(&target(MembershipType::Default)), None).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (CallErrorClass::Transient, "Timeout"), "{error}");
}

#[tokio::test]
async fn credentials_that_cannot_be_loaded_are_a_matter_of_access() {
    #[derive(Debug)]
    struct None;
    impl aws_sdk_chimesdkmessaging::config::ProvideCredentials for None {
        fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let error = aws_credential_types::provider::error::CredentialsError::not_loaded("nothing configured");
            aws_credential_types::provider::future::ProvideCredentials::ready(Err(error))
        }
    }
    let stand_in = StandIn::answering(200, Option::None, "{}").await;
    let mut sdk = stand_in.sdk().await;
    let provider = aws_credential_types::provider::SharedCredentialsProvider::new(None);
    sdk.config = sdk.config.into_builder().credentials_provider(provider).build();
    let error = sdk.list_page(ListRequest::Members(&target(MembershipType::Default)), Option::None).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (CallErrorClass::AccessDenied, "CredentialsNotLoaded"), "{error}");
    assert!(stand_in.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_endpoint_that_is_not_aws_is_told() {
    for (endpoint, custom) in [
        ("http://127.0.0.1:8080", true),
        ("https://messaging-chime.us-east-1.amazonaws.com", false),
        ("https://vpce-1.messaging-chime.us-east-1.vpce.amazonaws.com:443/", false),
        ("https://amazonaws.com.evil.example", true),
    ] {
        let sdk = load(endpoint, CALL_TIMEOUT).await;
        assert_eq!(sdk.custom_endpoint(), custom.then_some(endpoint), "{endpoint}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_no_address_is_refused_by_name() {
    for endpoint in
        ["localhost:8080", "http://", "http://a b", "ftp://host", "https:///path", "http://user:secret@host"]
    {
        let options = SdkOptions { endpoint: Some(endpoint.to_owned()), ..SdkOptions::default() };
        let error = Sdk::load(options).await.err().unwrap();
        assert_eq!(error, LoadError::BadEndpoint(endpoint.replace("http://user:secret@", "")));
        assert!(!error.to_string().contains("secret"));
    }
}
