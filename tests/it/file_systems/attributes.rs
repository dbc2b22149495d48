//! Attributes of files and of mounts.

crate::mounts::in_namespace! {
    immutable_and_append_only_files_are_a_protection_said_once
    nothing_is_tried_in_an_immutable_directory
    an_age_by_access_fails_where_no_access_is_noted
}

mod private {
    use crate::file_systems::*;

    pub fn immutable_and_append_only_files_are_a_protection_said_once(yard: &Yard) {
        mount(yard, Kind::Ext4, "m");
        yard.directory("m/t");
        for at in 0..60 {
            aged(yard, &format!("m/t/fixed{at}"), 1, 9);
        }
        for at in 0..5 {
            aged(yard, &format!("m/t/free{at}"), 1, 9);
        }
        script(yard, "chattr +i m/t/fixed*; chattr -i m/t/fixed0; chattr +a m/t/fixed0");
        for keys in
            ["include = [\"**\"]\n", "include = [\"**\"]\nolder_than = \"2d\"\n", "include = [\"*\"]\nmax_files = 60\n"]
        {
            for at in 0..5 {
                aged(yard, &format!("m/t/free{at}"), 1, 8);
            }
            configure(yard, keys);
            let preview = good(yard.run(&["preview", "--json"])).json();
            assert_eq!(preview["targets"][0]["report"]["deleted"], 5, "{keys}: {preview}");
            let run = cleaned(yard);
            assert_eq!(
                (&run["outcome"], &run["deleted"], &run["failed"]),
                (&"done".into(), &5.into(), &0.into()),
                "{run}"
            );
            assert!(remarks(&run).contains("60 files stay (`fixed") && remarks(&run).contains("immutable"), "{run}");
        }
        script(yard, "chattr -i -a m/t/fixed*");
        configure(yard, "include = [\"**\"]\n");
        assert_eq!(cleaned(yard)["deleted"], 60);
    }

    pub fn nothing_is_tried_in_an_immutable_directory(yard: &Yard) {
        mount(yard, Kind::Ext4, "m");
        yard.directory("m/t");
        for path in ["fixed/a", "fixed/below/b", "growing/c", "free/d", "unit/deep/fixed"] {
            aged(yard, &format!("m/t/{path}"), 1, 9);
        }
        script(
            yard,
            "mkdir m/t/fixed/empty; find m/t -mindepth 1 -type d -exec touch -d '9 days ago' {} +; chattr +i m/t/fixed m/t/unit/deep; chattr +a m/t/growing",
        );
        configure(yard, "include = [\"**\"]\nolder_than = \"2d\"\nwhole_dirs = true\n");
        let run = cleaned(yard);
        assert_eq!((&run["outcome"], &run["deleted"]), (&"done".into(), &1.into()), "{run}");
        assert_eq!(left(yard, "m/t"), ["fixed/a", "fixed/below/b", "growing/c", "unit/deep/fixed"], "units stay whole");
        aged(yard, "m/t/free/d", 1, 9);
        configure(yard, "include = [\"**\"]\nolder_than = \"2d\"\nremove_empty_dirs = true\n");
        let run = cleaned(yard);
        assert_eq!((&run["outcome"], &run["deleted"]), (&"done".into(), &2.into()), "{run}");
        assert_eq!(left(yard, "m/t"), ["fixed/a", "growing/c", "unit/deep/fixed"]);
        assert!(yard.path("m/t/fixed/empty").is_dir(), "{run}");
        assert!(
            remarks(&run).contains("3 files stay") && remarks(&run).contains("its directory is immutable"),
            "{run}"
        );
        script(yard, "chattr -R -i -a m/t");
    }

    pub fn an_age_by_access_fails_where_no_access_is_noted(yard: &Yard) {
        script(yard, "mkdir m; mount -t tmpfs -o noatime none m; mkdir m/t");
        aged(yard, "m/t/old", 1, 9);
        configure(yard, "include = [\"*\"]\nolder_than = \"2d\"\nage_by = \"accessed\"\n");
        let run = cleaned(yard);
        assert_eq!((&run["outcome"], &run["deleted"]), (&"failed".into(), &0.into()), "{run}");
        assert!(run["message"].as_str().expect("words").contains("noatime"), "{run}");
        script(yard, "umount m; mount -t tmpfs none m; mkdir m/t; touch -d '9 days ago' m/t/old");
        assert_eq!(cleaned(yard)["deleted"], 1);
    }
}
