//! Where the trees are made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Wish;

/// A directory on a file system, which is taken away in the end.
pub struct Place {
    pub name: String,
    pub path: PathBuf,
    mounted: bool,
    image: Option<PathBuf>,
}

fn ran(program: &str, arguments: &[&str]) -> bool {
    let command = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    command.is_ok_and(|status| status.success())
}

fn fresh(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("janitor-bench-{}-{name}", std::process::id()));
    fs::create_dir_all(&path).expect("made");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours")
}

fn tmpfs() -> Option<Place> {
    let path = fresh("tmpfs");
    // The root of a tmpfs is open to all by itself, and no config lies safely in such a directory.
    let mounted = ran("mount", &["-t", "tmpfs", "-o", "mode=755,size=80%,nr_inodes=0", "tmpfs", text(&path)]);
    if !mounted {
        super::shapes::clear(&path);
    }
    mounted.then(|| Place { name: "tmpfs".to_owned(), path, mounted, image: None })
}

fn ext4() -> Option<Place> {
    let path = fresh("ext4");
    let image = PathBuf::from(format!("/dev/shm/janitor-bench-{}.img", std::process::id()));
    let made = fs::File::create(&image).and_then(|file| file.set_len(4 << 30)).is_ok()
        && ran("mkfs.ext4", &["-q", "-F", "-N", "2500000", text(&image)])
        && ran("mount", &["-o", "loop", text(&image), text(&path)]);
    let place = Place { name: "ext4".to_owned(), path, mounted: made, image: Some(image) };
    made.then_some(place)
}

/// Those that were asked for, or all there are.
pub fn all(wish: &Wish) -> Vec<Place> {
    if let Some(dir) = &wish.dir {
        let path = PathBuf::from(dir).join(format!("janitor-bench-{}", std::process::id()));
        fs::create_dir_all(&path).expect("made");
        return vec![Place { name: dir.clone(), path, mounted: false, image: None }];
    }
    let wanted = |name: &str| wish.fs.as_ref().is_none_or(|fs| fs == name);
    let mut places = Vec::new();
    for (name, make) in [("ext4", ext4 as fn() -> Option<Place>), ("tmpfs", tmpfs)] {
        if wanted(name) {
            match make() {
                Some(place) => places.push(place),
                None => println!("NOT MEASURED: no {name} could be mounted here (that takes root)"),
            }
        }
    }
    if places.is_empty() && wish.fs.is_none() {
        places.push(Place {
            name: "the temporary directory".to_owned(),
            path: fresh("plain"),
            mounted: false,
            image: None,
        });
    }
    places
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.mounted {
            ran("umount", &[text(&self.path)]);
        }
        super::shapes::clear(&self.path);
        if let Some(image) = &self.image {
            drop(fs::remove_file(image));
        }
    }
}
