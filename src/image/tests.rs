//! An image's archive is read back, from its index down to the binary; what no image can be made of is refused.

use std::io::Read;

use super::*;

/// The test's own binary, as if it were for this kind of machine.
fn binary(machine: u16) -> Vec<u8> {
    let mut binary = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    // The sections behind the program are of no interest here.
    binary.truncate(1 << 20);
    binary[18..20].copy_from_slice(&machine.to_le_bytes());
    binary
}

fn image(machines: &[u16]) -> Image {
    let mut parts = machines.iter().map(|machine| Part::new(&binary(*machine)).unwrap());
    let first = parts.next().unwrap();
    Image::new(first, parts.collect()).unwrap()
}

/// The files of an archive.
fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let file = |entry: io::Result<tar::Entry<&[u8]>>| {
        let mut entry = entry.unwrap();
        let mut bytes = vec![];
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_string_lossy().into_owned(), bytes)
    };
    archive.entries().unwrap().map(file).collect()
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// What a descriptor leads to, whose size and digest are checked.
fn follow(files: &BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap();
    let bytes = &files[&format!("blobs/{}", digest.replace(':', "/"))];
    assert_eq!(digest, format!("sha256:{}", sha256(bytes)));
    assert_eq!(descriptor["size"], bytes.len());
    bytes.clone()
}

#[test]
fn a_layout_leads_from_its_index_to_the_binary() {
    let name = "localhost:5000/agent:1".parse().unwrap();
    let files = files(&archive(&image(&[62]), &name, "amd64").unwrap());
    assert_eq!(parsed(&files["oci-layout"])["imageLayoutVersion"], "1.0.0");
    let index = parsed(&files["index.json"]);
    let top = &index["manifests"][0];
    assert_eq!(top["platform"], json!({"architecture": "amd64", "os": "linux"}));
    assert_eq!(top["annotations"]["io.containerd.image.name"], "localhost:5000/agent:1");
    assert_eq!(top["annotations"]["org.opencontainers.image.ref.name"], "1");
    let manifest = parsed(&follow(&files, top));
    let config = parsed(&follow(&files, &manifest["config"]));
    assert_eq!(config["config"]["Entrypoint"], json!(["/firedrill"]));
    assert_eq!(config["architecture"], "amd64");
    let layer = follow(&files, &manifest["layers"][0]);
    assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
    let mut layer = tar::Archive::new(&layer[..]);
    let entries: Vec<_> = layer.entries().unwrap().map(|e| e.unwrap()).collect();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].path().unwrap().to_string_lossy(), BINARY);
    assert_eq!(entries[0].header().mode().unwrap(), 0o755);
}

#[test]
fn two_binaries_are_two_platforms_and_docker_gets_that_of_its_machine() {
    let (name, image) = ("agent:1".parse().unwrap(), image(&[62, 183]));
    assert_eq!(image.architectures(), ["amd64", "arm64"]);
    for (machine, given) in [("arm64", "arm64"), ("amd64", "amd64"), ("riscv64", "amd64")] {
        let files = files(&archive(&image, &name, machine).unwrap());
        let index = parsed(&follow(&files, &parsed(&files["index.json"])["manifests"][0]));
        let platforms = index["manifests"].as_array().unwrap().iter().map(|m| {
            let manifest = parsed(&follow(&files, m));
            let config = parsed(&follow(&files, &manifest["config"]));
            assert_eq!(m["platform"]["architecture"], config["architecture"]);
            config["architecture"].as_str().unwrap().to_string()
        });
        assert_eq!(platforms.collect::<Vec<_>>(), ["amd64", "arm64"]);
        let docker = &parsed(&files["manifest.json"])[0];
        let config = parsed(&files[docker["Config"].as_str().unwrap()]);
        assert_eq!(config["architecture"], given, "docker load on {machine}");
        assert_eq!(docker["RepoTags"], json!(["agent:1"]));
        assert!(files.contains_key(docker["Layers"][0].as_str().unwrap()));
    }
}

#[test]
fn the_same_binaries_are_the_same_bytes_in_whatever_order() {
    let name = "agent:1".parse().unwrap();
    let (one, other) = (image(&[62, 183]), image(&[183, 62]));
    assert_eq!(one.digest(), other.digest());
    assert!(archive(&one, &name, "amd64").unwrap() == archive(&other, &name, "amd64").unwrap());
    assert_ne!(one.digest(), image(&[62]).digest());
}

#[test]
fn what_no_image_can_be_made_of_is_refused_with_the_reason() {
    let refused = |bytes: &[u8]| Part::new(bytes).unwrap_err().to_string();
    assert!(refused(b"#!/bin/sh\n").contains("no 64-bit"));
    let other = refused(&binary(243));
    assert!(other.contains("243") && other.contains("arm64"), "{other}");
    let mut shell = std::fs::read("/bin/sh").unwrap();
    shell[18..20].copy_from_slice(&62u16.to_le_bytes());
    assert!(refused(&shell).contains("not a static binary"));
    let part = || Part::new(&binary(62)).unwrap();
    let twice = Image::new(part(), vec![part()]).unwrap_err().to_string();
    assert!(twice.contains("two binaries are for amd64"), "{twice}");
}

#[test]
fn digests_are_sha256() {
    let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(sha256(b"abc"), known);
}
