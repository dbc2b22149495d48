//! `min_free` where deleting frees nothing, or others change the disk meanwhile.

crate::mounts::in_namespace! {
    a_snapshot_that_holds_the_space_ends_the_run_and_is_remembered
    links_reflinks_and_open_files_end_the_run_and_are_remembered
    space_that_comes_late_is_waited_for
    who_fills_the_disk_meanwhile_hides_nothing
    who_frees_it_meanwhile_proves_nothing
}

mod private {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    use crate::file_systems::*;

    fn keys(more: &str) -> String {
        format!("include = [\"**\"]\n{more}\n")
    }

    fn said(run: &Value) -> String {
        run["over_limits"].to_string()
    }

    pub fn a_snapshot_that_holds_the_space_ends_the_run_and_is_remembered(yard: &Yard) {
        if !Kind::Btrfs.is_there() {
            return;
        }
        mount_sized(yard, Kind::Btrfs, "m", "40G");
        script(
            yard,
            "btrfs -q subvolume create m/t
             for i in $(seq 100); do fallocate -l 300M m/t/r$i; touch -d \"$((200-i)) days ago\" m/t/r$i; done
             sync; btrfs -q subvolume snapshot -r m/t m/snap; sync",
        );
        configure(yard, &keys("min_free = \"50%\""));
        let ran = good(yard.run(&["clean", "--json"]));
        let run = ran.json()["runs"][0].clone();
        assert_eq!((&run["outcome"], &run["deleted"]), (&"done".into(), &1.into()), "{run}");
        assert!(said(&run).contains("below min_free: deleting frees nothing"), "{run}");
        assert!(ran.err.contains("over its limit"), "{ran:?}");
        assert!(run["freed_bytes"].as_u64().is_some_and(|freed| freed < 100_000_000), "{run}");
        assert_eq!(run["estimated_bytes"], 0, "{run}");
        // The next run begins with a probe, and no other comes for a day.
        assert_eq!(cleaned(yard)["deleted"], 1);
        for _ in 0..2 {
            let run = cleaned(yard);
            assert_eq!(run["deleted"], 0, "{run}");
            assert!(said(&run).contains("it is tried again from"), "{run}");
        }
        let preview = good(yard.run(&["preview", "--json"])).json();
        assert_eq!(preview["targets"][0]["report"]["deleted"], 0, "{preview}");
        // More is free once the snapshot has gone, and then it goes on.
        script(yard, "btrfs -q subvolume delete -c m/snap; btrfs subvolume sync m; sync");
        let run = cleaned(yard);
        assert_eq!((&run["outcome"], &run["unmet"]), (&"done".into(), &serde_json::json!({})), "{run}");
        assert!(run["deleted"].as_u64().is_some_and(|deleted| (20..60).contains(&deleted)), "{run}");
        assert!(run["freed_bytes"].as_u64().is_some_and(|freed| freed > 6_000_000_000), "{run}");
    }

    pub fn links_reflinks_and_open_files_end_the_run_and_are_remembered(yard: &Yard) {
        for (kind, hold) in [
            (Kind::Ext4, "mkdir m/held; cp -al m/t/. m/held"),
            (Kind::Ext4, "sh -c 'for f in m/t/*; do sleep 1000 <$f & done' & sleep 1"),
            (Kind::Xfs, "mkdir m/held; cp --reflink=always m/t/* m/held; sync"),
            (Kind::Btrfs, "mkdir m/held; cp --reflink=always m/t/* m/held; sync"),
        ] {
            if !kind.is_there() {
                continue;
            }
            let mounted = mount(yard, kind, "m");
            yard.directory("m/t");
            for at in 0..100 {
                aged(yard, &format!("m/t/f{at:03}"), 20_000, 9);
            }
            script(yard, "sync");
            let mut holder = Command::new("sh")
                .args(["-c", &format!("{hold}\nwait")])
                .current_dir(yard.path(""))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .process_group(0)
                .spawn()
                .expect("sh runs");
            if hold.contains("sleep") {
                std::thread::sleep(Duration::from_secs(2));
            } else {
                holder.wait().expect("ours");
            }
            configure(yard, &keys("min_free = \"100%\""));
            let deleted: Vec<u64> = (0..4).map(|_| cleaned(yard)["deleted"].as_u64().expect("a number")).collect();
            drop(Command::new("kill").args(["-9", "--", &format!("-{}", holder.id())]).status());
            drop(holder.wait());
            assert_eq!(deleted, [64, 8, 0, 0], "{kind:?} {hold}");
            mounted.unmount();
            script(yard, "rm -rf state .m");
        }
    }

