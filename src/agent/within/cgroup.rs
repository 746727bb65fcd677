//! A process's control groups (cgroups(7)), version 1 or 2: its limits, and who else is in them.
//!
//! Limits are kept as the kernel's own text, file by file, so that what was there before comes back to the byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::condition::Load;
use crate::quantity::{Bytes, Cpus, Throughput};

/// Limits of a control group: by file, what stands in it.
pub type Limits = BTreeMap<String, String>;

/// The period of a quota where none is set, in microseconds: the kernel's own default.
const PERIOD_US: u64 = 100_000;

const V1_QUOTA: &str = "cpu.cfs_quota_us";
const V1_PERIOD: &str = "cpu.cfs_period_us";
const V1_MEMORY: &str = "memory.limit_in_bytes";
const V1_READ: &str = "blkio.throttle.read_bps_device";
const V1_WRITE: &str = "blkio.throttle.write_bps_device";
const V2_CPU: &str = "cpu.max";
const V2_MEMORY: &str = "memory.max";
const V2_IO: &str = "io.max";

/// The files that hold limits, each with its controller.
const FILES: [(&str, &str); 8] = [
    ("cpu", V1_PERIOD),
    ("cpu", V1_QUOTA),
    ("memory", V1_MEMORY),
    ("blkio", V1_READ),
    ("blkio", V1_WRITE),
    ("cpu", V2_CPU),
    ("memory", V2_MEMORY),
    ("io", V2_IO),
];

/// The control groups of one process.
#[derive(Debug, Clone)]
pub struct Cgroup {
    /// The folder of each controller that there is.
    folders: BTreeMap<String, PathBuf>,
    /// The disks of this machine, as the kernel numbers them.
    disks: Vec<String>,
}

