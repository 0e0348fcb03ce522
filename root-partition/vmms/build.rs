//! Links the program as a fixed ELF image at 4 MiB, as the runtime's link script says.

fn main() {
    let directory = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo:rerun-if-changed=../runtime/program.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!("cargo:rustc-link-arg-bins=-T{directory}/../runtime/program.ld");
        println!("cargo:rustc-link-arg-bins=--no-pie");
    }
}
