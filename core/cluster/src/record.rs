//! Where the machines' records are kept: the first byte of a key says whose it is.

use model::machine::BadRecord;

use crate::Record;

/// The first byte of every key of the kernel.
const KERNEL: u8 = b'k';
/// The first byte of every key of services.
const SERVICES: u8 = b's';

impl model::machine::Record for Record {
    fn key(&self) -> Vec<u8> {
        match self {
            Record::Kernel(record) => record.key(),
            Record::Services(record) => record.key(),
        }
    }

    fn value(&self) -> Option<Vec<u8>> {
        match self {
            Record::Kernel(record) => record.value(),
            Record::Services(record) => record.value(),
        }
    }

    fn read(key: &[u8], value: &[u8]) -> Result<Self, BadRecord> {
        match key.first() {
            Some(&KERNEL) => kernel::Record::read(key, value).map(Record::Kernel),
            Some(&SERVICES) => services::Record::read(key, value).map(Record::Services),
            Some(_) | None => {
                Err(BadRecord::new(key, "no machine of this release keeps such a key"))
            }
        }
    }
}
