//! Quotas: a promise and a limit.

use proffer_proto_wire::common as wire;

use super::check::{self, Within};
use super::{MAX_ENTRIES, WireError};
use crate::{Bytes, Limit, MilliCpus, Quota, Resources};

impl TryFrom<wire::Quota> for Quota {
    type Error = WireError;

    fn try_from(wire::Quota { guarantee, limit }: wire::Quota) -> Result<Self, WireError> {
        Ok(Self {
            guarantee: Resources::try_from(guarantee.unwrap_or_default()).within("guarantee")?,
            limit: Limit::try_from(limit.unwrap_or_default()).within("limit")?,
        })
    }
}

impl TryFrom<wire::ResourceLimit> for Limit {
    type Error = WireError;

    fn try_from(limit: wire::ResourceLimit) -> Result<Self, WireError> {
        let wire::ResourceLimit { cpus_milli, memory_bytes, disk_bytes, gpus, scalars_milli } = limit;
        check::bounded("scalars_milli", scalars_milli.len(), MAX_ENTRIES)?;
        let scalar = |(name, most): (String, i64)| {
            let name = check::required_name("scalars_milli", name)?;
            let most = check::amount(&format!("scalars_milli[{name:?}]"), most)?;
            Ok((name, most))
        };
        Ok(Self {
            cpus: cpus_milli.map(|most| check::amount("cpus_milli", most)).transpose()?.map(MilliCpus),
            memory: memory_bytes.map(Bytes),
            disk: disk_bytes.map(Bytes),
            gpus,
            scalars: scalars_milli.into_iter().map(scalar).collect::<Result<_, WireError>>()?,
        })
    }
}

impl From<Quota> for wire::Quota {
    fn from(Quota { guarantee, limit }: Quota) -> Self {
        Self { guarantee: Some(guarantee.into()), limit: Some(limit.into()) }
    }
}

impl From<Limit> for wire::ResourceLimit {
    fn from(Limit { cpus, memory, disk, gpus, scalars }: Limit) -> Self {
        Self {
            cpus_milli: cpus.map(|most| check::signed(most.0)),
            memory_bytes: memory.map(|most| most.0),
            disk_bytes: disk.map(|most| most.0),
            gpus,
            scalars_milli: scalars.into_iter().map(|(name, most)| (name, check::signed(most))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Defect, testing};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn quotas_come_back_as_they_were(guarantee in testing::resources(), most in testing::resources(), has in any::<bool>()) {
            let limit = Limit {
                cpus: Some(most.cpus),
                memory: has.then_some(most.memory),
                disk: (!has).then_some(most.disk),
                gpus: has.then_some(0),
                scalars: most.scalars,
            };
            let quota = Quota { guarantee, limit };
            prop_assert_eq!(Quota::try_from(wire::Quota::from(quota.clone())), Ok(quota));
        }
    }

    #[test]
    fn negative_amounts_are_refused_with_their_field() {
        let limit = wire::ResourceLimit { cpus_milli: Some(-1), ..Default::default() };
        let error = Quota::try_from(wire::Quota { limit: Some(limit), guarantee: None }).unwrap_err();
        assert_eq!((error.path.as_str(), error.defect), ("limit.cpus_milli", Defect::Negative { value: -1 }));
    }
}
