//! The shell around the agent engine: master link, checkpoints, logs, runtime.
