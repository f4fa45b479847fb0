//! How do the operations of the identity service answer that seeding needs?
//!
//! They have another host in AWS, but no path in common with the messaging service, so one port serves both.

use serde::Deserialize;
use serde_json::json;

use super::call::{Answer, Call, member};
use super::channels::uuid;
use super::refusal::Refusal;
use super::state::{By, State};
use crate::membership::arn::{ChannelArn, MemberArn};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UserBody {
    app_instance_arn: String,
    app_instance_user_id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BotBody {
    app_instance_arn: String,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AdminBody {
    app_instance_admin_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AppInstanceBody {
    #[serde(rename = "Name")]
    _name: String,
}

impl State {
    pub(super) fn create_app_instance(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let _: AppInstanceBody = call.json()?;
        let arn = format!("arn:aws:chime:us-east-1:123456789012:app-instance/{}", uuid());
        self.app_instances.insert(arn.clone());
        Answer::json(201, &json!({"AppInstanceArn": arn}))
    }

    pub(super) fn create_user(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let body: UserBody = call.json()?;
        let arn = self.new_identity(&body.app_instance_arn, "user", &body.app_instance_user_id)?;
        if self.users.contains_key(&arn) {
            return Err(Refusal::conflict("The app instance user exists already"));
        }
        self.add_user(arn.clone());
        self.rename(&arn, Some(body.name));
        Answer::json(201, &json!({"AppInstanceUserArn": arn.as_str()}))
    }

    pub(super) fn create_bot(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let body: BotBody = call.json()?;
        let arn = self.new_identity(&body.app_instance_arn, "bot", &uuid())?;
        self.add_user(arn.clone());
        self.rename(&arn, body.name);
        Answer::json(201, &json!({"AppInstanceBotArn": arn.as_str()}))
    }

    fn new_identity(&self, app_instance: &str, kind: &str, id: &str) -> Result<MemberArn, Refusal> {
        if !self.app_instances.contains(app_instance) {
            return Err(Refusal::not_found(format!("there is no app instance {app_instance:?}")));
        }
        member(&format!("{app_instance}/{kind}/{id}"))
    }

    fn rename(&mut self, arn: &MemberArn, name: Option<String>) {
        if let (Some(user), Some(name)) = (self.users.get_mut(arn), name) {
            user.name = name;
        }
    }

    pub(super) fn call_delete_user(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let arn = member(call.routed.subject.as_deref().unwrap_or_default())?;
        let by = By { bearer: None, operation: Some(call.routed.operation) };
        if self.delete_user(&arn, call.now, by) {
            Ok(Answer::empty())
        } else {
            Err(Refusal::forbidden("The app instance user is not accessible"))
        }
    }

    pub(super) fn create_admin(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let body: AdminBody = call.json()?;
        let (app_instance, arn) = self.admin_named(call, &body.app_instance_admin_arn)?;
        let admins = self.users.iter().filter(|(arn, user)| user.is_admin && arn.app_instance() == app_instance);
        if admins.count() >= self.limits.admins_per_app_instance {
            return Err(Refusal::limit_exceeded("The number of admins of the app instance has reached its limit"));
        }
        match self.users.get_mut(&arn) {
            Some(user) if user.is_admin => return Err(Refusal::conflict("The user is already an admin")),
            Some(user) => user.is_admin = true,
            None => return Err(Refusal::forbidden("The app instance user is not accessible")),
        }
        Answer::json(201, &json!({"AppInstanceAdmin": self.identity(&arn), "AppInstanceArn": app_instance}))
    }

    pub(super) fn delete_admin(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let (_, arn) = self.admin_named(call, call.routed.member.as_deref().unwrap_or_default())?;
        if let Some(user) = self.users.get_mut(&arn) {
            user.is_admin = false;
        }
        Ok(Answer::empty())
    }

    /// The app instance in the path, and a user or bot of it.
    fn admin_named<'c>(&self, call: &'c Call<'_>, admin: &str) -> Result<(&'c str, MemberArn), Refusal> {
        let app_instance = call.routed.subject.as_deref().unwrap_or_default();
        let arn = ChannelArn::parse(&format!("{app_instance}/channel/any"))
            .ok()
            .and_then(|anywhere| anywhere.member(admin).ok())
            .ok_or_else(|| Refusal::bad_request(format!("{admin:?} is no user or bot of {app_instance:?}")))?;
        if self.app_instances.contains(app_instance) {
            Ok((app_instance, arn))
        } else {
            Err(Refusal::not_found(format!("there is no app instance {app_instance:?}")))
        }
    }
}
