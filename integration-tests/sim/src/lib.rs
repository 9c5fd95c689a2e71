//! The whole cluster from the engines in virtual time, seeded.
