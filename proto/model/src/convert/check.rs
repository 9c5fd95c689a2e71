//! The small checks all conversions are made of. Each gives a [`WireError`] that names its field.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Defect, WireError};
use crate::{AgentId, ClusterId, FrameworkId, IdError, InverseOfferId, OfferId, Role, TaskId, VolumeId};

/// Longest opaque data of a task, status or message: 64 KiB.
pub const MAX_DATA_BYTES: usize = 64 << 10;
/// Longest free text, such as a command argument, a value of the environment or a message: 32 KiB.
pub const MAX_TEXT_BYTES: usize = 32 << 10;
/// Longest name, such as a host name or the key of a label.
pub const MAX_NAME_BYTES: usize = 255;
/// Longest details of a decline, in characters.
pub const MAX_MESSAGE_CHARS: usize = 1_024;
/// Most variables in the environment of a task.
pub const MAX_ENV_VARS: usize = 1_000;
/// Most entries of any other list that a message holds for one thing.
pub const MAX_ENTRIES: usize = 10_000;

/// The result of every check.
pub(super) type Checked<T> = Result<T, WireError>;

/// Puts the field in front of an error's path.
pub(super) trait Within<T> {
    /// See [`WireError::within`].
    fn within(self, field: &str) -> Checked<T>;
}

impl<T> Within<T> for Checked<T> {
    fn within(self, field: &str) -> Checked<T> {
        self.map_err(|error| error.within(field))
    }
}

/// An id that a text can be made into.
pub(super) trait Id: Sized {
    /// The id's own constructor.
    fn make(text: &str) -> Result<Self, IdError>;
}

macro_rules! ids {
    ($($name:ident),*) => { $(impl Id for $name {
        fn make(text: &str) -> Result<Self, IdError> {
            Self::new(text)
        }
    })* };
}
ids!(AgentId, ClusterId, FrameworkId, InverseOfferId, OfferId, TaskId, VolumeId);

pub(super) fn fail<T>(field: &str, defect: Defect) -> Checked<T> {
    Err(WireError::new(field, defect))
}

/// An id that must be there.
pub(super) fn id<T: Id>(field: &str, text: &str) -> Checked<T> {
    T::make(text).map_err(|error| {
        WireError::new(field, if error == IdError::Empty { Defect::EmptyId } else { Defect::BadId(error) })
    })
}

/// An id that is `None` when the text is empty.
pub(super) fn optional_id<T: Id>(field: &str, text: &str) -> Checked<Option<T>> {
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}

/// A name that follows the rules for ids.
pub(super) fn id_text(field: &str, text: String) -> Checked<String> {
    id::<TaskId>(field, &text).map(|_| text)
}

/// A list of ids: each once, not empty.
pub(super) fn ids<T: Id + Ord + Clone + std::fmt::Display>(field: &str, texts: &[String]) -> Checked<Vec<T>> {
    if texts.is_empty() {
        return fail(field, Defect::Missing);
    }
    bounded(field, texts.len(), MAX_ENTRIES)?;
    let mut seen = BTreeSet::new();
    let mut list = Vec::with_capacity(texts.len());
    for (at, text) in texts.iter().enumerate() {
        let id: T = id(&format!("{field}[{at}]"), text)?;
        if !seen.insert(id.clone()) {
            return fail(&format!("{field}[{at}]"), Defect::Duplicate { what: id.to_string() });
        }
        list.push(id);
    }
    Ok(list)
}

/// A role; the default role when the text is empty.
pub(super) fn role_or_default(field: &str, text: &str) -> Checked<Role> {
    if text.is_empty() { Ok(Role::default_role()) } else { role(field, text) }
}

/// A role that must be there.
pub(super) fn role(field: &str, text: &str) -> Checked<Role> {
    if text.is_empty() {
        return fail(field, Defect::Missing);
    }
    Role::new(text).map_err(|error| WireError::new(field, Defect::BadRole(error)))
}

/// A message that must be there.
pub(super) fn required<T>(field: &str, value: Option<T>) -> Checked<T> {
    value.ok_or_else(|| WireError::new(field, Defect::Missing))
}

/// A required message, converted.
pub(super) fn convert<W, M: TryFrom<W, Error = WireError>>(field: &str, value: Option<W>) -> Checked<M> {
    M::try_from(required(field, value)?).within(field)
}

/// A message that may be absent, converted.
pub(super) fn optional<W, M: TryFrom<W, Error = WireError>>(field: &str, value: Option<W>) -> Checked<Option<M>> {
    value.map(|value| M::try_from(value).within(field)).transpose()
}

