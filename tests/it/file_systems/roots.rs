//! The guard for a root that lies on another file system than in the last run.

crate::mounts::in_namespace! {
    a_root_on_another_file_system_holds_the_run_until_it_is_released
    a_clean_without_a_daemon_is_held_by_a_root_on_another_file_system
    a_root_that_was_mounted_again_is_no_other
    a_preview_by_the_port_knows_that_the_root_lies_elsewhere
}

mod private {
    use crate::file_systems::*;

    const DAILY: &str = "[[target]]\npath = \"target\"\nschedule = \"0 2 * * *\"\ninclude = [\"*\"]\n";

    fn swept(daemon: &Daemon<'_>) -> Value {
        daemon.post("/cleanup/manual").json()["runs"][0].clone()
    }

    pub fn a_root_on_another_file_system_holds_the_run_until_it_is_released(yard: &Yard) {
        yard.file("target/a");
        let daemon = Daemon::with(yard, DAILY);
        assert_eq!(swept(&daemon)["outcome"], "done");
        let other = mount(yard, Kind::Ext4, "target");
        yard.file("target/precious");
        let held = swept(&daemon);
        assert_eq!((&held["outcome"], &held["held"]["guard"]), (&"held".into(), &"root".into()), "{held}");
        assert!(held["message"].as_str().expect("words").contains("root = \"any\""), "{held}");
        assert_eq!(yard.left("target"), ["precious"]);
        let route = format!("/cleanup/runs/{}/release", held["run"].as_str().expect("an id"));
        assert_eq!(daemon.post(&route).json()["runs"][0]["outcome"], "done");
        assert!(yard.left("target").is_empty());
        yard.file("target/b");
        assert_eq!(swept(&daemon)["outcome"], "done", "it is known now");
        other.unmount();
        assert_eq!(swept(&daemon)["outcome"], "held", "and so is that nothing is mounted any more");
    }

    pub fn a_clean_without_a_daemon_is_held_by_a_root_on_another_file_system(yard: &Yard) {
        yard.file("target/a");
        yard.config(DAILY);
        assert_eq!(yard.run(&["clean"]).code, Some(0));
        let other = mount(yard, Kind::Ext4, "target");
        yard.file("target/precious");
        let ran = yard.run(&["clean"]);
        assert!(ran.code == Some(75) && ran.err.contains("another file system"), "{ran:?}");
        assert_eq!(yard.left("target"), ["precious"]);
        other.unmount();
        assert_eq!(yard.run(&["clean"]).code, Some(0), "it is where it was");
    }

    pub fn a_root_that_was_mounted_again_is_no_other(yard: &Yard) {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Overlay && kind.is_there()) {
            let name = format!("{kind:?}");
            let config = DAILY.replace("\"target\"", &format!("\"{name}\""));
            let mounted = mount(yard, kind, &name);
            let daemon = Daemon::with(yard, &config);
            let device = || std::os::unix::fs::MetadataExt::dev(&fs::metadata(&mounted.path).expect("there"));
            let before = device();
            assert_eq!(swept(&daemon)["outcome"], "done", "{name}");
            mounted.unmount();
            // Others are given the number of the device meanwhile.
            script(yard, "mkdir -p other; mount -t tmpfs none other; truncate -s 1M disk; losetup -f --show disk >dev");
            script(
                yard,
                match kind {
                    Kind::Tmpfs => "mount -t tmpfs -o mode=755 none Tmpfs",
                    Kind::Ext4 => "mount -o loop .Ext4 Ext4",
                    Kind::Xfs => "mount -o loop .Xfs Xfs",
                    Kind::Btrfs => "mount -o loop .Btrfs Btrfs",
                    _ => "bindfs .Fuse Fuse",
                },
            );
            let is_another = device() != before;
            script(yard, "umount other; losetup -d $(cat dev)");
            assert!(is_another, "{name}: this is what is to be told apart");
            yard.file(format!("{name}/c"));
            let again = swept(&daemon);
            assert_eq!((&again["outcome"], &again["deleted"]), (&"done".into(), &1.into()), "{again}");
            mounted.unmount();
            // The yard is a tmpfs itself, and one of these is like another.
            let then = if kind == Kind::Tmpfs { "done" } else { "held" };
            assert_eq!(swept(&daemon)["outcome"], then, "{name} is not mounted any more");
            drop(daemon);
            let daemon = Daemon::with(yard, &format!("{config}root = \"any\"\n"));
            assert_eq!(swept(&daemon)["outcome"], "done", "{name}");
            drop(daemon);
            script(yard, "rm -rf state");
        }
    }

    pub fn a_preview_by_the_port_knows_that_the_root_lies_elsewhere(yard: &Yard) {
        yard.file("target/1");
        let daemon = Daemon::with(yard, DAILY);
        daemon.post("/cleanup/manual");
        mount(yard, Kind::Ext4, "target");
        yard.file("target/2");
        let report = daemon.get("/cleanup/preview?target=target").json()["targets"][0]["report"].clone();
        assert_eq!((&report["outcome"], &report["held"]["guard"]), (&"held".into(), &"root".into()), "{report}");
    }
}
