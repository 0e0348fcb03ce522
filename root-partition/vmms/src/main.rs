//! The virtual machine management service: CLI and store of VM definitions.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

runtime::entry!(main);

fn main() {
    let console = runtime::Console::inherited();
    let _ = console.write(b"vmms: hello from ring 3\r\n");
    let mut bytes = [0; 64];
    loop {
        let mut entries = [runtime::Object::wait_entry(&console)];
        let _ = runtime::wait(&mut entries, u64::MAX);
        if let Ok(length) = console.read(&mut bytes) {
            let _ = console.write(&bytes[..length]);
        }
    }
}
