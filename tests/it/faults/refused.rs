//! The kernel refuses to remove something.

use super::with_mounts;

with_mounts! {
    an_immutable_file_stays
    an_append_only_file_stays
    an_immutable_directory_keeps_its_files
    an_append_only_directory_keeps_its_files
    eperm_of_another_users_file_in_a_sticky_directory
    erofs_of_a_bind_mount
    erofs_of_a_file_system_that_was_remounted
    ebusy_of_a_directory_that_is_a_mount_point
    ebusy_of_a_file_that_is_mounted_on
    devices_and_sockets_and_fifos_stay
    a_bind_mount_of_the_same_device_is_not_entered
    lower_files_of_an_overlay_go_and_stay_below
}

mod made {
    use crate::daemon::Daemon;
    use crate::faults::pair::{Pair, configure, counts, lay, left, script};
    use crate::yard::Yard;

    const EPERM: &str = "Operation not permitted (os error 1)";
    const EROFS: &str = "Read-only file system (os error 30)";
    const ALL: &str = "include = [\"**\"]";

    /// With this done some files cannot be removed, with that they can.
    fn refused(yard: &Yard, harm: &str, mend: &str, class: &str, files: &[&str]) {
        lay(yard);
        script(yard, harm);
        let mut pair = Pair::start(yard, ALL);
        let run = pair.swept();
        assert_eq!((&run["outcome"], &run["failed"]), (&"partial".into(), &files.len().into()), "{run}");
        counts(&run, class, files);
        assert_eq!(left(yard), files, "{run}");
        let line = format!(" - bad - ERROR - Failed to delete {}: {class}", files[0]);
        assert_eq!(pair.0.count(&line), 1, "{}", pair.0.log());
        script(yard, mend);
        pair.is_mended();
    }

    /// With this done some files are protected, and with that they are not.
    fn protected(yard: &Yard, harm: &str, mend: &str, files: &[&str]) {
        lay(yard);
        script(yard, harm);
        let mut pair = Pair::start(yard, ALL);
        let run = pair.swept();
        assert_eq!((&run["outcome"], &run["failed"]), (&"done".into(), &0.into()), "{run}");
        assert!(run["remarks"].to_string().contains("immutable or append-only"), "{run}");
        assert_eq!(left(yard), files, "{run}");
        script(yard, mend);
        pair.is_mended();
    }

    pub fn an_immutable_file_stays(yard: &Yard) {
        protected(yard, "chattr +i bad/a", "chattr -i bad/a", &["a"]);
    }

    pub fn an_append_only_file_stays(yard: &Yard) {
        protected(yard, "chattr +a bad/b", "chattr -a bad/b", &["b"]);
    }

    pub fn an_immutable_directory_keeps_its_files(yard: &Yard) {
        protected(yard, "chattr +i bad/sub", "chattr -i bad/sub", &["sub/d"]);
    }

    pub fn an_append_only_directory_keeps_its_files(yard: &Yard) {
        protected(yard, "chattr +a bad", "chattr -a bad", &["a", "b", "c"]);
    }

    pub fn eperm_of_another_users_file_in_a_sticky_directory(yard: &Yard) {
        lay(yard);
        script(yard, "rm -r bad/sub && chmod 1777 bad && chown 65534 . bad/b");
        configure(yard, &format!("{ALL}\non_unverifiable = \"plain\""));
        yard.directory("good");
        script(yard, "chown 65534 good");
        let mut pair = Pair(Daemon::as_nobody(yard));
        script(yard, "touch good/x && chown 65534 good/x");
        let run = pair.swept();
        assert_eq!((&run["outcome"], &run["deleted"]), (&"partial".into(), &1.into()), "{run}");
        counts(&run, EPERM, &["a", "c"]);
        script(yard, "chown 65534 bad/a bad/c");
        pair.is_mended();
    }

    pub fn erofs_of_a_bind_mount(yard: &Yard) {
        let harm = "mount --bind bad bad && mount -o remount,bind,ro bad";
        refused(yard, harm, "umount bad", EROFS, &["a", "b", "c", "sub/d"]);
    }

    pub fn erofs_of_a_file_system_that_was_remounted(yard: &Yard) {
        yard.directory("bad");
        script(
            yard,
            "truncate -s 8M image && mkfs.ext4 -q -m 0 -I 256 image && mount -o loop image bad && rmdir bad/*",
        );
        refused(yard, "mount -o remount,ro bad", "mount -o remount,rw bad", EROFS, &["a", "b", "c", "sub/d"]);
    }

    /// Something is in the way that is no failure: what is mounted stays, and goes when it is mounted no more.
    fn mounted(yard: &Yard, harm: &str, mend: &str, stays: &str) {
        lay(yard);
        script(yard, harm);
        let mut pair = Pair::start(yard, &format!("{ALL}\nremove_empty_dirs = true\nmin_age = \"0s\""));
        let run = pair.swept();
        assert_eq!((&run["outcome"], &run["failed"]), (&"done".into(), &0.into()), "{run}");
        assert!(yard.path(stays).exists(), "{run}");
        script(yard, mend);
        pair.is_mended();
        assert!(!yard.path(stays).exists());
    }

    pub fn ebusy_of_a_directory_that_is_a_mount_point(yard: &Yard) {
        mounted(yard, "mkdir bad/empty && mount -t tmpfs none bad/empty", "umount bad/empty", "bad/empty");
    }

    pub fn ebusy_of_a_file_that_is_mounted_on(yard: &Yard) {
        mounted(yard, "echo text >victim && mount --bind victim bad/a", "umount bad/a", "bad/a");
        assert_eq!(std::fs::read_to_string(yard.path("victim")).expect("it is there"), "text\n");
    }

    pub fn devices_and_sockets_and_fifos_stay(yard: &Yard) {
        lay(yard);
        script(yard, "mknod bad/null c 1 3 && mknod bad/loop b 7 200 && mkfifo bad/fifo");
        let _socket = std::os::unix::net::UnixListener::bind(yard.path("bad/socket")).expect("bound");
        let mut pair = Pair::start(yard, ALL);
        let run = pair.swept();
        assert_eq!((&run["outcome"], &run["deleted"]), (&"done".into(), &4.into()), "{run}");
        assert_eq!(left(yard), ["fifo", "loop", "null", "socket"]);
    }

    pub fn a_bind_mount_of_the_same_device_is_not_entered(yard: &Yard) {
        yard.file("victim/precious");
        mounted(yard, "mkdir bad/bound && mount --bind victim bad/bound", "umount bad/bound", "bad/bound");
        assert_eq!(yard.left("victim"), ["precious"]);
    }

    pub fn lower_files_of_an_overlay_go_and_stay_below(yard: &Yard) {
        lay(yard);
        script(
            yard,
            "mv bad lower && mkdir bad upper work && chmod 777 lower lower/sub upper && \
             mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none bad",
        );
        let mut pair = Pair::start(yard, ALL);
        let run = pair.swept();
        assert_eq!(
            (&run["outcome"], &run["deleted"], &run["verified"]),
            (&"done".into(), &4.into(), &4.into()),
            "{run}"
        );
        assert!(left(yard).is_empty());
        assert_eq!(yard.left("lower"), ["a", "b", "c", "sub/d"]);
    }
}
