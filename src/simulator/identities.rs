//! The operations of the identity service that create and delete users, bots and admins.
//!
//! In AWS they have another host. Their paths are unique, so one port serves both here.

use serde::Deserialize;
use serde_json::json;

use super::actor::Actor;
use super::api_error::ApiError;
use super::call::{ApiCall, ApiResponse, parse_member};
use super::channels::random_id;
use super::state::ServiceState;
use crate::membership::arn::{ChannelArn, MemberArn};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateUserRequest {
    app_instance_arn: String,
    app_instance_user_id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateBotRequest {
    app_instance_arn: String,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateAdminRequest {
    app_instance_admin_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateAppInstanceRequest {
    #[serde(rename = "Name")]
    _name: String,
}

impl ServiceState {
    pub(super) fn create_app_instance(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let _: CreateAppInstanceRequest = call.json()?;
        let arn = format!("arn:aws:chime:us-east-1:123456789012:app-instance/{}", random_id());
        self.app_instances.insert(arn.clone());
        ApiResponse::json(201, &json!({"AppInstanceArn": arn}))
    }

    pub(super) fn create_user(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let body: CreateUserRequest = call.json()?;
        let arn = self.new_identity(&body.app_instance_arn, "user", &body.app_instance_user_id)?;
        if self.users.contains_key(&arn) {
            return Err(ApiError::conflict("The app instance user exists already"));
        }
        self.add_named_user(&arn, Some(body.name));
        ApiResponse::json(201, &json!({"AppInstanceUserArn": arn.as_str()}))
    }

    pub(super) fn create_bot(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let body: CreateBotRequest = call.json()?;
        let arn = self.new_identity(&body.app_instance_arn, "bot", &random_id())?;
        self.add_named_user(&arn, body.name);
        ApiResponse::json(201, &json!({"AppInstanceBotArn": arn.as_str()}))
    }

    fn new_identity(&self, app_instance: &str, kind: &str, id: &str) -> Result<MemberArn, ApiError> {
        self.check_app_instance(app_instance)?;
        parse_member(&format!("{app_instance}/{kind}/{id}"))
    }

    fn check_app_instance(&self, arn: &str) -> Result<(), ApiError> {
        let unknown = || ApiError::not_found(format!("There is no app instance {arn:?}"));
        self.app_instances.contains(arn).then_some(()).ok_or_else(unknown)
    }

    fn add_named_user(&mut self, arn: &MemberArn, name: Option<String>) {
        self.add_user(arn.clone());
        if let (Some(user), Some(name)) = (self.users.get_mut(arn), name) {
            user.name = name;
        }
    }

    pub(super) fn call_delete_user(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let arn = parse_member(call.routed.subject.as_deref().unwrap_or_default())?;
        let actor = Actor { bearer: None, operation: Some(call.routed.operation) };
        if self.delete_user(&arn, call.now, actor) {
            Ok(ApiResponse::no_content())
        } else {
            Err(ApiError::forbidden("The app instance user is not accessible"))
        }
    }

    pub(super) fn create_admin(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let body: CreateAdminRequest = call.json()?;
        let (app_instance, arn) = self.parse_admin(call, &body.app_instance_admin_arn)?;
        let admins = self.users.iter().filter(|(arn, user)| user.is_admin && arn.app_instance() == app_instance);
        if admins.count() >= self.limits.admins_per_app_instance {
            return Err(ApiError::limit_reached("admins of the app instance"));
        }
        match self.users.get_mut(&arn) {
            Some(user) if user.is_admin => return Err(ApiError::conflict("The user is already an admin")),
            Some(user) => user.is_admin = true,
            None => return Err(ApiError::forbidden("The app instance user is not accessible")),
        }
        ApiResponse::json(201, &json!({"AppInstanceAdmin": self.identity(&arn), "AppInstanceArn": app_instance}))
    }

    pub(super) fn delete_admin(&mut self, call: &ApiCall<'_>) -> Result<ApiResponse, ApiError> {
        let (_, arn) = self.parse_admin(call, call.routed.member.as_deref().unwrap_or_default())?;
        if let Some(user) = self.users.get_mut(&arn) {
            user.is_admin = false;
        }
        Ok(ApiResponse::no_content())
    }

    /// Parses the app instance in the path, and a user or bot of it.
    fn parse_admin<'c>(&self, call: &'c ApiCall<'_>, admin: &str) -> Result<(&'c str, MemberArn), ApiError> {
        let app_instance = call.routed.subject.as_deref().unwrap_or_default();
        let arn = ChannelArn::parse(&format!("{app_instance}/channel/any"))
            .ok()
            .and_then(|any_channel| any_channel.member(admin).ok())
            .ok_or_else(|| ApiError::bad_request(format!("{admin:?} is no user or bot of {app_instance:?}")))?;
        self.check_app_instance(app_instance)?;
        Ok((app_instance, arn))
    }
}
