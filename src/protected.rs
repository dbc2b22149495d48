//! What no target may be (interface; being written).

use std::path::{Path, PathBuf};

use crate::entry::Identity;

/// The directories that no target may be: by path and by identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protected {
    places: Vec<(PathBuf, Option<Identity>)>,
}

impl Protected {
    /// Why a target's directory is refused, in words; `None` when it may be swept. `path` has no links left in it.
    #[must_use]
    pub fn refuse(&self, path: &Path, identity: Option<Identity>) -> Option<String> {
        self.places
            .iter()
            .any(|(place, known)| place == path || (known.is_some() && *known == identity))
            .then(|| "protected".to_owned())
    }
}
