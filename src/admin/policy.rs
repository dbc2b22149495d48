//! The policy of a target, in words.

use std::time::Duration;

use crate::config::Sharing;
use crate::fsys;
use crate::judge;
use crate::report::LimitKey;
use crate::target::{Action, CatchUp, GoesFirst, Missing, Policy, RootRule, Sandbox, Target, Unverifiable};
use crate::units::{Bytes, Span};

/// Time in which a file system has to answer.
const PATIENCE: Duration = Duration::from_secs(2);

fn list<'a>(patterns: impl Iterator<Item = &'a str>) -> String {
    patterns.map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ")
}

/// Returns the policy of a target in one sentence.
#[must_use]
pub fn sentence(target: &Target) -> String {
    let Policy {
        globs,
        larger_than,
        smaller_than,
        older_than,
        age_by,
        min_age,
        keep_newest,
        whole_dirs,
        remove_empty_dirs,
        skip_open,
        min_free,
        // In `limits`, with `min_free`.
        max_size: _,
        max_files: _,
        order: _,
    } = &target.policy;
    let what = if *whole_dirs { "directories (whole) and files" } else { "files" };
    let mut sentence = format!("{what} named by {}", list(globs.include()));
    let mut add = |text: String| sentence.push_str(&text);
    if let Some(limit) = larger_than {
        add(format!(", larger than {}", Bytes(*limit)));
    }
    if let Some(limit) = smaller_than {
        add(format!(", smaller than {}", Bytes(*limit)));
    }
    add(match &target.action {
        Action::Delete => " go".to_owned(),
        Action::Trash => format!(" go to the trash for {}", Span(target.trash_keep)),
        Action::MoveTo(to) => format!(" are moved to {}", to.to_string_lossy()),
    });
    if let Some(limit) = older_than {
        add(format!(" at an age of {} ({})", Span(*limit), age_by.word()));
    }
    add(limits(&target.policy));
    if let Some(limit) = min_age {
        add(format!(", none younger than {} ({})", Span(*limit), age_by.word()));
    }
    if let Some(count) = keep_newest {
        add(format!(", but not the {count} newest of each directory"));
    }
    if *skip_open {
        add(", none that is in use".to_owned());
    }
    if globs.exclude().next().is_some() {
        add(format!(", except {}", list(globs.exclude())));
    }
    if target.action == Action::Trash && min_free.is_some() {
        add("; files that make room for `min_free` are deleted for good".to_owned());
    }
    if *remove_empty_dirs {
        add("; empty directories go too".to_owned());
    }
    if let Some(most) = target.max_deletes {
        add(format!("; a run that would take more than {most} files is held"));
    }
    if let Some(name) = &target.require {
        add(format!("; without `{name}` in it a run is held"));
    }
    sentence
}

fn limits(policy: &Policy) -> String {
    let size = policy.max_size.map(|limit| format!("they take more than {}", Bytes(limit)));
    let files = policy.max_files.map(|limit| format!("they are more than {limit}"));
    let free = policy.min_free.map(|limit| format!("less than {limit} of the file system is free"));
    let limits: Vec<String> = [size, files, free].into_iter().flatten().collect();
    if limits.is_empty() {
        return String::new();
    }
    let first = match policy.order {
        GoesFirst::Oldest => format!("the oldest ({}) first", policy.age_by.word()),
        GoesFirst::Largest => "the largest first".to_owned(),
    };
    let and = if policy.older_than.is_some() { ", and" } else { "" };
    format!("{and} while {}, {first}", limits.join(" or "))
}

