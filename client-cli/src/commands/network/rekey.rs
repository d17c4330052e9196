//! `paigham network rekey`.

use std::path::{Path, PathBuf};

use paigham_network::{Rekey, rekey as replace};
use serde_json::{Value, json};

use super::{FILE_NAME, link_of};
use crate::failure::Failure;
use crate::output::{Output, Show, Style};
use crate::progress::Progress;

/// Replaces a key of a network that is not running.
pub fn rekey(data: &Path, subnet: Option<u16>, out: &Output) -> Result<(), Failure> {
    let what = subnet.map_or(Rekey::Root, Rekey::Subnet);
    let progress = Progress::start("stopping the subnets in order", out);
    let replaced = replace(data, what);
    drop(progress);
    let file = data.join(FILE_NAME);
    out.show(&Rekeyed {
        link: link_of(&replaced?)?,
        what,
        file: std::path::absolute(&file).unwrap_or(file),
    });
    Ok(())
}

/// A network with another key.
struct Rekeyed {
    what: Rekey,
    link: String,
    file: PathBuf,
}

impl Show for Rekeyed {
    fn json(&self) -> Value {
        let (key, subnet) = match self.what {
            Rekey::Root => ("root", None),
            Rekey::Subnet(number) => ("subnet", Some(number)),
        };
        json!({
            "type": "network_rekeyed",
            "key": key,
            "subnet": subnet,
            "link": self.link,
            "file": self.file,
        })
    }

    fn text(&self, style: Style) -> String {
        let says = match self.what {
            Rekey::Root => {
                "The network has another root key. Clients open this file, or its link, to follow."
                    .to_owned()
            }
            Rekey::Subnet(number) => {
                format!("Subnet {number} has another key. Clients notice nothing.")
            }
        };
        [
            style.bold(&says),
            format!("  network file  {}", self.file.display()),
            format!("  link          {}", self.link),
        ]
        .join("\n")
    }
}
