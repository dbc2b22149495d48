//! The storage is full, or broken.

use super::with_mounts;

with_mounts! {
    enospc_of_blocks_and_inodes_does_not_keep_a_full_target_from_being_cleaned
    enospc_of_a_full_ext4_neither
    enospc_where_slots_cannot_be_made_keeps_the_files_and_says_so
    enospc_of_the_trash_keeps_the_files_and_counts_them
    enospc_of_the_state_stops_nothing_and_is_told
    erofs_of_the_state_stops_nothing_and_is_told
    eio_of_a_file_system_that_was_shut_down
    eio_of_the_disk_below
    enotconn_of_a_dead_fuse_server
}

/// Not a test: a FUSE server, to be killed.
#[test]
#[ignore = "it is a part of another test"]
fn server() {
    let Some(at) = std::env::var_os(made::SERVED) else { return };
    let _session = crate::disk::Disk::new(Vec::new()).serve(std::path::Path::new(&at));
    std::thread::sleep(crate::daemon::PATIENCE * 10);
}

mod made {
    use std::fs;
    use std::process::{Command, Stdio};

    use serde_json::Value;

    use crate::daemon::{Daemon, wait_for};
    use crate::disk::{Disk, sh};
    use crate::faults::pair::{Pair, configure, counts, lay, left, script};
    use crate::yard::Yard;

    pub const SERVED: &str = "JANITOR_TEST_SERVED";

    const ALL: &str = "include = [\"**\"]";
    const FILL: &str =
        "(head -c 100M /dev/zero >bad/fill; n=0; while echo >bad/n$n; do n=$((n+1)); done) 2>/dev/null; true";

    /// A target that others can write was swept once, and then filled to the last block and inode.
    fn full(yard: &Yard, mount: &str) {
        yard.directory("bad");
        script(yard, mount);
        script(yard, "chmod 777 bad && rm -rf bad/lost+found");
        let mut pair = Pair::start(yard, ALL);
        lay(yard);
        pair.is_mended();
        lay(yard);
        script(yard, FILL);
        assert!(fs::write(yard.path("bad/one-more"), "text").is_err(), "it is full");
        let files = left(yard).len();
        let run = pair.swept();
        // `sub` is ours alone.
        assert_eq!((&run["outcome"], &run["deleted"]), (&"done".into(), &files.into()), "{run}");
        assert_eq!(run["verified"], files - 1, "{run}");
    }

    pub fn enospc_of_blocks_and_inodes_does_not_keep_a_full_target_from_being_cleaned(yard: &Yard) {
        full(yard, "mount -t tmpfs -o size=128k,nr_inodes=40 none bad");
    }

    pub fn enospc_of_a_full_ext4_neither(yard: &Yard) {
        full(yard, "truncate -s 4M image && mkfs.ext4 -q -m 0 -b 1024 -N 64 image && mount -o loop image bad");
    }

    pub fn enospc_where_slots_cannot_be_made_keeps_the_files_and_says_so(yard: &Yard) {
        yard.directory("bad");
        script(yard, "mount -t tmpfs -o size=1M,nr_inodes=20 none bad && chmod 777 bad");
        lay(yard);
        script(yard, "rm -r bad/sub; n=0; while echo >bad/n$n; do n=$((n+1)); done 2>/dev/null; true");
        let files = left(yard).len();
        let mut pair = Pair::start(yard, ALL);
        let run = pair.swept();
        let remarks = run["remarks"].to_string();
        assert_eq!((&run["deleted"], left(yard).len()), (&0.into(), files), "{run}");
        assert!(remarks.contains(&format!("{files} files stay")) && remarks.contains("No space left"), "{run}");
        script(yard, "mount -o remount,nr_inodes=100 bad");
        pair.is_mended();
    }

    pub fn enospc_of_the_trash_keeps_the_files_and_counts_them(yard: &Yard) {
        yard.directory("box/bad");
        script(yard, "mount -t tmpfs -o mode=755,size=1M,nr_inodes=20 none box && mkdir box/bad && ln -s box/bad bad");
        lay(yard);
        let mut pair = Pair::start(yard, &format!("{ALL}\naction = \"trash\""));
        // The trash itself is there, and no inode for a run.
        pair.is_mended();
        lay(yard);
        script(yard, "rm -r bad/sub; n=0; while echo >box/n$n; do n=$((n+1)); done 2>/dev/null; true");
        let run = pair.swept();
        assert_eq!((&run["outcome"], left(yard).len()), (&"partial".into(), 3), "{run}");
        counts(&run, "No space left on device (os error 28)", &["a", "b", "c"]);
        script(yard, "mount -o remount,nr_inodes=100 box");
        pair.is_mended();
    }

    fn state_error(daemon: &Daemon<'_>) -> Value {
        daemon.status()["state"]["error"].clone()
    }

    pub fn enospc_of_the_state_stops_nothing_and_is_told(yard: &Yard) {
        yard.directory("state");
        script(yard, "mount -t tmpfs -o mode=700,size=256k none state");
        let mut pair = Pair::start(yard, ALL);
        lay(yard);
        pair.is_mended();
        assert_eq!(state_error(&pair.0), Value::Null);
        script(yard, "head -c 1M /dev/zero >state/fill 2>/dev/null; true");
        wait_for("the state to be full", || {
            lay(yard);
            pair.is_mended();
            state_error(&pair.0).as_str().map(|error| assert!(error.contains("full"), "{error}"))
        });
        script(yard, "rm state/fill");
        lay(yard);
        pair.is_mended();
        wait_for("the state to be written", || state_error(&pair.0).is_null().then_some(()));
    }