impl Cgroup {
    /// Those of the process that `memberships` (its `/proc/PID/cgroup`) belongs to, below this mount.
    /// `blocks`: where the kernel lists block devices (`/sys/block`).
    pub fn of(memberships: &str, mount: &Path, blocks: &Path) -> Result<Cgroup, String> {
        let mut folders = BTreeMap::new();
        for line in memberships.lines() {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next(), parts.next(), parts.next());
            let (Some(controllers), Some(path)) = (controllers, path) else { continue };
            if path.split('/').any(|part| part == "..") {
                return Err(format!(
                    "its control group {path} is outside of what is seen from here"
                ));
            }
            let path = path.trim_start_matches('/');
            if controllers.is_empty() {
                let mounts = [mount.to_path_buf(), mount.join("unified")];
                for folder in mounts.map(|mount| mount.join(path)) {
                    for (controller, file) in FILES {
                        if folder.join(file).exists() {
                            folders.entry(controller.to_string()).or_insert(folder.clone());
                        }
                    }
                }
            }
            for controller in controllers.split(',').filter(|name| !name.is_empty()) {
                let folder = mount.join(controller).join(path);
                if folder.is_dir() {
                    folders.insert(controller.to_string(), folder);
                }
            }
        }
        if folders.values().any(|folder| folder == mount) {
            return Err("it has no control group of its own".into());
        }
        match folders.is_empty() {
            true => Err(format!("no control group of its own is found below {}", mount.display())),
            false => Ok(Cgroup { folders, disks: disks(blocks) }),
        }
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        let files = FILES.iter().filter(|(_, file)| *file == name);
        let mut paths =
            files.filter_map(|(controller, file)| Some(self.folders.get(*controller)?.join(file)));
        paths.find(|path| path.exists())
    }

    /// Where a controller's files are.
    pub(super) fn folder(&self, controller: &str) -> Option<&Path> {
        self.folders.get(controller).map(PathBuf::as_path)
    }

    /// The disks that can be limited, as the kernel numbers them.
    pub(super) fn disks(&self) -> &[String] {
        &self.disks
    }

    /// The limits that there are now.
    pub fn limits(&self) -> Limits {
        let read = |(_, name): &(&str, &str)| {
            let text = fs::read_to_string(self.file(name)?).ok()?;
            let mut lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
            if [V1_READ, V1_WRITE, V2_IO].contains(name) {
                lines.sort_unstable(); // the kernel's own order is that in which they were set
            }
            Some((name.to_string(), lines.join("\n")))
        };
        FILES.iter().filter_map(read).collect()
    }

    /// What its limits are when it suffers this: of its own and what is asked, the tighter one. Fails where the
    /// kernel has no such limit.
    pub fn limited(&self, own: &Limits, load: &Load) -> Result<Limits, String> {
        let mut limits = own.clone();
        if let Some(cpus) = load.cpu_limit {
            limit_cpu(&mut limits, cpus)?;
        }
        if let Some(memory) = load.memory_limit {
            limit_memory(&mut limits, memory)?;
        }
        let disk = [("rbps", V1_READ, load.read_limit), ("wbps", V1_WRITE, load.write_limit)];
        for (key, file, most) in disk {
            let Some(most) = most else { continue };
            self.limit_disks(&mut limits, key, file, most)?;
        }
        Ok(limits)
    }

    fn limit_disks(
        &self,
        limits: &mut Limits,
        key: &str,
        v1: &str,
        most: Throughput,
    ) -> Result<(), String> {
        let most = most.bytes_per_second();
        let (file, first) = match (limits.contains_key(v1), limits.contains_key(V2_IO)) {
            (true, _) => (v1, true),
            (false, true) => (V2_IO, false),
            _ => return Err(missing("slow its disks down", "blkio or io")),
        };
        if self.disks.is_empty() {
            return Err("this machine has no disk that could be slowed down".into());
        }
        let mut lines = devices(limits.get(file).map_or("", String::as_str));
        for disk in &self.disks {
            let settings = lines.entry(disk.clone()).or_default();
            match first {
                true => {
                    let own = settings.parse::<u64>().ok().filter(|own| *own > 0);
                    *settings = own.map_or(most, |own| own.min(most)).to_string();
                }
                false => *settings = with_setting(settings, key, most),
            }
        }
        let text = lines.iter().map(|(disk, settings)| format!("{disk} {settings}"));
        let mut text: Vec<String> = text.collect();
        text.sort_unstable();
        limits.insert(file.to_string(), text.join("\n"));
        Ok(())
    }

    /// Makes these its limits. What they do not name stays. Fails with the file that the kernel refused.
    pub fn set(&self, limits: &Limits) -> Result<(), String> {
        let now = self.limits();
        for (_, name) in FILES {
            let (Some(wanted), Some(path)) = (limits.get(name), self.file(name)) else { continue };
            let present = now.get(name).map_or("", String::as_str);
            if present == wanted {
                continue;
            }
            let refused = |text: &str| {
                let (text, name) = (text.to_string(), name.to_string());
                move |why: std::io::Error| format!("the kernel refuses `{text}` in {name}: {why}")
            };
            let write = |text: &str| fs::write(&path, text).map_err(refused(text));
            if ![V1_READ, V1_WRITE, V2_IO].contains(&name) {
                write(wanted)?;
                continue;
            }
            let (wanted, present) = (devices(wanted), devices(present));
            for gone in present.keys().filter(|disk| !wanted.contains_key(*disk)) {
                let none =
                    if name == V2_IO { "rbps=max wbps=max riops=max wiops=max" } else { "0" };
                write(&format!("{gone} {none}"))?;
            }
            for (disk, settings) in wanted.iter().filter(|(d, s)| present.get(*d) != Some(*s)) {
                write(&format!("{disk} {settings}"))?;
            }
        }
        Ok(())
    }

    /// Moves a process of this namespace into them: what it takes, it takes from there.
    pub fn take_in(&self, pid: u32) -> Result<(), String> {
        for (controller, folder) in &self.folders {
            if controller == "freezer" {
                continue; // a process that version 1 has frozen cannot be ended
            }
            if fs::read_to_string(folder.join("cgroup.freeze")).is_ok_and(|t| t.trim() == "1") {
                return Err("the node is frozen, and nothing could compute in it".into());
            }
            fs::write(folder.join("cgroup.procs"), pid.to_string())
                .map_err(|why| format!("{} takes no more processes: {why}", folder.display()))?;
        }
        Ok(())
    }
}

