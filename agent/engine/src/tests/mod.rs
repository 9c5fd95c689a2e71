//! Scripted lives of tasks, and random ones.

mod delivery;
mod endings;
mod interleavings;
mod launches;
mod masters;
mod recoveries;
mod volumes;
mod world;
