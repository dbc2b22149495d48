//! Under a real systemd: that of this machine, which is booted once more as process 1 of namespaces of its own, with a
//! layer over the root that is thrown away. The unit is the one of README.

use std::fs::{self, File};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::daemon::wait_for;
use super::needs;
use super::yard::{JANITOR, Yard};

/// From here on `$YARD` is a directory of this test, `$JANITOR` the program. The layer is in memory.
const BOOT: &str = r#"
set -e
mount --make-rprivate /
mkdir "$YARD/boot" && mount -t tmpfs none "$YARD/boot" && cd "$YARD/boot"
mkdir cgroups && mount -t cgroup2 none cgroups && mkdir "cgroups/janitor-$$" && echo $$ >"cgroups/janitor-$$/cgroup.procs"
exec unshare --pid --mount --cgroup --ipc --uts --fork --kill-child --propagation private sh -ec '
    mkdir upper work root && mount -t overlay none -o lowerdir=/,upperdir=upper,workdir=work root
    mkdir -p root/yard && mount --bind "$YARD" root/yard
    touch root/usr/local/bin/janitor && mount --bind "$JANITOR" root/usr/local/bin/janitor
    cd root
    mount -t proc proc proc && mount -t sysfs -o ro none sys && mount -t cgroup2 none sys/fs/cgroup
    mount -t tmpfs none run && mount -t tmpfs -o mode=1777 none tmp && mount -t tmpfs -o mode=755 none dev
    for node in null zero full random urandom tty; do touch dev/$node && mount --bind /dev/$node dev/$node; done
    mkdir dev/shm dev/pts && mount -t devpts -o newinstance,ptmxmode=666 none dev/pts && ln -s pts/ptmx dev/ptmx
    touch dev/console && mount --bind "$YARD/console" dev/console
    rm -rf etc/systemd/system/* etc/fstab srv/app && mkdir -p srv/app/uploads etc/janitor
    cp yard/janitor.service etc/systemd/system && cp yard/janitor.toml etc/janitor
    mkdir before && pivot_root . before && umount -l before
    exec env -i container=test PATH="$PATH" /lib/systemd/systemd --unit=basic.target --log-target=console </dev/null
'
"#;

/// What the target of the tests is swept by.
const CONFIG: &str = "[[target]]\nname = \"uploads\"\npath = \"/srv/app/uploads\"\nschedule = \"* * * * * *\"\n\
    include = [\"*.tmp\"]\n";

/// A Debian that is up.
struct Booted {
    yard: Yard,
    child: Child,
    init: String,
}

impl Booted {
    fn boot(config: &str) -> Option<Self> {
        let is_there =
            needs::root() && needs::tool("unshare") && needs::tool("systemctl") && needs::tool("systemd-run");
        if !is_there {
            return None;
        }
        let yard = Yard::new();
        let readme = fs::read_to_string("README.md").expect("readable");
        let (_, unit) = readme.split_once("# /etc/systemd/system/janitor.service\n").expect("README has the unit");
        let (unit, _) = unit.split_once("```").expect("it ends");
        fs::write(yard.path("janitor.service"), unit).expect("written");
        fs::write(yard.path("janitor.toml"), config).expect("written");
        File::create(yard.path("console")).expect("made");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", BOOT]).env("YARD", yard.path("")).env("JANITOR", JANITOR);
        let error = File::create(yard.path("errors")).expect("made");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(error).spawn().expect("unshare runs");
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let told = |path: &str| fs::read_to_string(yard.path(path)).unwrap_or_default();
        let init = wait_for("process 1", || {
            let init = fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
            let runs = fs::read_to_string(format!("/proc/{init}/comm")).unwrap_or_default();
            (runs.trim() == "systemd" || !told("errors").is_empty()).then_some(init)
        });
        assert_eq!(told("errors"), "", "it does not boot");
        let booted = Self { yard, child, init };
        wait_for("systemd", || booted.run("systemctl is-active basic.target").status.success().then_some(()));
        Some(booted)
    }

    /// Runs something there.
    fn run(&self, script: &str) -> Output {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.init, "--all", "--wdns=/", "sh", "-c", script])
            .env_remove("DBUS_SESSION_BUS_ADDRESS");
        command.stdin(Stdio::null()).output().expect("nsenter runs")
    }

    /// The same, and it has to succeed. Returns what it says.
    fn done(&self, script: &str) -> String {
        let output = self.run(script);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let journal = || String::from_utf8_lossy(&self.run("journalctl --no-pager -n 30").stdout).into_owned();
        assert!(output.status.success(), "{script}: {output:?}\n{}", journal());
        said
    }

    fn property(&self, name: &str) -> String {
        self.done(&format!("systemctl show --value -p {name} janitor")).trim().to_owned()
    }

    fn is_there(&self, path: &str) -> bool {
        self.run(&format!("test -e {path}")).status.success()
    }

    fn status(&self) -> Value {
        let said: Value = serde_json::from_str(&self.done("janitor status --json")).expect("JSON");
        said["scheduler_status"].clone()
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        // Its control groups stay behind, empty.
        let script = "mount -t cgroup2 none \"$1\" && find \"$1/janitor-$2\" -depth -type d -exec rmdir {} +";
        let mut command = Command::new("unshare");
        let boot = self.yard.path("boot");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(boot).arg(self.child.id().to_string());
        wait_for("the end of its control groups", || {
            let done = command.stderr(Stdio::null()).status();
            done.expect("unshare runs").success().then_some(())
        });
    }
}

#[test]
fn the_unit_of_the_readme_starts_reloads_at_once_keeps_a_stop_over_a_restart_and_stops() {
    let Some(booted) = Booted::boot(CONFIG) else { return };
    booted.done(
        "systemctl daemon-reload && systemctl start janitor && systemctl reload janitor && systemctl reload janitor",
    );
    assert_eq!((booted.property("ActiveState"), booted.property("NRestarts")), ("active".into(), "0".into()));
    let first = booted.property("MainPID");
    booted.done("touch /srv/app/uploads/a.tmp /srv/app/uploads/keep");
    wait_for("a sweep", || (!booted.is_there("/srv/app/uploads/a.tmp")).then_some(()));
    assert!(booted.is_there("/srv/app/uploads/keep"));
    assert_eq!(booted.property("MainPID"), first, "a reload is no restart");
    booted.done("janitor stop && touch /srv/app/uploads/b.tmp && systemctl restart janitor");
    assert_ne!(booted.property("MainPID"), first);
    wait_for("the daemon", || booted.run("janitor status").status.success().then_some(()));
    let status = booted.status();
    assert_eq!(status["is_running"], false, "{status}");
    // It would be due each second.
    let uptime = |status: &Value| status["uptime_s"].as_u64().unwrap_or_default();
    wait_for("three seconds", || (uptime(&booted.status()) >= 3).then_some(()));
    assert!(booted.is_there("/srv/app/uploads/b.tmp"), "a stop is in force");
    booted.done("janitor start");
    wait_for("a sweep", || (!booted.is_there("/srv/app/uploads/b.tmp")).then_some(()));
    booted.done("systemctl stop janitor");
    // One that was killed, or ended with another code than 0, has failed.
    assert_eq!(booted.property("ActiveState"), "inactive");
}

/// The keys that guides to hardened units recommend, each by itself.
const KEYS: [&str; 32] = [
    "NoNewPrivileges=yes",
    "ProtectSystem=strict -p ReadWritePaths=/srv/app/uploads -p ReadWritePaths=/var/lib/janitor",
    "ProtectSystem=full",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "PrivateNetwork=yes",
    "PrivateMounts=yes",
    "PrivateIPC=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    "ProcSubset=pid",
    "RestrictAddressFamilies=AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter='~@privileged @resources' -p SystemCallErrorNumber=EPERM",
    "UMask=0077",
    "CapabilityBoundingSet=",
    "RemoveIPC=yes",
    "KeyringMode=private",
    "TasksMax=8",
    "LimitNOFILE=64",
];

#[test]
fn whatever_key_hardens_the_unit_a_run_does_its_work() {
    let config = CONFIG.replace("* * * * * *", "@daily").replace("*.tmp", "**/*.tmp");
    let Some(booted) = Booted::boot(&config) else { return };
    for key in KEYS {
        booted.done(
            "mkdir -p /srv/app/uploads/deep /var/lib/janitor && cd /srv/app/uploads && touch a.tmp deep/b.tmp keep",
        );
        let run = format!("systemd-run --quiet --wait --pipe --collect -p {key} /usr/local/bin/janitor clean --json");
        let said = booted.done(&run);
        let report: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{key}: {error}: {said}"));
        let run = &report["runs"][0];
        assert_eq!((&run["outcome"], &run["deleted"]), (&"done".into(), &2.into()), "{key}: {run}");
        assert_eq!(
            booted.done("ls -R /srv/app/uploads"),
            "/srv/app/uploads:\ndeep\nkeep\n\n/srv/app/uploads/deep:\n",
            "{key}"
        );
        let sandbox = run["sandbox"].as_str().unwrap_or_default();
        needs::say(&format!("{key}: sandbox {sandbox}"));
        // A filter that allows what it names, and was made before Landlock, kills who asks for it.
        let is_known = sandbox == "landlock" || (key.starts_with("SystemCallFilter") && sandbox.starts_with("none: "));
        assert!(is_known, "{key}: {sandbox}");
    }
}

