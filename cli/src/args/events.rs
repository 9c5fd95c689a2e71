//! The flags of `proffer events`.

use clap::{Args, ValueEnum};

/// `proffer events`
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Go on with what changes
    #[arg(short, long)]
    pub follow: bool,
    /// Only what changes from now on
    #[arg(short, long)]
    pub changes_only: bool,
    /// Only of these kinds, joined by commas
    #[arg(short, long, value_enum, value_delimiter = ',')]
    pub kind: Vec<EventKind>,
}

/// What an event can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EventKind {
    /// Agents
    Agent,
    /// Frameworks, with how much they want
    Framework,
    /// Offers and their answers
    Offer,
    /// Tasks
    Task,
    /// Roles and their quotas
    Role,
    /// Requests to leave agents and their answers
    InverseOffer,
}
