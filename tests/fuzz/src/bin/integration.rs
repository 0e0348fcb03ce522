//! A guest's answers to the integration services, of any content.
#![no_main]

use fuzz::channel::{Input, PAGES, channel, rings};
use libfuzzer_sys::fuzz_target;
use vmbus::fake::{FakeMemory, FakePage};
use vmbus::packet::Descriptor;
use vsp::ic::shutdown::Request;
use vsp::ic::timesync::{Clock, Now};
use vsp::ic::{Heartbeat, Service, Shutdown, TimeSync};

struct Still;

impl Clock for Still {
    fn now(&self) -> Now {
        Now { utc: 1, reference: 2 }
    }
}

fuzz_target!(|input: &[u8]| {
    let memory = FakeMemory::new(PAGES);
    let (mut guest, mut host) = channel::<FakeMemory>(&rings(&memory));
    let mut input = Input(input);
    let mut shutdown = Shutdown::new();
    let mut heartbeat = Heartbeat::new();
    let mut timesync = TimeSync::new(Still);
    let which = input.byte() % 3;
    while !input.is_empty() {
        let service: &mut dyn Service<FakePage> = match which {
            0 => {
                let _ = shutdown.request(Request::PowerOff);
                &mut shutdown
            }
            1 => {
                heartbeat.beat();
                let _ = heartbeat.health();
                &mut heartbeat
            }
            _ => {
                timesync.sample();
                &mut timesync
            }
        };
        service.run(&mut host).expect("the guest keeps to the ring's rules");
        let mut asked = 0;
        let mut echo = vec![];
        guest.reader.start().expect("the host keeps to the ring's rules");
        while let Some(packet) = guest.reader.next_packet().expect("the host keeps to the ring's rules") {
            asked += 1;
            echo = vec![0; packet.payload_length()];
            packet.read_payload(0, &mut echo);
        }
        let _ = guest.reader.finish();
        assert!(asked <= 1, "one question at a time");
        // The echo, with some bytes changed, or anything at all.
        let shape = input.byte();
        if shape & 1 == 0 {
            if let Some(flags) = echo.get_mut(25) {
                *flags |= 4;
            }
            for _ in 0..shape >> 4 {
                let at = usize::from(input.byte());
                let byte = input.byte();
                echo.get_mut(at).into_iter().for_each(|to| *to = byte);
            }
        } else {
            let length = usize::from(input.byte());
            echo = input.bytes(length).to_vec();
        }
        let _ = guest.send(&Descriptor::inband(0), &echo);
    }
});
