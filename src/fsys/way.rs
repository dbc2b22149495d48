//! Path of a directory that waits to be visited, as its name and a link to the path above. Full paths of a chain of
//! thousands of directories would fill the memory.

use std::rc::Rc;

/// Path from a top directory down.
#[derive(Clone, Debug, Default)]
pub(super) struct Way(Option<Rc<Step>>);

#[derive(Debug)]
struct Step {
    above: Way,
    name: Box<[u8]>,
}

impl Way {
    /// Returns the path of a subdirectory of this one.
    pub(super) fn to(&self, name: &[u8]) -> Self {
        Self(Some(Rc::new(Step { above: self.clone(), name: name.into() })))
    }

    /// Returns the path relative to the top; empty for the top itself.
    pub(super) fn path(&self) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = self;
        while let Some(step) = &at.0 {
            names.push(&*step.name);
            at = &step.above;
        }
        names.reverse();
        names.join(&b'/')
    }
}

/// Drops the steps one after the other: the default drop of a chain of thousands would recurse once for each.
impl Drop for Step {
    fn drop(&mut self) {
        let mut next = self.above.0.take();
        while let Some(mut last) = next.and_then(Rc::into_inner) {
            next = last.above.0.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_has_its_path_and_a_long_one_is_dropped() {
        let top = Way::default();
        assert_eq!(top.path(), b"");
        assert_eq!(top.to(b"a").to(b"b").path(), b"a/b");
        let long = (0..1_000_000).fold(top, |way, _| way.to(b"d"));
        assert_eq!(long.path().len(), 1_999_999);
    }
}