#[test]
fn a_dynamic_user_with_the_four_capabilities_sweeps_what_belongs_to_others() {
    let config = CONFIG.replace("* * * * * *", "@daily");
    let Some(booted) = Booted::boot(&config) else { return };
    booted.done(
        "touch /srv/app/uploads/a.tmp && chown 1000:1000 /srv/app/uploads/a.tmp && chmod 600 /srv/app/uploads/a.tmp",
    );
    let capabilities = "'CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_LEASE'";
    let said = booted.done(&format!(
        "systemd-run --quiet --wait --pipe --collect -p DynamicUser=yes -p StateDirectory=janitor \
         -p ReadWritePaths=/srv/app/uploads -p AmbientCapabilities={capabilities} \
         /usr/local/bin/janitor clean --json"
    ));
    let report: Value = serde_json::from_str(&said).expect("JSON");
    let run = &report["runs"][0];
    assert_eq!((&run["outcome"], &run["deleted"]), (&"done".into(), &1.into()), "{run}");
    assert!(!booted.is_there("/srv/app/uploads/a.tmp"));
}

#[test]
fn the_unit_of_the_readme_is_what_systemd_takes() {
    let Some(booted) = Booted::boot(CONFIG) else { return };
    let said = booted.done("systemd-analyze verify /etc/systemd/system/janitor.service 2>&1");
    assert_eq!(said, "", "it says nothing of it");
}
