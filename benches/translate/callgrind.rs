//! Counts the instructions of this program run again under valgrind.

use std::fs;
use std::process::{Command, Stdio};

/// User instructions of this program with other arguments.
pub fn instructions(arguments: &[&str]) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let counts = folder.path().join("callgrind.out");
    let program = std::env::current_exe().expect("this program");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", &format!("--callgrind-out-file={}", counts.display())])
        .arg(program)
        .args(arguments)
        .stdout(Stdio::null())
        .status()
        .expect("valgrind is installed (Debian: apt-get install valgrind)");
    assert!(status.success(), "{arguments:?} failed");
    let text = fs::read_to_string(counts).expect("counts");
    let total = text.lines().find_map(|line| line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:")));
    total.expect("a total").trim().parse().expect("a number")
}
