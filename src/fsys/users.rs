//! Names of users, and groups that hold nobody but one user. Only the local files are read: a user or group kept
//! elsewhere (LDAP, systemd) has no name here, and such a group counts as others.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// Returns the lines of a file of passwd(5) or group(5), split into fields.
fn entries(path: &Path) -> impl Iterator<Item = Vec<String>> {
    let file = File::open(path).map(BufReader::new).ok();
    let lines = file.into_iter().flat_map(|file| file.split(b'\n').map_while(Result::ok));
    lines.map(|line| String::from_utf8_lossy(&line).split(':').map(str::to_owned).collect())
}

/// Returns the field `wanted` of the entry whose third field is `id`.
fn name(path: &str, id: u32) -> Option<String> {
    let id = id.to_string();
    let entry = entries(Path::new(path)).find(|fields| fields.get(2) == Some(&id))?;
    entry.into_iter().next().filter(|name| !name.is_empty())
}

/// Returns `alice (uid 1000)`, or `uid 1000` for a user without a name.
pub(super) fn shown_user(uid: u32) -> String {
    name(PASSWD, uid).map_or_else(|| format!("uid {uid}"), |name| format!("{} (uid {uid})", printable(&name)))
}

/// Returns the form of a user that `sudo -u` takes.
pub(super) fn sudo_user(uid: u32) -> String {
    name(PASSWD, uid).map_or_else(|| format!("#{uid}"), |name| printable(&name))
}

/// Returns `staff (gid 50)`, or `gid 50` for a group without a name.
pub(super) fn shown_group(gid: u32) -> String {
    name(GROUP, gid).map_or_else(|| format!("gid {gid}"), |name| format!("{} (gid {gid})", printable(&name)))
}

fn printable(name: &str) -> String {
    crate::names::Escaped(name.as_bytes()).to_string()
}

/// Returns whether a group holds nobody but this user: the group is his primary group, has his name and no other
/// members, and is nobody else's primary group.
pub(super) fn is_private_group(gid: u32, uid: u32) -> bool {
    is_private_in(Path::new(PASSWD), Path::new(GROUP), gid, uid)
}

fn is_private_in(passwd: &Path, group: &Path, gid: u32, uid: u32) -> bool {
    let (uid, gid) = (uid.to_string(), gid.to_string());
    let mut user = None;
    for fields in entries(passwd) {
        let [name, _, entry_uid, entry_gid, ..] = fields.as_slice() else { continue };
        if *entry_gid == gid {
            if *entry_uid != uid {
                return false;
            }
            user = Some(name.clone());
        }
    }
    let Some(user) = user else { return false };
    let mut found = false;
    for fields in entries(group) {
        let [name, _, entry_gid, rest @ ..] = fields.as_slice() else { continue };
        if *entry_gid == gid {
            let mut members = rest.first().map(String::as_str).unwrap_or_default().split(',');
            if *name != user || !members.all(|member| member.is_empty() || member == user) {
                return false;
            }
            found = true;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_private_when_it_has_the_users_name_and_nobody_else_is_in_it() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| yard.path().join(name);
        let check = |passwd: &str, group: &str| {
            std::fs::write(at("passwd"), passwd).expect("written");
            std::fs::write(at("group"), group).expect("written");
            is_private_in(&at("passwd"), &at("group"), 1000, 1000)
        };
        let alice = "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert!(check(alice, "alice:x:1000:\n"));
        assert!(check(alice, "alice:x:1000:alice\n"));
        for (passwd, group, why) in [
            (alice, "alice:x:1000:bob\n", "another member"),
            (alice, "alice:x:1000:alice,bob\n", "another member"),
            (alice, "users:x:1000:\n", "another name"),
            (alice, "staff:x:1001:\n", "no such group"),
            (alice, "alice:x:1000:\nadm:x:1000:bob\n", "a second name for the group"),
            ("alice:x:1000:100::/:/bin/sh\n", "alice:x:1000:\n", "not the primary group"),
            (&format!("{alice}bob:x:1001:1000::/:/bin/sh\n"), "alice:x:1000:\n", "bob's primary group too"),
            ("", "alice:x:1000:\n", "a user who is not known here"),
        ] {
            assert!(!check(passwd, group), "{why}");
        }
        assert!(!is_private_in(&at("missing"), &at("group"), 1000, 1000));
    }

    #[test]
    fn a_user_is_shown_with_his_name() {
        assert_eq!(shown_user(0), "root (uid 0)");
        assert_eq!(shown_user(4_000_000_000), "uid 4000000000");
        assert_eq!((sudo_user(0), sudo_user(4_000_000_000)), ("root".into(), "#4000000000".into()));
    }
}