fn missing(what: &str, controller: &str) -> String {
    format!("its control group cannot {what}: the kernel has not the controller {controller}")
}

fn limit_cpu(limits: &mut Limits, cpus: Cpus) -> Result<(), String> {
    let quota = |period: u64| (u64::from(cpus.thousandths()) * period / 1000).max(1000);
    if let Some(own) = limits.get(V1_QUOTA).cloned() {
        let period = limits.get(V1_PERIOD).and_then(|p| p.parse().ok()).unwrap_or(PERIOD_US);
        let own = own.parse::<u64>().ok();
        let quota = own.map_or(quota(period), |own| own.min(quota(period)));
        limits.insert(V1_QUOTA.into(), quota.to_string());
        return Ok(());
    }
    let own = limits.get(V2_CPU).ok_or_else(|| missing("be given fewer processors", "cpu"))?;
    let (own, period) = own.split_once(' ').unwrap_or((own, ""));
    let period = period.parse().unwrap_or(PERIOD_US);
    let quota = own.parse::<u64>().map_or(quota(period), |own| own.min(quota(period)));
    limits.insert(V2_CPU.into(), format!("{quota} {period}"));
    Ok(())
}

fn limit_memory(limits: &mut Limits, most: Bytes) -> Result<(), String> {
    let files = [V1_MEMORY, V2_MEMORY];
    let file = files.into_iter().find(|file| limits.contains_key(*file));
    let file = file.ok_or_else(|| missing("be given less memory", "memory"))?;
    // The kernel counts in pages.
    let most = (most.count() / 4096 * 4096).max(4096);
    let own = limits.get(file).and_then(|own| own.parse::<u64>().ok());
    limits.insert(file.into(), own.map_or(most, |own| own.min(most)).to_string());
    Ok(())
}

/// The lines of a file that has one a device.
fn devices(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| line.split_once(' ').map(|(d, s)| (d.to_string(), s.to_string()));
    text.lines().filter_map(line).collect()
}

/// A line of `io.max` in which this setting is at most this.
fn with_setting(settings: &str, key: &str, most: u64) -> String {
    let mut all: BTreeMap<&str, String> = ["rbps", "wbps", "riops", "wiops"]
        .into_iter()
        .map(|name| (name, "max".to_string()))
        .collect();
    for (name, value) in settings.split(' ').filter_map(|part| part.split_once('=')) {
        all.insert(name, value.to_string());
    }
    let own = all.get(key).and_then(|own| own.parse::<u64>().ok());
    all.insert(key, own.map_or(most, |own| own.min(most)).to_string());
    let order = ["rbps", "wbps", "riops", "wiops"];
    let shown = order.iter().filter_map(|name| Some(format!("{name}={}", all.get(name)?)));
    shown.collect::<Vec<_>>().join(" ")
}

