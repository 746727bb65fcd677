//! One process as `/proc` shows it: its memory, where its vDSO lies, and what its threads are at.
//!
//! Invariant: the memory is opened before the address is read, so it is that of one program: a process that becomes
//! another one meanwhile (exec) is seen through an old memory, which is then no vDSO at that address, and is let be.
//! Deliberately absent: what is written.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The entry of the auxiliary vector (getauxval(3)) that says where the vDSO is.
const AT_SYSINFO_EHDR: u64 = 33;

/// A process's memory, and where in it the vDSO is.
#[derive(Debug)]
pub struct Memory {
    file: File,
    base: u64,
}

impl Memory {
    /// Of a process. `None`: it has no vDSO, as kernel threads and the dead have none.
    pub fn open(folder: &Path) -> io::Result<Option<Memory>> {
        let file = File::options().read(true).write(true).open(folder.join("mem"))?;
        let vector = fs::read(folder.join("auxv"))?;
        Ok(vdso_of(&vector).map(|base| Memory { file, base }))
    }

    /// Where the image begins, in this memory.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The image, of this length.
    pub fn read(&self, length: usize) -> io::Result<Vec<u8>> {
        let mut image = vec![0; length];
        self.file.read_exact_at(&mut image, self.base)?;
        Ok(image)
    }

    /// Writes at a place in the image. A few bytes are one call.
    pub fn write(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.base + at as u64)
    }

    /// Whether an address is in the image.
    fn holds(&self, address: u64, length: usize) -> bool {
        (self.base..self.base + length as u64).contains(&address)
    }
}

fn vdso_of(vector: &[u8]) -> Option<u64> {
    let word = |bytes: &[u8]| Some(u64::from_le_bytes(bytes.try_into().ok()?));
    let mut entries = vector.chunks_exact(16);
    let entry = entries.find(|entry| word(&entry[..8]) == Some(AT_SYSINFO_EHDR))?;
    word(&entry[8..]).filter(|base| *base != 0)
}

/// The processes under `/proc`, or the threads under `/proc/PID/task`.
pub fn numbered(folder: &Path) -> io::Result<Vec<u32>> {
    let names =
        fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| name.parse().ok()).collect())
}

/// What it is called.
pub fn name(folder: &Path) -> String {
    fs::read_to_string(folder.join("comm")).unwrap_or_default().trim_end().to_string()
}

/// Of a kernel thread's flags in `/proc/PID/stat` (PF_KTHREAD).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Whether it is still a program. The dead who wait to be reaped have an entry, and no memory; nor have kernel threads.
pub fn lives(folder: &Path) -> bool {
    match fs::read(folder.join("auxv")) {
        Ok(vector) => !vector.is_empty(),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
            flags(&stat).is_some_and(|flags| flags & KERNEL_THREAD == 0)
        }
        Err(_) => false,
    }
}

/// The flags of a process: the ninth field, and the seventh behind its name.
fn flags(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(") ")?;
    behind.split_ascii_whitespace().nth(6)?.parse().ok()
}

/// Its time namespace, where the kernel has any: monotonic clocks of two are not comparable.
pub fn time_namespace(folder: &Path) -> Option<PathBuf> {
    fs::read_link(folder.join("ns/time")).ok()
}

/// Whether a thread is asleep, or stopped, and not anywhere in the image.
pub fn is_elsewhere(thread: &Path, memory: &Memory, length: usize) -> bool {
    // Asleep: number, arguments, stack and address; or `-1`, stack and address. Else: `running`.
    let Ok(text) = fs::read_to_string(thread.join("syscall")) else { return false };
    let address = text.trim_end().rsplit_once(' ').and_then(|(_, last)| last.strip_prefix("0x"));
    let address = address.and_then(|hex| u64::from_str_radix(hex, 16).ok());
    address.is_some_and(|address| !memory.holds(address, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_thread_is_told_by_its_flags() {
        let of = |stat| flags(stat).map(|flags| flags & KERNEL_THREAD != 0);
        assert_eq!(of("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0"), Some(true));
        assert_eq!(of("7 (a) b) S 1 7 7 0 -1 4194304 0 0"), Some(false));
        assert_eq!(of("7 (cut"), None);
        assert!(lives(Path::new("/proc/self")) && !lives(Path::new("/proc/none")));
    }

    #[test]
    fn the_vdso_is_found_in_the_auxiliary_vector_and_nowhere_else() {
        let vector = |entries: &[(u64, u64)]| -> Vec<u8> {
            entries.iter().flat_map(|(k, v)| [k.to_le_bytes(), v.to_le_bytes()].concat()).collect()
        };
        assert_eq!(vdso_of(&vector(&[(51, 3632), (33, 0x7000), (0, 0)])), Some(0x7000));
        assert_eq!(vdso_of(&vector(&[(51, 33), (6, 4096), (0, 0)])), None);
        assert_eq!(vdso_of(&vector(&[(33, 0)])), None);
        assert_eq!(vdso_of(&[]), None);
        assert_eq!(vdso_of(&[33, 0, 0]), None);
    }
}
