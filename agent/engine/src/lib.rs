//! Every decision of the agent. Pure.