    pub fn space_that_comes_late_is_waited_for(yard: &Yard) {
        for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs, Kind::Tmpfs].into_iter().filter(|kind| kind.is_there()) {
            let mounted = mount_sized(yard, kind, "m", "1G");
            yard.directory("m/t");
            for at in 0..40 {
                aged(yard, &format!("m/t/f{at:03}"), 10_000_000, 90 - at);
            }
            script(yard, "sync");
            configure(yard, &keys("min_free = \"80%\""));
            let run = cleaned(yard);
            assert_eq!((&run["outcome"], &run["unmet"]), (&"done".into(), &serde_json::json!({})), "{kind:?}: {run}");
            let stat = rustix::fs::statvfs(yard.path("m")).expect("there");
            let above = stat.f_bavail * stat.f_frsize - stat.f_blocks * stat.f_frsize / 100 * 80;
            assert!(above < 45_000_000, "{kind:?}: not much more goes than has to: {above} {run}");
            assert!(run["freed_bytes"].as_u64().is_some_and(|freed| freed > 100_000_000), "{kind:?}: {run}");
            mounted.unmount();
            script(yard, "rm -rf state .m");
        }
    }

    /// Somebody who works on the disk until it is dropped.
    struct Other(Child);

    impl Other {
        fn begins(yard: &Yard, script: &str) -> Self {
            let mut command = Command::new("sh");
            command.args(["-c", script]).current_dir(yard.path("")).stdin(Stdio::null()).process_group(0);
            Self(command.spawn().expect("sh runs"))
        }
    }

    impl Drop for Other {
        fn drop(&mut self) {
            drop(Command::new("kill").args(["-9", "--", &format!("-{}", self.0.id())]).status());
            drop(self.0.wait());
        }
    }

    pub fn who_fills_the_disk_meanwhile_hides_nothing(yard: &Yard) {
        for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs].into_iter().filter(|kind| kind.is_there()) {
            let mounted = mount_sized(yard, kind, "m", "2G");
            yard.directory("m/t");
            yard.directory("m/other");
            for at in 0..150 {
                aged(yard, &format!("m/t/f{at:03}"), 10_000_000, 200 - at);
            }
            script(yard, "sync");
            let filler = "for i in $(seq 300); do head -c 1000000 /dev/zero >m/other/$i; sleep 0.01; done";
            configure(yard, &keys("min_free = \"60%\""));
            let filling = Other::begins(yard, filler);
            let run = cleaned(yard);
            drop(filling);
            assert_eq!((&run["outcome"], &run["unmet"]), (&"done".into(), &serde_json::json!({})), "{kind:?}: {run}");
            mounted.unmount();
            script(yard, "rm -rf state .m");
        }
    }

    pub fn who_frees_it_meanwhile_proves_nothing(yard: &Yard) {
        let mounted = mount_sized(yard, Kind::Ext4, "m", "2G");
        for directory in ["m/t", "m/held", "m/other"] {
            yard.directory(directory);
        }
        for at in 0..400 {
            aged(yard, &format!("m/t/f{at:03}"), 100_000, 9);
        }
        script(yard, "cp -al m/t/. m/held; for i in $(seq 3000); do head -c 200000 /dev/zero >m/other/$i; done; sync");
        configure(yard, &keys("min_free = \"100%\""));
        let freeing = Other::begins(yard, "for i in $(seq 3000); do rm m/other/$i; done");
        let run = cleaned(yard);
        drop(freeing);
        assert_eq!(run["deleted"], 64, "{run}");
        mounted.unmount();
    }
}
