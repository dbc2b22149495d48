//! The config (interface; being written).
mod settings;
pub use settings::{AdminSettings, LogFormat, LogLevel, LogSettings, Rotation, Settings};

use crate::protected::Protected;
use crate::target::Target;
use std::sync::Arc;

/// A config in which nothing is left to doubt.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The daemon's own settings.
    pub settings: Settings,
    /// The targets, in the order of the file; never empty, names unique.
    pub targets: Vec<Arc<Target>>,
    /// Whether the text names targets itself, or the built-in `marked_images` target stands in.
    pub names_targets: bool,
    /// What no target may be.
    pub protected: Arc<Protected>,
}
