//! Decides who is offered what. Pure.
