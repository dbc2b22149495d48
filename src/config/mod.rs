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

/// STUB
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// s
    pub working_directory: std::path::PathBuf,
    /// s
    pub home: Option<std::path::PathBuf>,
}
/// STUB
#[derive(Debug)]
pub struct ReadError;
impl std::fmt::Display for ReadError {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
impl ReadError {
    /// STUB
    pub fn is_not_found(&self) -> bool {
        true
    }
}
/// STUB
pub struct Problems;
impl Problems {
    /// STUB
    pub fn lines(&self) -> Vec<String> {
        vec![]
    }
}
/// STUB
/// # Errors
/// STUB
pub fn read(_p: &std::path::Path) -> Result<String, ReadError> {
    Err(ReadError)
}
/// STUB
/// # Errors
/// STUB
pub fn check(_t: &str, _s: &str, _x: &Surroundings) -> Result<Config, Problems> {
    Err(Problems)
}