/// The numbers of the machine's disks: those that hold something, and whose data is not in memory.
fn disks(blocks: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(blocks) else { return vec![] };
    let mut disks = vec![];
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let memory = ["loop", "ram", "zram", "fd", "sr"].iter().any(|p| name.starts_with(p));
        let read = |file: &str| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        if !memory && read("size").trim() != "0" {
            disks.push(read("dev").trim().to_string());
        }
    }
    disks.retain(|dev| !dev.is_empty());
    disks.sort();
    disks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A version 1 tree of one group, `/docker/x`, and a version 2 one.
    fn trees(folder: &Path) -> [Cgroup; 2] {
        let write = |path: &str, text: &str| {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for (file, text) in [
            ("v1/cpu/docker/x/cpu.cfs_quota_us", "-1\n"),
            ("v1/cpu/docker/x/cpu.cfs_period_us", "100000\n"),
            ("v1/memory/docker/x/memory.limit_in_bytes", "209715200\n"),
            ("v1/blkio/docker/x/blkio.throttle.read_bps_device", "8:0 5000\n"),
            ("v1/blkio/docker/x/blkio.throttle.write_bps_device", ""),
            ("v2/system.slice/docker-x.scope/cpu.max", "max 100000\n"),
            ("v2/system.slice/docker-x.scope/memory.max", "max\n"),
            ("v2/system.slice/docker-x.scope/io.max", ""),
            ("block/sda/size", "100\n"),
            ("block/sda/dev", "8:0\n"),
            ("block/loop0/size", "100\n"),
            ("block/loop0/dev", "7:0\n"),
            ("block/sdb/size", "0\n"),
            ("block/sdb/dev", "8:16\n"),
        ] {
            write(file, text);
        }
        let of = |memberships: &str, mount: &str| {
            Cgroup::of(memberships, &folder.join(mount), &folder.join("block")).unwrap()
        };
        let v1 = "7:blkio:/docker/x\n4:memory:/docker/x\n1:cpu:/docker/x\n0::/\n";
        [of(v1, "v1"), of("0::/system.slice/docker-x.scope\n", "v2")]
    }

    fn load() -> Load {
        Load {
            cpu_limit: Some("0.5".parse().unwrap()),
            memory_limit: Some("100MiB".parse().unwrap()),
            read_limit: Some("1kB/s".parse().unwrap()),
            write_limit: Some("2kB/s".parse().unwrap()),
            ..Load::default()
        }
    }

    #[test]
    fn limits_are_what_the_kernel_takes_and_come_back_to_the_byte() {
        let folder = tempfile::tempdir().unwrap();
        let expected = [
            [
                (V1_QUOTA, "50000"),
                (V1_PERIOD, "100000"),
                (V1_MEMORY, "104857600"),
                (V1_READ, "8:0 1000"),
                (V1_WRITE, "8:0 2000"),
            ]
            .to_vec(),
            [
                (V2_CPU, "50000 100000"),
                (V2_MEMORY, "104857600"),
                (V2_IO, "8:0 rbps=1000 wbps=2000 riops=max wiops=max"),
            ]
            .to_vec(),
        ];
        for (group, expected) in trees(folder.path()).iter().zip(expected) {
            let own = group.limits();
            let limits = group.limited(&own, &load()).unwrap();
            let expected: Limits =
                expected.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            assert_eq!(limits, expected);
            group.set(&limits).unwrap();
            assert_eq!(group.limits(), limits);
        }
    }

    #[test]
    fn a_limit_that_is_tighter_already_stays() {
        let folder = tempfile::tempdir().unwrap();
        let [group, _] = trees(folder.path());
        let wide = Load {
            memory_limit: Some("1GiB".parse().unwrap()),
            read_limit: Some("1GB/s".parse().unwrap()),
            ..Load::default()
        };
        let own = group.limits();
        assert_eq!(group.limited(&own, &wide).unwrap(), own);
    }

    /// The kernel prints devices in an order of its own, which must not pass for another limit.
    #[test]
    fn disks_are_compared_in_one_order_whatever_the_kernels_is() {
        let folder = tempfile::tempdir().unwrap();
        let block = folder.path().join("block/vda");
        fs::create_dir_all(&block).unwrap();
        fs::write(block.join("size"), "100\n").unwrap();
        fs::write(block.join("dev"), "254:0\n").unwrap();
        let [group, _] = trees(folder.path());
        let limits = group.limited(&group.limits(), &load()).unwrap();
        assert_eq!(limits[V1_READ], "254:0 1000\n8:0 1000");
        let file = folder.path().join("v1/blkio/docker/x").join(V1_READ);
        for printed in ["8:0 1000\n254:0 1000\n", "254:0 1000\n8:0 1000\n"] {
            fs::write(&file, printed).unwrap();
            assert_eq!(group.limits()[V1_READ], limits[V1_READ], "{printed}");
        }
    }

    #[test]
    fn what_has_no_group_of_its_own_and_what_the_kernel_lacks_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let [group, _] = trees(folder.path());
        let of = |text: &str| Cgroup::of(text, folder.path(), folder.path()).unwrap_err();
        assert!(of("1:cpu:/elsewhere\n").contains("no control group"), "not found");
        assert!(of("1:cpu:/../x\n").contains("outside"));
        let mut own = group.limits();
        own.remove(V1_QUOTA);
        assert!(group.limited(&own, &load()).unwrap_err().contains("controller cpu"));
    }
}
