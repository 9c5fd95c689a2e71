//! A framework describes itself anew, or calls what it may not.

use proffer_proto_model::{Demand, FrameworkId, FrameworkInfo, Now, RescindReason};

use crate::registry::Operation;
use crate::state::State;
use crate::validate::check_framework;
use crate::{FrameworkErrorKind, SessionId};

impl State {
    /// Takes a new description. Id, name and principal stay; offers for roles left are withdrawn.
    pub fn update_framework(&mut self, now: Now, id: &FrameworkId, info: FrameworkInfo) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        let Some(session) = framework.session else { return };
        let known = &framework.record.info;
        let defect = match check_framework(&info) {
            Err(message) => Some(message),
            Ok(()) if info.id.as_ref().is_some_and(|new| new != id) => Some(stays("id", id.as_str())),
            Ok(()) if info.name != known.name => Some(stays("name", &known.name)),
            Ok(()) if info.principal != known.principal => Some(stays("principal", &known.principal)),
            Ok(()) => None,
        };
        if let Some(message) = defect {
            return self.framework_error(session, FrameworkErrorKind::Invalid, message, false);
        }
        let info = FrameworkInfo { id: Some(id.clone()), ..info };
        if framework.record.info == info {
            return;
        }
        let roles = info.roles.clone();
        let before = std::mem::replace(&mut framework.record.info, info).roles;
        self.store.push(Operation::PutFramework(framework.record.clone()));
        let kept = framework.demand.items.iter().filter(|item| roles.contains(&item.role)).cloned().collect();
        let offers = framework.offers.clone();
        self.move_between_roles(id, &before, &roles);
        self.place_framework(id);
        for offer in offers {
            if self.offers.get(&offer).is_some_and(|open| !roles.contains(&open.offer.role)) {
                self.rescind(now, &offer, RescindReason::DemandChanged);
            }
        }
        self.demand(id, Demand { items: kept });
    }

    /// The stream has not subscribed.
    pub fn refuse_unsubscribed(&mut self, session: SessionId) {
        let message = "this stream has not subscribed; send Subscribe first, and only once";
        self.framework_error(session, FrameworkErrorKind::NotSubscribed, message, false);
    }
}

fn stays(field: &str, known: &str) -> String {
    format!("framework.{field}: must stay {known:?}; tear the framework down and begin a new one to change it")
}
