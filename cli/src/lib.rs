//! The proffer binary: every server and every user command.
