//! Power cuts: only what was synced is certain, and of the rest any part may be there.
//!
//! The program runs with `recording_disk.c` before its C library, which writes down every write, sync and name. After
//! `kill -9` the directory is made anew from that record: files as they were at their last sync, with some of the writes since,
//! whole, torn or not at all; names as they were at the last sync of the directory, with some of the changes since. That a
//! server which syncs less does lose events this way is tested too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;

use super::process::{under_load, verify, verify_whole};
use crate::short_or_long;
use crate::support::WORLD;
use crate::support::process::{Binary, Process};

const DISK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/recording_disk.c");

/// What a disk does not tear.
const SECTOR_BYTES: usize = 512;

/// A directory of the program's whose disk is recorded.
struct Machine {
    picket: Binary,
    /// The library, the record, and what the program reads but does not write.
    beside: tempfile::TempDir,
    random: StdRng,
}

impl Machine {
    fn new() -> Machine {
        let beside = tempfile::tempdir().expect("a directory");
        let compiler = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .arg(beside.path().join("disk.so"))
            .args([DISK, "-ldl"])
            .output()
            .expect("there is a C compiler, as it took one to build the program");
        assert!(compiler.status.success(), "{compiler:?}");
        fs::write(beside.path().join("world.toml"), WORLD).expect("written");
        Machine {
            picket: Binary::new(),
            beside,
            random: StdRng::seed_from_u64(20_260_101),
        }
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.beside.path().join(name)
    }

    /// A command whose disk is recorded from here on.
    fn recorded(&self, arguments: &[&str]) -> Command {
        let _ = fs::remove_file(self.beside("record"));
        let mut command = self.picket.command(arguments);
        command
            .env("LD_PRELOAD", self.beside("disk.so"))
            .env("POWER_DIR", self.picket.path(""))
            .env("POWER_LOG", self.beside("record"));
        command
    }

    fn serve(&self, arguments: &[&str]) -> Process {
        let world = self.beside("world.toml").display().to_string();
        let all = [
            &["serve", "--listen", "127.0.0.1:0", "--apply", &world],
            arguments,
        ]
        .concat();
        Process::start(self.recorded(&all))
    }

    fn record(&self) -> Vec<u8> {
        fs::read(self.beside("record")).expect("the disk was recorded")
    }

    /// Makes the directory what it could be after a power cut.
    fn cut(&mut self, disk: &Disk) {
        let left = disk.after_cut(&mut self.random);
        for entry in fs::read_dir(self.picket.path("")).expect("a directory") {
            fs::remove_file(entry.expect("an entry").path()).expect("removed");
        }
        for (name, content) in left {
            fs::write(self.picket.path(&name), content).expect("written");
        }
    }

    /// A server under load until the power is cut: what was acknowledged, and the disk.
    fn round(&self, arguments: &[&str]) -> (BTreeSet<String>, Disk) {
        let mut disk = Disk::of(&self.picket.path(""));
        let server = self.serve(arguments);
        let heard = under_load(&server.address(), || {
            std::thread::sleep(std::time::Duration::from_millis(400));
            server.signal(Signal::KILL);
        });
        drop(server);
        disk.play(&self.record());
        (heard.acknowledged, disk)
    }
}

/// What a disk holds for certain, and what is on the way to it.
#[derive(Clone, Default)]
struct Disk {
    files: Vec<File>,
    /// The newest file of an inode.
    inodes: HashMap<u64, usize>,
    names: BTreeMap<String, usize>,
    certain_names: BTreeMap<String, usize>,
    name_changes: Vec<NameChange>,
}

#[derive(Clone, Default)]
struct File {
    certain: Vec<u8>,
    changes: Vec<Change>,
    /// How many of the changes a sync that has begun will make certain.
    syncing: usize,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

#[derive(Clone)]
enum NameChange {
    Set(String, usize),
    Gone(String),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write(at, bytes) => {
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(bytes);
            }
            Change::Resize(length) => content.resize(*length, 0),
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Set(name, file) => drop(names.insert(name.clone(), *file)),
            NameChange::Gone(name) => drop(names.remove(name)),
        }
    }
}

