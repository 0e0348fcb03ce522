//! Instructions that a guest does not have, and those that look dangerous and are not.

use super::body;
use super::catch::attempt;
use super::probe;

macro_rules! instructions {
    ($($name:literal: $text:literal),+ $(,)?) => {
        $(probe!($name, "{}", attempt(body!("mov eax, 0x1000", "xor ecx, ecx", "xor edx, edx", $text), &mut []));)+
    };
}

/// Asks.
pub fn run() {
    instructions! {
        "forbidden vmrun": "vmrun rax",
        "forbidden vmload": "vmload rax",
        "forbidden vmsave": "vmsave rax",
        "forbidden stgi": "stgi",
        "forbidden clgi": "clgi",
        "forbidden invlpga": "invlpga rax, ecx",
        "forbidden skinit": ".byte 0x0f, 0x01, 0xde",
        "forbidden vmxon": ".byte 0xf3, 0x0f, 0xc7, 0x30",
        "forbidden vmclear": ".byte 0x66, 0x0f, 0xc7, 0x30",
        "forbidden vmptrld": ".byte 0x0f, 0xc7, 0x30",
        "forbidden vmlaunch": ".byte 0x0f, 0x01, 0xc2",
        "forbidden vmread": ".byte 0x0f, 0x78, 0xc1",
        "forbidden invept": ".byte 0x66, 0x0f, 0x38, 0x80, 0x08",
        "forbidden vmcall before the page": "vmcall",
        "forbidden vmmcall before the page": "vmmcall",
        "forbidden monitor": "monitor",
        "forbidden mwait": ".byte 0x0f, 0x01, 0xc9",
        "forbidden rsm": ".byte 0x0f, 0xaa",
        "forbidden getsec": ".byte 0x0f, 0x37",
        "rdpmc": "rdpmc",
        "invd": "invd",
        "wbinvd": "wbinvd",
        "rdtscp": "rdtscp",
        "pause": "pause",
        "invlpg": "invlpg [rax]",
        "lahf": "lahf",
    }
}