/// Returns remarks on keys that differ from their defaults and are no part of the policy's sentence.
fn settings(target: &Target) -> Vec<String> {
    let Target {
        enabled,
        catch_up,
        dry_run,
        threads,
        idle,
        on_unverifiable,
        sandbox,
        root,
        // In `sentence`.
        policy: _,
        action: _,
        trash_keep: _,
        max_deletes: _,
        require: _,
        // In `remarks`.
        missing: _,
        nested: _,
        same_disk: _,
        // Told beside them.
        name: _,
        written_path: _,
        path: _,
        schedule: _,
        zone: _,
        device: _,
    } = target;
    let mut said: Vec<String> = Vec::new();
    let mut say = |holds: bool, text: &str| said.extend(holds.then(|| text.to_owned()));
    say(!enabled, "not enabled: never swept");
    say(*dry_run, "dry run: removes nothing");
    let plain = "less safe: `on_unverifiable = \"plain\"` removes a file that cannot be verified by its name, whatever has \
                 that name by then";
    say(*on_unverifiable == Unverifiable::Plain, plain);
    let off = "less safe: `sandbox = \"off\"` leaves it to janitor alone that a sweep stays in the target";
    say(*sandbox == Sandbox::Off, off);
    say(
        *sandbox == Sandbox::Require,
        "a run fails where the kernel cannot keep it to the target (`sandbox = \"require\"`)",
    );
    let any = "less safe: `root = \"any\"` holds no run whose directory lies on another file system than in the last";
    say(*root == RootRule::Any, any);
    say(*catch_up == CatchUp::None, "a run that was missed while no daemon was there is not made up for");
    say(*idle, "takes only what processor and disk have left over");
    if let Some(threads) = threads {
        say(true, &format!("works on {threads} thread(s)"));
    }
    said
}

/// Returns the remarks on a target beside its policy.
#[must_use]
pub fn remarks(target: &Target, sharing: &Sharing) -> Vec<String> {
    let mut remarks = settings(target);
    for (name, path) in &target.nested {
        remarks.push(format!("`{}` below it belongs to the target {name} and is left to it", path.to_string_lossy()));
    }
    for other in sharing.get(&target.name).into_iter().flatten() {
        remarks.push(format!("the target {other} has the same directory; both policies hold there"));
    }
    for other in &target.same_disk {
        remarks.push(format!(
            "the target {other} keeps space free on the same file system: whichever runs first removes its own files for \
             both, the work is not shared by age"
        ));
    }
    let globs = &target.policy.globs;
    for (include, exclude) in globs.shadowed() {
        remarks.push(format!("the include `{include}` never names anything: the exclude `{exclude}` beats it"));
    }
    let limits: Vec<&str> = judge::limits_of(&target.policy).map(LimitKey::word).collect();
    if !limits.is_empty() && globs.is_top_level() && !target.policy.whole_dirs {
        remarks.push(format!(
            "{} {} the top level only: no include ({}) reaches into directories; `**` means all of it",
            limits.join(", "),
            if limits.len() == 1 { "covers" } else { "cover" },
            list(globs.include())
        ));
    }
    if target.policy.order != GoesFirst::default() && !target.policy.has_limits() {
        remarks.push("`order` has no effect without max_size, max_files or min_free".to_owned());
    }
    remarks.extend(remark_on_directory(target));
    remarks
}

/// Returns the remark on the directory of a target, if there is one.
fn remark_on_directory(target: &Target) -> Option<String> {
    if fsys::is_unreachable(&target.path) {
        return Some("unreachable: the directory does not answer; runs fail until it does".to_owned());
    }
    let path = target.path.clone();
    let look = move || (path.metadata().is_ok_and(|about| about.is_dir()), path.symlink_metadata().is_ok());
    let remark = match (fsys::within(PATIENCE, &target.path, look), target.missing) {
        (Err(error), _) => return Some(format!("{error}; runs fail until it does")),
        (Ok((true, _)), _) => return None,
        (Ok((false, true)), _) => "this is not a directory that can be looked at; runs fail",
        (Ok((false, false)), Missing::Create) => "the directory does not exist; the first run makes it",
        (Ok((false, false)), Missing::Skip) => "the directory does not exist; runs have nothing to do",
        (Ok((false, false)), Missing::Fail) => "the directory does not exist; runs fail until it does",
    };
    Some(remark.to_owned())
}