impl Disk {
    /// A directory that nobody has written to for long.
    fn of(directory: &Path) -> Disk {
        let mut disk = Disk::default();
        for entry in fs::read_dir(directory).expect("a directory") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("a name");
            disk.inodes
                .insert(entry.metadata().expect("a file").ino(), disk.files.len());
            disk.names.insert(name, disk.files.len());
            disk.files.push(File {
                certain: fs::read(entry.path()).expect("a file"),
                ..File::default()
            });
        }
        disk.certain_names = disk.names.clone();
        disk
    }

    /// Does what was recorded. The last record may be cut off.
    fn play(&mut self, record: &[u8]) {
        let mut rest = record;
        while rest.len() >= 25 {
            let number = |at: usize| {
                let bytes = rest[at..at + 8].try_into().expect("eight bytes");
                usize::try_from(u64::from_ne_bytes(bytes)).expect("a length")
            };
            let (letter, one, two, length) = (rest[0], number(1) as u64, number(9), number(17));
            let Some(bytes) = rest.get(25..25 + length) else {
                return;
            };
            self.step(letter, one, two, bytes);
            rest = &rest[25 + length..];
        }
    }

    fn step(&mut self, letter: u8, inode: u64, number: usize, bytes: &[u8]) {
        let text = || String::from_utf8(bytes.to_vec()).expect("a name");
        match letter {
            b'C' => {
                self.inodes.insert(inode, self.files.len());
                self.change_name(NameChange::Set(text(), self.files.len()));
                self.files.push(File::default());
            }
            b'W' => self
                .file(inode)
                .changes
                .push(Change::Write(number, bytes.to_vec())),
            b'T' => self.file(inode).changes.push(Change::Resize(number)),
            b'B' => {
                let file = self.file(inode);
                file.syncing = file.changes.len();
            }
            b'S' => {
                let file = self.file(inode);
                let certain: Vec<Change> = file.changes.drain(..file.syncing).collect();
                for change in certain {
                    change.apply(&mut file.certain);
                }
                file.syncing = 0;
            }
            b'R' => {
                let names = text();
                let (from, to) = names.split_once('\0').expect("two names");
                let file = self.names[from];
                self.change_name(NameChange::Set(to.to_owned(), file));
                self.change_name(NameChange::Gone(from.to_owned()));
            }
            b'U' => self.change_name(NameChange::Gone(text())),
            b'D' => {
                for change in self.name_changes.drain(..) {
                    change.apply(&mut self.certain_names);
                }
            }
            _ => panic!("there is no record {letter}"),
        }
    }

    fn file(&mut self, inode: u64) -> &mut File {
        &mut self.files[self.inodes[&inode]]
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    /// Everything that was done.
    fn now(&self) -> BTreeMap<String, Vec<u8>> {
        let content = |file: &File| {
            let mut content = file.certain.clone();
            for change in &file.changes {
                change.apply(&mut content);
            }
            content
        };
        let file = |(name, file): (&String, &usize)| (name.clone(), content(&self.files[*file]));
        self.names.iter().map(file).collect()
    }

    /// What is certain, and some of the rest.
    fn after_cut(&self, random: &mut StdRng) -> BTreeMap<String, Vec<u8>> {
        let mut names = self.certain_names.clone();
        let kept = random.random_range(0..=self.name_changes.len());
        for change in &self.name_changes[..kept] {
            change.apply(&mut names);
        }
        // From nothing to nearly everything.
        let share = [0.0, 0.5, 0.95][random.random_range(0..3)];
        names
            .into_iter()
            .map(|(name, file)| (name, self.files[file].after_cut(share, random)))
            .collect()
    }
}

impl File {
    fn after_cut(&self, share: f64, random: &mut StdRng) -> Vec<u8> {
        let mut content = self.certain.clone();
        for change in &self.changes {
            if !random.random_bool(share) {
                continue;
            }
            match change {
                Change::Write(at, bytes) if random.random_bool(0.2) => {
                    let sectors = random.random_range(0..=bytes.len() / SECTOR_BYTES);
                    let torn = bytes[..sectors * SECTOR_BYTES].to_vec();
                    Change::Write(*at, torn).apply(&mut content);
                }
                change => change.apply(&mut content),
            }
        }
        content
    }
}

