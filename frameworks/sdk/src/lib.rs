//! The scheduler SDK: write a framework for Proffer.
