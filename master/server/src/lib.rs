//! The shell around the master engine: gRPC, store, read models, dashboard.