    pub fn erofs_of_the_state_stops_nothing_and_is_told(yard: &Yard) {
        yard.directory("state");
        script(yard, "mount --bind state state && mount -o remount,bind,ro state");
        let mut pair = Pair::start(yard, ALL);
        lay(yard);
        pair.is_mended();
        assert!(
            state_error(&pair.0).as_str().is_some_and(|error| error.contains("cannot be used")),
            "{}",
            pair.0.status()
        );
        drop(pair);
        script(yard, "umount state");
        let mut pair = Pair(Daemon::start(yard));
        lay(yard);
        pair.is_mended();
        assert_eq!(state_error(&pair.0), Value::Null);
    }

    /// A loop device, which outlives the mount of it.
    struct Loop(String);

    impl Loop {
        fn on(file: &std::path::Path) -> Self {
            let made = Command::new("losetup").args(["-f", "--show"]).arg(file).output().expect("losetup runs");
            assert!(made.status.success(), "{made:?}");
            Self(String::from_utf8_lossy(&made.stdout).trim().to_owned())
        }

        fn mount(&self, yard: &Yard) {
            script(yard, &format!("mount {} bad", self.0));
        }
    }

    impl Drop for Loop {
        fn drop(&mut self) {
            drop(Command::new("losetup").args(["-d", &self.0]).status());
        }
    }

    const SHUT_DOWN: &str = "python3 -c 'import fcntl, os, struct\n\
        fcntl.ioctl(os.open(\"bad\", os.O_RDONLY), 0x8004587D, struct.pack(\"I\", 2))'";

    pub fn eio_of_a_file_system_that_was_shut_down(yard: &Yard) {
        yard.directory("bad");
        script(yard, "truncate -s 8M image && mkfs.ext4 -q -m 0 -I 256 image");
        let device = Loop::on(&yard.path("image"));
        device.mount(yard);
        script(yard, "rmdir bad/lost+found");
        lay(yard);
        script(yard, &format!("sync && {SHUT_DOWN}"));
        let mut pair = Pair::start(yard, ALL);
        let run = pair.swept();
        assert!(run["outcome"] == "partial" || run["outcome"] == "failed", "{run}");
        assert!(run.to_string().contains("Input/output error (os error 5)"), "{run}");
        script(yard, "umount bad");
        device.mount(yard);
        assert_eq!(left(yard), ["a", "b", "c", "sub/d"], "nothing was lost by that");
        pair.is_mended();
        drop(pair);
        script(yard, "umount bad");
    }

    pub fn eio_of_the_disk_below(yard: &Yard) {
        for directory in ["bad", "served"] {
            yard.directory(directory);
        }
        script(yard, "truncate -s 8M image && mkfs.ext4 -q -m 0 -I 256 image");
        let disk = Disk::new(fs::read(yard.path("image")).expect("there"));
        let session = disk.serve(&yard.path("served"));
        let device = Loop::on(&yard.path("served/disk.img"));
        device.mount(yard);
        let bad = yard.path("bad");
        let _unmounted = disk.mounted(&bad);
        script(yard, "rmdir bad/lost+found && chmod 777 bad");
        let mut pair = Pair::start(yard, ALL);
        lay(yard);
        script(yard, "chmod 777 bad/sub && sync");
        disk.set_broken(true);
        let run = pair.swept();
        let told = run.to_string();
        assert!(told.contains("Input/output error") || told.contains("Read-only file system"), "{run}");
        assert_eq!(run["deleted"], 0, "{run}");
        script(yard, "umount bad");
        disk.set_broken(false);
        device.mount(yard);
        assert_eq!(left(yard), ["a", "b", "c", "sub/d"]);
        pair.is_mended();
        drop(pair);
        script(yard, "umount bad");
        drop(device);
        wait_for("the loop device to be gone", || sh_is(yard, "! losetup -a | grep -q served/disk.img").then_some(()));
        drop(session);
    }

    fn sh_is(yard: &Yard, script: &str) -> bool {
        Command::new("sh").args(["-c", script]).current_dir(yard.path("")).status().expect("sh runs").success()
    }

    pub fn enotconn_of_a_dead_fuse_server(yard: &Yard) {
        configure(yard, &format!("{ALL}\nmissing = \"fail\""));
        let mut server = Command::new(std::env::current_exe().expect("this program"));
        server.args(["--exact", "faults::storage::server", "--ignored", "--nocapture"]).env(SERVED, yard.path("bad"));
        let mut server = server.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        wait_for("the mount", || sh_is(yard, "mountpoint -q bad").then_some(()));
        server.kill().expect("our child");
        server.wait().expect("our child");
        let mut pair = Pair(Daemon::start(yard));
        let run = pair.swept();
        assert_eq!(run["outcome"], "failed", "{run}");
        assert!(run["message"].as_str().expect("words").contains("Transport endpoint is not connected"), "{run}");
        sh("umount -l \"$1\"", &[&yard.path("bad")]);
        lay(yard);
        pair.is_mended();
    }
}
