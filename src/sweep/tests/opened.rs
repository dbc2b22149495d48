//! Files that are opened between the verdict and the act.

use std::ffi::CStr;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Mutex;

use rustix::fs::OFlags;

use super::*;
use crate::entry::Facts;
use crate::fsys::Found;
use crate::sweep::act::{Act, Hands, How, Move, Remove, Undone};
use crate::sweep::batch::Opened;
use crate::sweep::emptied::Emptied;
use crate::sweep::trash::ToTrash;
use crate::verdict::Reason;

/// Has each file opened for writing right before something is done to it.
struct OpensFirst<'a> {
    act: &'a dyn Act,
    root: &'a Path,
    open: Mutex<Vec<File>>,
}

impl Act for OpensFirst<'_> {
    fn may_change(&self) -> bool {
        true
    }

    fn by_name(&self, _: &Opened, _: &CStr, _: Option<&Facts>, _: &Reason, _: &Dir) -> Result<How, Undone> {
        panic!("with skip_open each file is looked at")
    }

    fn act(
        &self,
        directory: &Opened,
        name: &CStr,
        found: &Found,
        reason: &Reason,
        hands: Hands<'_>,
    ) -> Result<How, Undone> {
        let path = self.root.join(name.to_str().expect("plain"));
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        // Who would rather wait than be told that it is leased waits until it is let go.
        let open = File::options().write(true).custom_flags(flags).open(path);
        self.open.lock().expect("no panic").extend(open);
        self.act.act(directory, name, found, reason, hands)
    }

    fn directory(&self, _: &Dir, _: &[u8], _: Emptied<'_>, _: Hands<'_>) -> Result<(), Undone> {
        Ok(())
    }
}

#[test]
fn what_is_opened_after_the_verdict_stays_with_skip_open_whatever_the_action() {
    if !crate::needs::leases() {
        return;
    }
    for to in ["delete", "trash", "move", "across"] {
        let yard = Yard::new();
        yard.file("a", Duration::from_secs(DAY));
        let other = (to == "across").then(|| crate::needs::another_file_system(&yard.root));
        let archive = match &other {
            // It has said so.
            Some(None) => continue,
            Some(Some(other)) => other.path().to_owned(),
            None => yard.root.join("../archive"),
        };
        fs::create_dir_all(&archive).expect("made");
        let mut policy = policy(&["*"], &[]);
        policy.skip_open = true;
        let mut order = yard.order(policy);
        let action = if to == "trash" { Action::Trash } else { Action::Delete };
        // What is done in between is done by the thread that sweeps.
        order.target = Arc::new(Target { action, sandbox: Sandbox::Off, ..(*order.target).clone() });
        let act: Box<dyn Act> = match to {
            "delete" => Box::new(Remove(Unverifiable::Skip)),
            "trash" => Box::new(ToTrash::new(&order, open_trash(&order).expect("there is room"))),
            _ => Box::new(Move(
                Destination::open(&archive.canonicalize().expect("there")).expect("there"),
                Unverifiable::Skip,
            )),
        };
        let opens = OpensFirst { act: &*act, root: &yard.root, open: Mutex::default() };
        let report = execute(&order, &Control::default(), &|_| {}, &opens, &Dir::space);
        let said = format!("{:?}", report.remarks);
        assert_eq!((report.outcome, report.counts.deleted), (Outcome::Done, 0), "{to}: {report:?}");
        assert!(said.contains("in use by a process"), "{to}: {said}");
        assert_eq!(yard.files(), set(&["a"]), "{to}");
        assert_eq!(fs::read_dir(&archive).expect("there").count(), 0, "{to}");
    }
}
