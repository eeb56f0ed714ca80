// SPDX-License-Identifier: GPL-2.0

//! Compiles the BPF programs and generates their skeleton.

use libbpf_cargo::SkeletonBuilder;
use std::path::PathBuf;
use std::{env, process};

fn main() {
    println!("cargo:rerun-if-changed=src/bpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets CARGO_CFG_TARGET_ARCH");
    // Debian and its like keep <asm/types.h> in a directory that clang does not
    // search when it compiles for BPF; elsewhere the option does no harm.
    let asm = format!("/usr/include/{arch}-linux-gnu");
    // v3 has the atomic operations that return what was there.
    if let Err(err) = SkeletonBuilder::new()
        .source("src/bpf/fuzz.bpf.c")
        .clang_args(["-Wall", "-Werror", "-mcpu=v3", "-idirafter", &asm])
        .build_and_generate(out.join("fuzz.skel.rs"))
    {
        eprintln!("fuzz.bpf.c does not compile: are clang and libbpf-dev there? {err:#}");
        process::exit(1);
    }
}