/// Every message of a list, converted; at most `max`.
pub(super) fn list<W, M: TryFrom<W, Error = WireError>>(field: &str, values: Vec<W>, max: usize) -> Checked<Vec<M>> {
    bounded(field, values.len(), max)?;
    let each = values.into_iter().enumerate();
    each.map(|(at, value)| M::try_from(value).within(&format!("{field}[{at}]"))).collect()
}

/// At most `max` entries.
pub(super) fn bounded(field: &str, count: usize, max: usize) -> Checked<()> {
    if count > max { fail(field, Defect::TooMany { count, max }) } else { Ok(()) }
}

/// At most `max` bytes, and no NUL.
pub(super) fn text(field: &str, text: String, max: usize) -> Checked<String> {
    if text.len() > max {
        return fail(field, Defect::TooLong { length: text.len(), max, unit: "bytes" });
    }
    if text.contains('\0') { fail(field, Defect::HoldsNul) } else { Ok(text) }
}

/// A text of at most [`MAX_NAME_BYTES`] without control characters; it may be empty.
pub(super) fn name(field: &str, value: String) -> Checked<String> {
    let value = text(field, value, MAX_NAME_BYTES)?;
    match value.chars().find(|c| c.is_control()) {
        Some(found) => fail(field, Defect::BadCharacter { found }),
        None => Ok(value),
    }
}

/// A [`name`] that must be there.
pub(super) fn required_name(field: &str, value: String) -> Checked<String> {
    if value.is_empty() { fail(field, Defect::Missing) } else { name(field, value) }
}

/// An address or an image: at most `max` bytes, printable, no blanks; it may be empty.
pub(super) fn token(field: &str, value: String, max: usize) -> Checked<String> {
    let value = text(field, value, max)?;
    match value.chars().find(|c| c.is_control() || c.is_whitespace()) {
        Some(found) => fail(field, Defect::BadCharacter { found }),
        None => Ok(value),
    }
}

/// Opaque bytes.
pub(super) fn data(field: &str, data: Vec<u8>) -> Checked<Vec<u8>> {
    let length = data.len();
    if length > MAX_DATA_BYTES {
        return fail(field, Defect::TooLong { length, max: MAX_DATA_BYTES, unit: "bytes" });
    }
    Ok(data)
}

/// Labels in order; keys are names, values are texts.
pub(super) fn labels(field: &str, labels: HashMap<String, String>) -> Checked<BTreeMap<String, String>> {
    bounded(field, labels.len(), MAX_ENTRIES)?;
    let ordered: BTreeMap<String, String> = labels.into_iter().collect();
    let each = ordered.into_iter();
    each.map(|(key, value)| {
        let key = required_name(field, key)?;
        let value = text(&format!("{field}[{key:?}]"), value, MAX_TEXT_BYTES)?;
        Ok((key, value))
    })
    .collect()
}

/// An amount that must not be negative.
pub(super) fn amount(field: &str, value: i64) -> Checked<u64> {
    u64::try_from(value).map_err(|_| WireError::new(field, Defect::Negative { value }))
}

/// A number of at most `max`.
pub(super) fn at_most(field: &str, value: u64, max: u64) -> Checked<u64> {
    if value > max { fail(field, Defect::TooLarge { value, max }) } else { Ok(value) }
}

/// A port, or 0 where 0 has a meaning.
pub(super) fn port_or_zero(field: &str, port: u32) -> Checked<u16> {
    u16::try_from(port).map_err(|_| WireError::new(field, Defect::PortOutOfRange { port }))
}

/// An enum: its known numbers, translated. The unspecified one is [`Defect::Missing`] where it has no meaning.
pub(super) fn choice<W: TryFrom<i32>, M>(
    field: &str,
    number: i32,
    allowed: &'static str,
    translate: impl FnOnce(W) -> Option<M>,
) -> Checked<M> {
    match W::try_from(number) {
        Ok(known) => required(field, translate(known)),
        Err(_) => fail(field, Defect::UnknownEnum { value: number, allowed }),
    }
}

/// An amount as the wire has it; amounts beyond what it can hold become the largest it can.
pub(super) fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// Both directions of an enum whose values stand for each other one by one. `$none` is the meaning of the
/// unspecified value: `None` refuses it.
macro_rules! same_enum {
    ($field_fn:ident: $model:ident <-> $wire:ident, unspecified $none:expr, [$($variant:ident),* $(,)?], $allowed:literal) => {
        pub(super) fn $field_fn(field: &str, number: i32) -> super::check::Checked<$model> {
            super::check::choice(field, number, $allowed, |known: $wire| match known {
                $wire::Unspecified => $none,
                $($wire::$variant => Some($model::$variant),)*
            })
        }

        impl From<$model> for $wire {
            fn from(value: $model) -> $wire {
                match value {
                    $($model::$variant => $wire::$variant,)*
                }
            }
        }
    };
}
pub(super) use same_enum;