#[test]
fn the_record_of_a_disk_is_what_is_on_it() {
    let _turn = crate::turn();
    let machine = Machine::new();
    let mut disk = Disk::of(&machine.picket.path(""));
    let server = machine.serve(&[]);
    let heard = under_load(&server.address(), || {
        std::thread::sleep(std::time::Duration::from_millis(300));
    });
    assert!(!heard.acknowledged.is_empty());
    assert_eq!(server.terminate().code, Some(0));
    disk.play(&machine.record());
    let mut there = BTreeMap::new();
    for entry in fs::read_dir(machine.picket.path("")).expect("a directory") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name");
        there.insert(name, fs::read(entry.path()).expect("a file"));
    }
    let played = disk.now();
    assert_eq!(
        played.keys().collect::<Vec<_>>(),
        there.keys().collect::<Vec<_>>()
    );
    assert!(played == there);
}

#[test]
fn nothing_acknowledged_is_missing_after_a_power_cut() {
    let _turn = crate::turn();
    let mut machine = Machine::new();
    let mut acknowledged = BTreeSet::new();
    for _ in 0..short_or_long(4, 60) {
        let (heard, disk) = machine.round(&[]);
        acknowledged.extend(heard);
        // The same moment can leave different things behind.
        for _ in 0..short_or_long(2, 5) {
            machine.cut(&disk);
            verify(&machine.picket, "picket.db", &acknowledged);
        }
    }
    assert!(
        acknowledged.len() > 100,
        "there was load: {}",
        acknowledged.len()
    );
}

/// What the setting says it may cost, it costs here; so what the test above does is felt. The file is whole all the same.
#[test]
fn a_power_cut_can_cost_acknowledged_events_where_durability_is_normal() {
    let _turn = crate::turn();
    let mut machine = Machine::new();
    // What is made at the first start can be lost as well, and then there is nothing to look at.
    assert_eq!(machine.serve(&[]).terminate().code, Some(0));
    let mut lost = 0;
    for _ in 0..short_or_long(4, 20) {
        let (heard, disk) = machine.round(&["--durability", "normal"]);
        machine.cut(&disk);
        verify_whole(&machine.picket, "picket.db");
        let stored = super::process::ids(&machine.picket.path("picket.db"));
        lost += heard.difference(&stored).count();
    }
    assert!(lost > 0, "nothing was lost");
}

#[test]
fn a_backup_and_a_restore_that_were_reported_are_there_after_a_power_cut() {
    let _turn = crate::turn();
    let mut machine = Machine::new();
    let server = machine.serve(&[]);
    let heard = under_load(&server.address(), || {
        std::thread::sleep(std::time::Duration::from_millis(300));
    });
    assert_eq!(server.terminate().code, Some(0));
    for _ in 0..short_or_long(4, 20) {
        machine.picket.write("b.zst", "an old backup");
        let mut disk = Disk::of(&machine.picket.path(""));
        let output = machine
            .recorded(&["backup", "b.zst", "--force"])
            .output()
            .expect("the program runs");
        assert!(output.status.success(), "{output:?}");
        disk.play(&machine.record());
        machine.cut(&disk);
        machine
            .picket
            .succeed(&["restore", "b.zst", "--data", "other.db"]);
        verify(&machine.picket, "other.db", &heard.acknowledged);

        machine.picket.write("other.db", "an old database");
        let mut disk = Disk::of(&machine.picket.path(""));
        let output = machine
            .recorded(&["restore", "b.zst", "--data", "other.db", "--force"])
            .output()
            .expect("the program runs");
        assert!(output.status.success(), "{output:?}");
        disk.play(&machine.record());
        machine.cut(&disk);
        verify(&machine.picket, "other.db", &heard.acknowledged);
        fs::remove_file(machine.picket.path("other.db")).expect("removed");
    }
}
