//! The smallest framework: run one container.
