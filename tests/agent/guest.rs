//! The tests of shaping once more, on a kernel that has netem, and those of version 2 of control groups (`groups`):
//! Debian's cloud kernel, in QEMU. This very executable runs in the guest, out of memory; its lines come back over the
//! serial console, with the figures that were measured.
//!
//! Needs QEMU, busybox-static, and what `tests/agent/kernel` fetches. Without, it says why it is skipped; in CI it
//! fails instead.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a guest may take that emulates each instruction, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(1200);
const QEMU: &str = "qemu-system-x86_64";
/// Programs that the tests call, which the guest has from this machine.
const PROGRAMS: [&str; 2] = ["ip", "nft"];
/// How large its disk is, in bytes.
const DISK: u64 = 256 << 20;
/// How the guest says that it is done.
const END: &str = "guest: the tests ended with ";

/// What a guest does, and then is no more.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /sbin /usr/bin /cgroup /disk
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mkdir -p /dev/net
for module in /modules/*; do insmod $module || echo \"guest: no $module\"; done
ip link set lo up
mount -t cgroup2 groups /cgroup
echo +cpu +memory +io > /cgroup/cgroup.subtree_control
mke2fs -q /dev/vda && mount -t ext4 /dev/vda /disk && cp $(cat /agent) /disk/firedrill
echo \"guest: up after $(cut -d ' ' -f 1 /proc/uptime) s\"
export CI=true FIREDRILL_TESTS_SHAPING=netem FIREDRILL_TESTS_GROUPS=2 RUST_BACKTRACE=0
/tests shaping:: lanes:: measured:: ends::what_cannot groups:: --test-threads=2 --show-output
echo \"GUEST_END$?\"
poweroff -f
";

#[test]
fn all_of_it_passes_on_a_kernel_that_has_netem() {
    let (kernel, busybox) = match parts() {
        Ok(parts) => parts,
        Err(why) => {
            println!("skipped: {why}");
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI has QEMU and a kernel");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let memory = folder.path().join("initramfs");
    std::fs::write(&memory, contents(&kernel, &busybox, folder.path())).unwrap();
    let disk = folder.path().join("disk");
    std::fs::File::create(&disk).unwrap().set_len(DISK).unwrap();
    let console = boot(&kernel.join("vmlinuz"), &memory, &disk);
    for (at, line) in &console {
        println!("[{:6.1}] {line}", at.as_secs_f64());
    }
    let ended = console.iter().find_map(|(_, line)| line.strip_prefix(END));
    assert_eq!(ended, Some("0"), "the guest's tests fail; its console is above");
    let result = console.iter().find(|(_, line)| line.starts_with("test result: ok."));
    let (_, result) = result.expect("no result");
    let passed = result.split_whitespace().nth(3).and_then(|n| n.parse::<usize>().ok());
    assert!(passed.is_some_and(|passed| passed >= 25), "too few ran: {result}");
}

/// The folder of the kernel, and busybox; or what is missing.
fn parts() -> Result<(PathBuf, PathBuf), String> {
    if !cfg!(target_arch = "x86_64") {
        return Err("there is a guest for x86_64 only".into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kernel = root.join("target/guest-kernel");
    if !kernel.join("vmlinuz").is_file() {
        return Err("there is no kernel for a guest: run tests/agent/kernel".into());
    }
    let busybox = found("busybox").filter(|path| libraries(path).is_empty());
    let busybox = busybox.ok_or("busybox-static is not installed")?;
    for program in PROGRAMS.iter().chain(&[QEMU]) {
        found(program).ok_or(format!("{program} is not installed"))?;
    }
    Ok((kernel, busybox))
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The libraries that a program is loaded with, and its loader.
fn libraries(program: &Path) -> BTreeSet<PathBuf> {
    let told = Command::new("ldd").arg(program).output().unwrap();
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    told.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// All that the guest has.
fn contents(kernel: &Path, busybox: &Path, scratch: &Path) -> Vec<u8> {
    let mut archive = Archive::default();
    let init = INIT.replace("GUEST_END", END);
    archive.file(Path::new("init"), init.as_bytes());
    archive.copy(busybox, Path::new("bin/busybox"));
    for program in PROGRAMS.map(|program| found(program).unwrap()) {
        for library in libraries(&program) {
            archive.copy(&library, &library);
        }
        archive.copy(&program, &Path::new("bin").join(program.file_name().unwrap()));
    }
    let agent = Path::new(env!("CARGO_BIN_EXE_firedrill"));
    archive.copy(&stripped(agent, scratch), agent);
    archive.file(Path::new("agent"), agent.to_str().unwrap().as_bytes());
    let tests = std::env::current_exe().unwrap();
    archive.copy(&stripped(&tests, scratch), Path::new("tests"));
    let modules = std::fs::read_dir(kernel.join("modules")).unwrap().map(|e| e.unwrap().path());
    for module in modules {
        archive.copy(&module, &Path::new("modules").join(module.file_name().unwrap()));
    }
    archive.end()
}

/// A copy without what only debuggers read, where there is a `strip`: the guest keeps it in memory.
fn stripped(program: &Path, scratch: &Path) -> PathBuf {
    let copy = scratch.join(program.file_name().unwrap());
    let strip = Command::new("strip").arg("-o").arg(&copy).arg(program).status();
    if strip.is_ok_and(|status| status.success()) { copy } else { program.into() }
}

/// The lines of the guest's console, and when they came, until it was over.
fn boot(kernel: &Path, memory: &Path, disk: &Path) -> Vec<(Duration, String)> {
    let mut command = Command::new(QEMU);
    command.args("-M q35 -accel tcg,thread=multi -cpu max -smp 1 -m 1024".split(' '));
    command.args("-nodefaults -no-user-config -display none -serial stdio -no-reboot".split(' '));
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(memory);
    command.arg("-drive").arg(format!("if=virtio,format=raw,file={}", disk.display()));
    command
        .args(["-append", "console=ttyS0 panic=-1 quiet rcupdate.rcu_expedited=1 mitigations=off"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let began = Instant::now();
    let mut guest = command.spawn().unwrap();
    let output = BufReader::new(guest.stdout.take().unwrap());
    let read = std::thread::spawn(move || {
        let lines = output.split(b'\n').map_while(Result::ok);
        let text = |line: Vec<u8>| String::from_utf8_lossy(&line).trim_end().to_string();
        lines.map(|line| (began.elapsed(), text(line))).collect()
    });
    while guest.try_wait().unwrap().is_none() && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = guest.kill();
    guest.wait().unwrap();
    read.join().unwrap()
}

/// A cpio archive in the kernel's `newc` format (its `driver-api/early-userspace/buffer-format`).
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    folders: BTreeSet<PathBuf>,
    count: usize,
}

impl Archive {
    fn copy(&mut self, from: &Path, to: &Path) {
        let bytes = std::fs::read(from).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
        self.file(to, &bytes);
    }

    fn file(&mut self, path: &Path, bytes: &[u8]) {
        let path = path.strip_prefix("/").unwrap_or(path);
        let parents: Vec<&Path> = path.ancestors().skip(1).collect();
        for folder in parents.iter().rev().filter(|folder| !folder.as_os_str().is_empty()) {
            if self.folders.insert(folder.to_path_buf()) {
                self.entry(folder.as_os_str().into(), 0o040_755, &[]);
            }
        }
        self.entry(path.into(), 0o100_755, bytes);
    }

    fn entry(&mut self, name: OsString, mode: u32, bytes: &[u8]) {
        self.count += 1;
        let name = name.to_str().unwrap();
        let (number, size, length) = (self.count, bytes.len(), name.len() + 1);
        let fields = [number, mode as usize, 0, 0, 1, 0, size, 0, 0, 0, 0, length, 0];
        let fields: String = fields.iter().map(|field| format!("{field:08x}")).collect();
        self.put(format!("070701{fields}{name}\0").as_bytes());
        self.put(bytes);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn end(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!".into(), 0, &[]);
        self.bytes
    }
}
