//! The domain words of Proffer: ids, resources, offers, tasks, agents, frameworks, time and units.
//!
//! Everything here is a plain value. This crate never does I/O, never reads a clock and never reaches
//! up to an engine or a server. With the feature `wire` it also converts from and to wire messages.

mod agent;
mod constraint;
#[cfg(feature = "wire")]
pub mod convert;
mod demand;
mod framework;
mod ids;
mod inverse;
mod near;
mod offer;
mod operation;
mod pattern;
mod pattern_cost;
mod placement;
mod quota;
mod reservation;
pub mod resources;
mod role_policy;
pub mod task;
mod time;
mod volume;
mod weight;

pub use agent::{AgentInfo, Attribute, AttributeValue};
pub use constraint::{Constraint, ConstraintOperator};
pub use demand::{Demand, DemandItem};
pub use framework::{DEFAULT_FAILOVER_TIMEOUT_MS, FrameworkInfo, MAX_FAILOVER_TIMEOUT_MS, Role, RoleError};
pub use ids::{AgentId, ClusterId, FrameworkId, IdError, InverseOfferId, OfferId, TaskId, TaskKey, VolumeId};
pub use inverse::{
    InverseAnswer, InverseCause, InverseEnd, InverseOffer, InverseReply, MIN_ASK_AGAIN_MS, Unavailability,
};
pub use near::nearest;
pub use offer::{DEFAULT_REFUSE_MS, DeclineKind, DeclineReason, Filter, MAX_REFUSE_MS, Offer, RescindReason};
pub use operation::{Accept, Operation, OperationOutcome, TaskLaunch};
pub use pattern::{Pattern, PatternError};
pub use pattern_cost::TooBroad;
pub use placement::{Placement, PlacementError};
pub use quota::{Limit, Quota, QuotaError};
pub use reservation::{Pool, PoolId, Reserved, ReservedUse, StaticReservation};
pub use resources::{Bytes, MilliCpus, PortRange, PortSet, Resources};
pub use role_policy::{OfferMode, RolePolicy, RolePolicyError};
pub use task::{TaskReason, TaskSource, TaskSpec, TaskState, TaskStatus};
pub use time::{Epoch, Moment, Now, UnixMillis};
pub use volume::{HeldState, HeldVolume, Volume, VolumeInfo, VolumeReport, VolumeState};
pub use weight::{Weight, WeightError};
