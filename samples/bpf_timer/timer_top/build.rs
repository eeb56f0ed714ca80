// SPDX-License-Identifier: GPL-2.0

//! Compiles the BPF programs and generates their skeletons.

use libbpf_cargo::SkeletonBuilder;
use std::path::PathBuf;
use std::{env, process};

fn main() {
    println!("cargo:rerun-if-changed=src/bpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets CARGO_CFG_TARGET_ARCH");
    // Debian and its like keep <asm/types.h> where clang does not look for BPF.
    let asm = format!("/usr/include/{arch}-linux-gnu");
    for name in ["events", "list"] {
        let object = out.join(format!("{name}.bpf.o"));
        let mut builder = SkeletonBuilder::new();
        builder
            .source(format!("src/bpf/{name}.bpf.c"))
            .obj(&object)
            .clang_args(["-Wall", "-Werror", "-idirafter", &asm]);
        if let Err(err) = builder.build_and_generate(out.join(format!("{name}.skel.rs"))) {
            eprintln!("{name}.bpf.c does not compile: are clang and libbpf-dev there? {err:#}");
            process::exit(1);
        }
    }
}
