//! Every decision of the master. Pure.
