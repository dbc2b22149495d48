//! File systems below a target where nothing is mounted, and overlays, which only look like some.

crate::mounts::in_namespace! {
    subvolumes_and_snapshots_below_a_target_are_kept_and_not_counted
    files_of_a_lower_layer_are_no_other_file_system
}

mod private {
    use crate::file_systems::*;

    pub fn subvolumes_and_snapshots_below_a_target_are_kept_and_not_counted(yard: &Yard) {
        if !Kind::Btrfs.is_there() {
            return;
        }
        mount(yard, Kind::Btrfs, "m");
        script(yard, "btrfs -q subvolume create m/home; mkdir -p m/home/u/.snapshots");
        for at in 1..=3 {
            aged(yard, &format!("m/home/u/v{at}.mp4"), 2_000_000, 10 - at);
        }
        script(
            yard,
            "for s in 1 2 3 4 5; do mkdir -p m/home/u/.snapshots/$s
             btrfs -q subvolume snapshot -r m/home m/home/u/.snapshots/$s/snapshot; done",
        );
        let target = "path = \"m/home/u\"\ninclude = [\"**/*.mp4\"]\n";
        configure(yard, &format!("{target}max_size = \"10MB\"\n"));
        let preview = good(yard.run(&["preview", "--json"])).json();
        assert_eq!(preview["targets"][0]["report"]["deleted"], 0, "{preview}");
        let run = cleaned(yard);
        assert_eq!(
            (&run["outcome"], &run["deleted"], &run["candidates"]),
            (&"done".into(), &0.into(), &3.into()),
            "{run}"
        );
        let explained = good(yard.run(&["explain", "m/home/u/.snapshots/1/snapshot/u/v1.mp4"]));
        assert!(explained.out.contains("another file system"), "{explained:?}");
        let explained = good(yard.run(&["explain", "m/home/u/.snapshots/1/snapshot"]));
        assert!(explained.out.contains("another file system"), "{explained:?}");
        let preview = good(yard.run(&["preview"]));
        assert!(preview.out.contains("skips directory  .snapshots/1/snapshot  (another file system"), "{preview:?}");

        // One that can be written, as a unit and inside of one.
        script(
            yard,
            "mkdir m/home/u/unit; btrfs -q subvolume create m/home/u/unit/in; btrfs -q subvolume create m/home/u/own",
        );
        for path in ["unit/a", "unit/in/b", "own/c", "plain/d"] {
            aged(yard, &format!("m/home/u/{path}"), 1, 9);
        }
        script(yard, "find m/home/u/unit m/home/u/own m/home/u/plain -depth -exec touch -d '9 days ago' {} +");
        configure(
            yard,
            "path = \"m/home/u\"\ninclude = [\"*\"]\nexclude = [\"*.mp4\", \".snapshots\"]\nwhole_dirs = true\nolder_than = \"2d\"\n",
        );
        let run = cleaned(yard);
        assert_eq!((&run["outcome"], &run["deleted"]), (&"done".into(), &1.into()), "{run}");
        assert!(yard.path("m/home/u/unit/a").exists() && yard.path("m/home/u/unit/in/b").exists());
        assert!(yard.path("m/home/u/own/c").exists() && !yard.path("m/home/u/plain").exists());
        let explained = good(yard.run(&["explain", "m/home/u/unit"]));
        assert!(explained.out.contains("another file system"), "{explained:?}");
    }

    pub fn files_of_a_lower_layer_are_no_other_file_system(yard: &Yard) {
        if !Kind::Overlay.is_there() {
            return;
        }
        let overlay = mount(yard, Kind::Overlay, "m");
        let lower =
            overlay.behind().join("lower").strip_prefix(yard.path("")).expect("below").to_string_lossy().into_owned();
        for path in ["t/a", "t/only/b"] {
            aged(yard, &format!("{lower}/{path}"), 1, 9);
        }
        aged(yard, "m/t/c", 1, 9);
        let device =
            |path: &str| std::os::unix::fs::MetadataExt::dev(&fs::symlink_metadata(yard.path(path)).expect("there"));
        assert_ne!(device("m/t"), device("m/t/a"), "this is what is to be told apart");
        configure(yard, "include = [\"**\"]\nolder_than = \"2d\"\n");
        let run = cleaned(yard);
        assert_eq!((&run["outcome"], &run["deleted"]), (&"done".into(), &3.into()), "{run}");
    }
}
