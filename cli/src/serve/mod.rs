//! The commands that run a server until they are told to stop.

pub mod agent;
pub mod batch;
pub mod dev;
pub mod master;
pub mod service;
