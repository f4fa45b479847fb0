//! Is what a resource wants granted to its namespace, at this moment?

use super::declaration::Declaration;
use super::intent::{Intent, Objection};
use super::pass::{Engine, Halt, Pass};
use super::store::Store;
use crate::api::Reason;
use crate::chime::port::Service;
use crate::membership::grants::Wish;

impl<S: Service> Engine<S> {
    /// Whether it is granted. A resource to which it is not still declares its members: nobody else removes them.
    pub(super) fn granted(&self, declaration: &Declaration<'_>, intent: &Intent) -> Result<(), Objection> {
        let target = &intent.target;
        // A last pass removes by another rule than the one that was asked for.
        let prune = declaration.spec.map_or(intent.prune, |spec| spec.prune);
        let wish = Wish {
            namespace: declaration.resource.split('/').next().unwrap_or_default(),
            channel: &target.channel,
            bearer: &target.bearer,
            prune,
        };
        self.settings.grants.decide(&wish).map_err(|(denial, source)| Objection {
            reason: Reason::NotGranted,
            message: format!(
                "{denial}, so nothing is done about it: ask whoever runs the operator for a grant in {source}"
            ),
            channel: Some(target.channel.id().to_owned()),
        })
    }
}

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Grants may be taken back while a pass is under way.
    pub(super) fn still_granted(&self) -> Result<(), Halt> {
        let granted = self.engine.granted(self.declaration, &self.intent);
        granted.map_err(|objection| Halt::Objection(objection.reason, objection.message))
    }
}
