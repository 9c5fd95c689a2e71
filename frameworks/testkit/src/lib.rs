//! Scripted runs and a simulated cluster for framework authors.
