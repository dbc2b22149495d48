//! The whole program, as a user sees it.
