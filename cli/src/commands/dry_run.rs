//! What would come of a change, for people and for programs. Changes nothing: the master was only asked.

use proffer_proto_wire::operator::{Consequences, VolumeName};
use serde::Serialize;

use crate::output::{self, Format};
use crate::{CliError, Outcome};

/// What would come of a change, as JSON.
#[derive(Debug, Serialize)]
struct DryRunView<'a> {
    /// In words.
    change: &'a str,
    dry_run: bool,
    /// Nothing would change: it is so already.
    is_so_already: bool,
    /// Tasks that would end.
    tasks_ended: u32,
    /// Offers that would be withdrawn.
    offers_withdrawn: u32,
    /// Volumes whose data would go, as AGENT/ROLE/NAME.
    volumes_destroyed: Vec<String>,
}

/// Says what would come of `change`, as in "agent A1-1 would be drained".
pub(super) fn show(format: Format, change: &str, came: Option<Consequences>) -> Result<Outcome, CliError> {
    let Consequences { already, tasks_ended, offers_withdrawn, volumes_destroyed } = came.unwrap_or_default();
    let name = |volume: VolumeName| format!("{}/{}/{}", volume.agent_id, volume.role, volume.volume_id);
    let volumes_destroyed = volumes_destroyed.into_iter().map(name).collect();
    let view =
        DryRunView { change, dry_run: true, is_so_already: already, tasks_ended, offers_withdrawn, volumes_destroyed };
    match format {
        Format::Json => output::json(&view)?,
        Format::Table => output::say(&view.told())?,
    }
    Ok(Outcome::Good)
}

impl DryRunView<'_> {
    /// One sentence for people.
    fn told(&self) -> String {
        let Self { change, dry_run: _, is_so_already, tasks_ended, offers_withdrawn, volumes_destroyed } = self;
        if *is_so_already {
            return format!("{change}: that is so already, nothing would change");
        }
        let mut words = Vec::new();
        words.extend((*tasks_ended > 0).then(|| format!("{tasks_ended} tasks would end")));
        words.extend((*offers_withdrawn > 0).then(|| format!("{offers_withdrawn} offers would be withdrawn")));
        if !volumes_destroyed.is_empty() {
            words.push(format!("the data of {} would go", volumes_destroyed.join(", ")));
        }
        match words.as_slice() {
            [] => format!("{change}; nothing would end"),
            some => format!("{change}: {}", some.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_come_of_it_is_one_sentence() {
        let view = |is_so_already, tasks_ended, offers_withdrawn, volumes: &[&str]| {
            let volumes_destroyed = volumes.iter().map(|name| (*name).to_owned()).collect();
            let change = "agent A1-1 would be drained";
            DryRunView { change, dry_run: true, is_so_already, tasks_ended, offers_withdrawn, volumes_destroyed }.told()
        };
        assert_eq!(view(true, 0, 0, &[]), "agent A1-1 would be drained: that is so already, nothing would change");
        assert_eq!(view(false, 0, 0, &[]), "agent A1-1 would be drained; nothing would end");
        assert_eq!(
            view(false, 3, 1, &["A1-1/eng/db"]),
            "agent A1-1 would be drained: 3 tasks would end, 1 offers would be withdrawn, the data of A1-1/eng/db would go"
        );
    }
}
