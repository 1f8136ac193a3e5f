//! What a measurement means, and what to do about it. Pure: the same figures, the same finding.

use std::net::SocketAddr;
use std::path::Path;

use shouwang_domain::charter::Charter;
use shouwang_driver::{CLOCK_OFFSET_MS_MAX, Timing};
use shouwang_proto::admin::v1::{StoreFinding, StoreRemedy};
use shouwang_store::reserve::SpaceState;

use super::measure::{Certificates, Peer, Port, Store, Syncs};
use super::{Finding, Verdict};
use crate::auth::NodeName;
use crate::config::PeerAddress;
use crate::lang::Bilingual;
use crate::serve::check::{Found, Outlook};

/// An election must wait for at least this many slow synced writes, or a busy disk looks like a dead leader.
const SYNCS_PER_ELECTION: u32 = 10;
/// A certificate with fewer days than this should be renewed, and with fewer than the second at once.
const DAYS: (i64, i64) = (30, 7);

/// Room on the disk.
pub fn space(folder: &Path, space: Result<SpaceState, String>) -> Finding {
    const CHECK: &str = "disk.space";
    let mib = |bytes: u64| bytes >> 20;
    let told = |bytes| {
        let (folder, free) = (folder.display(), mib(bytes));
        Bilingual::new(format!("{folder} 剩余 {free} MiB"), format!("{free} MiB free at {folder}"))
    };
    let room = Bilingual::fixed(
        "腾出空间或扩容；空间不足时节点停止写入，腾出后自动恢复",
        "make room or add disk; a full node stops taking writes and goes on by itself when there is room",
    );
    match space {
        Ok(SpaceState::Ok(bytes)) => Finding::good(CHECK, told(bytes)),
        Ok(SpaceState::Low(bytes)) => Finding::warning(CHECK, told(bytes), room),
        Ok(SpaceState::Full(bytes)) => Finding::bad(CHECK, told(bytes), room),
        Err(error) => Finding::bad(
            CHECK,
            Bilingual::new(format!("无法查询剩余空间：{error}"), format!("free space cannot be asked for: {error}")),
            Bilingual::fixed("检查 data_dir 是否正确", "see whether data_dir is right"),
        ),
    }
}

/// How long a synced write takes, against the silence after which an election begins.
pub fn fsync(timing: Timing, syncs: &Result<Syncs, String>) -> Finding {
    const CHECK: &str = "disk.fsync";
    let syncs = match syncs {
        Ok(syncs) => syncs,
        Err(error) => {
            return Finding::bad(
                CHECK,
                Bilingual::new(format!("无法写入并同步：{error}"), format!("cannot write and sync: {error}")),
                Bilingual::fixed("检查 data_dir 的权限与磁盘", "see to the rights of data_dir, and to the disk"),
            );
        }
    };
    let election_ms = u128::from(timing.tick_ms) * u128::from(timing.election_ticks);
    let (p50, p99) = (syncs.p50.as_micros(), syncs.p99.as_micros());
    let found = Bilingual::new(
        format!("4 KiB 同步写入：中位 {p50} µs，99% 在 {p99} µs 内；选举等待 {election_ms} ms"),
        format!("a synced write of 4 KiB: median {p50} µs, 99 % within {p99} µs; an election waits {election_ms} ms"),
    );
    let slow = Bilingual::fixed(
        "换用更快的磁盘（固态盘），或改用 timing = \"wan\"",
        "use a faster disk (solid state), or timing = \"wan\"",
    );
    let needed = p99 * u128::from(SYNCS_PER_ELECTION);
    if needed <= election_ms * 1000 {
        Finding::good(CHECK, found)
    } else if p99 * 2 <= election_ms * 1000 {
        Finding::warning(CHECK, found, slow)
    } else {
        Finding::bad(CHECK, found, slow)
    }
}

/// What lies on the disk: as it was read, or as the running node says.
pub fn store(store: &Store) -> Finding {
    const CHECK: &str = "store";
    match store {
        Store::Read(report) => {
            let (records, moved) = (report.records.len(), report.moved_away.len());
            let findings: Vec<Told> = report.findings.iter().map(Told::of_check).collect();
            let whole = Bilingual::new(
                format!("{records} 个记录逐字节检查完好；此前移开的文件 {moved} 个"),
                format!("{records} records read in full, all sound; {moved} files were moved out of the way earlier"),
            );
            told(CHECK, whole, &findings)
        }
        Store::Told(findings) => {
            let findings: Vec<Told> = findings.iter().map(Told::of_node).collect();
            let whole = Bilingual::fixed(
                "运行中的节点自启动以来未发现损坏",
                "the running node has found no damage since it started",
            );
            told(CHECK, whole, &findings)
        }
        Store::Unasked(why) => Finding::warning(
            CHECK,
            Bilingual::new(
                format!("节点正在运行，未能询问其发现：{why}"),
                format!("the node runs and could not be asked what it has found: {why}"),
            ),
            Bilingual::fixed(
                "用 --context 指明本节点的连接配置，或执行 shouwang region status",
                "name a context of this node with --context, or see `shouwang region status`",
            ),
        ),
        Store::Unread(failure) => Finding::bad(
            CHECK,
            failure.text.clone(),
            Bilingual::fixed(
                "按提示处理后执行 shouwang disk check",
                "mend what it says, then run `shouwang disk check`",
            ),
        ),
    }
}

/// One piece of damage, whoever found it.
struct Told {
    code: String,
    what: Bilingual,
    mend: Bilingual,
    act: bool,
}

impl Told {
    fn of_check(found: &Found) -> Self {
        let (what, mend) = (found.what.clone(), found.mend.clone());
        Self { code: found.code.to_owned(), what, mend, act: found.outlook == Outlook::Operator }
    }

    fn of_node(finding: &StoreFinding) -> Self {
        let act = finding.remedy() == StoreRemedy::Operator;
        let mend = if act {
            Bilingual::fixed(
                "先备份（shouwang backup take），停止节点后执行 shouwang disk check 查看处理办法",
                "take a backup (shouwang backup take), stop the node and see what to do with `shouwang disk check`",
            )
        } else {
            Bilingual::fixed("节点自行修复；请留意磁盘", "nothing: the node mends it; have an eye on the disk")
        };
        Self { code: finding.code.clone(), what: Bilingual::new(finding.zh.clone(), finding.en.clone()), mend, act }
    }
}

/// The worst stands for all: what is to be done about the rest is told by the check itself.
fn told(check: &'static str, whole: Bilingual, findings: &[Told]) -> Finding {
    let Some(worst) = findings.iter().find(|told| told.act).or_else(|| findings.first()) else {
        return Finding::good(check, whole);
    };
    let (count, code) = (findings.len(), &worst.code);
    let found = Bilingual::new(
        format!("发现 {count} 项，如 {code}：{}", worst.what.zh),
        format!("{count} findings, such as {code}: {}", worst.what.en),
    );
    if worst.act {
        Finding::bad(check, found, worst.mend.clone())
    } else {
        Finding::warning(check, found, worst.mend.clone())
    }
}

/// An address of this node's own.
pub fn port(key: &str, address: SocketAddr, port: &Port) -> Finding {
    const CHECK: &str = "port";
    match port {
        Port::Free => Finding::good(
            CHECK,
            Bilingual::new(format!("{key} = {address} 空闲"), format!("{key} = {address} is free")),
        ),
        Port::Answers => Finding::good(
            CHECK,
            Bilingual::new(format!("{key} = {address} 有应答"), format!("{key} = {address} answers")),
        ),
        Port::Unusable(why) => Finding::bad(
            CHECK,
            Bilingual::new(
                format!("{key} = {address} 不可用：{why}"),
                format!("{key} = {address} cannot be used: {why}"),
            ),
            Bilingual::fixed("换用本机的其他地址或端口", "choose another address or port of this machine"),
        ),
    }
}

/// Keys and certificates.
pub fn certificates(found: &Certificates) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(trouble) = &found.trouble {
        findings.push(Finding::bad(
            "certificate",
            Bilingual::new(format!("证书不可用：{trouble}"), format!("the credentials cannot be used: {trouble}")),
            Bilingual::fixed("按提示更换文件；参见 shouwang pki", "mend the file it names; see shouwang pki"),
        ));
    }
    let renew = Bilingual::fixed(
        "由 CA 执行 shouwang pki renew，换上新证书后向节点发送 SIGHUP",
        "have the CA run `shouwang pki renew`, put the certificate in place and send the node SIGHUP",
    );
    let anew = Bilingual::fixed(
        "建立新的 CA，将其证书加入各节点的 ca.pem，再逐一换证",
        "found a new CA, add its certificate to every node's ca.pem, then renew one node after the other",
    );
    findings.extend(
        found.node_days.map(|days| lasting("certificate.node", ("节点证书", "the node's certificate"), days, renew)),
    );
    findings
        .extend(found.ca_days.map(|days| lasting("certificate.ca", ("CA 证书", "the CA's certificate"), days, anew)));
    findings.extend(found.revoked.map(|revoked| {
        let told = format!("{revoked} certificates on the list of revoked ones");
        Finding::good("certificate.revoked", Bilingual::new(format!("已吊销证书 {revoked} 张"), told))
    }));
    findings
}

fn lasting(check: &'static str, (zh, en): (&str, &str), days: i64, mend: Bilingual) -> Finding {
    let found = Bilingual::new(format!("{zh}剩余 {days} 天"), format!("{en} lasts {days} more days"));
    let verdict = if days >= DAYS.0 {
        Verdict::Good
    } else if days >= DAYS.1 {
        Verdict::Warning
    } else {
        Verdict::Bad
    };
    Finding { check, verdict, found, mend: (verdict != Verdict::Good).then_some(mend) }
}

/// A region whose charter cannot be read.
pub fn no_charter(region: &str, path: &Path) -> Finding {
    let path = path.display();
    Finding::bad(
        "region.charter",
        Bilingual::new(
            format!("区域 {region}：{path} 无法读取或签名不全"),
            format!("region {region}: {path} cannot be read, or a party has not signed it"),
        ),
        Bilingual::fixed("用 shouwang charter show 查看原因", "see why with `shouwang charter show`"),
    )
}

/// Another node.
pub fn peer(region: &str, peer: &PeerAddress, answer: Result<&Peer, &String>) -> Finding {
    const CHECK: &str = "peer";
    let (code, number, address) = (peer.node.municipality, peer.node.node, &peer.address);
    match answer {
        Ok(answer) => {
            let ms = answer.round_trip.as_millis();
            Finding::good(
                CHECK,
                Bilingual::new(
                    format!("区域 {region}：{code}/{number}（{address}）往返 {ms} ms"),
                    format!("region {region}: {code}/{number} at {address} answers within {ms} ms"),
                ),
            )
        }
        Err(why) => Finding::warning(
            CHECK,
            Bilingual::new(
                format!("区域 {region}：{code}/{number}（{address}）无应答：{why}"),
                format!("region {region}: {code}/{number} at {address} does not answer: {why}"),
            ),
            Bilingual::fixed(
                "核对地址、线路与防火墙；对方停机时可忽略",
                "see to address, line and firewall; nothing to do if that node is down on purpose",
            ),
        ),
    }
}

/// This clock against the median of the peers'; nothing when nobody told the time.
pub fn clock(region: &str, offsets_ms: &[i64]) -> Option<Finding> {
    const CHECK: &str = "clock";
    let mut sorted = offsets_ms.to_vec();
    sorted.sort_unstable();
    // Positive: the peers are ahead of us.
    let median = *sorted.get(sorted.len() / 2)?;
    let found = Bilingual::new(
        format!("区域 {region}：本机时钟与 {} 个节点的中位数相差约 {} ms", sorted.len(), -median),
        format!("region {region}: this clock is about {} ms off the median of {} nodes", -median, sorted.len()),
    );
    let mend = Bilingual::fixed(
        "启用时钟同步（chrony 或 systemd-timesyncd）",
        "keep the clock in step (chrony or systemd-timesyncd)",
    );
    Some(if median.abs() <= CLOCK_OFFSET_MS_MAX / 2 {
        Finding::good(CHECK, found)
    } else if median.abs() <= CLOCK_OFFSET_MS_MAX {
        Finding::warning(CHECK, found, mend)
    } else {
        Finding::bad(CHECK, found, mend)
    })
}

/// What the region's voters can lose, and how many of them are in touch with this node.
pub fn quorum(region: &str, charter: &Charter, in_touch: &[NodeName]) -> Finding {
    const CHECK: &str = "quorum";
    let voters: Vec<(u32, u32)> = charter
        .nodes()
        .filter(|(_, entry)| entry.voter)
        .map(|(_, entry)| (entry.node.municipality().get(), entry.node.number()))
        .collect();
    let near = |voter: &&(u32, u32)| in_touch.iter().any(|node| (node.municipality.code(), node.node) == **voter);
    let (count, reached) = (voters.len(), voters.iter().filter(near).count());
    let (majority, spare) = (count / 2 + 1, count.saturating_sub(1) / 2);
    let found = Bilingual::new(
        format!(
            "区域 {region}（首份协议）：{count} 个投票节点，可失 {spare} 个；此处可达 {reached} 个，须 {majority} 个"
        ),
        format!(
            "region {region} (founding charter): {count} voters, {spare} may fail; {reached} in touch from here, \
             {majority} are needed"
        ),
    );
    if reached < majority {
        let mend = Bilingual::fixed(
            "恢复线路；在此之前仅可动用本地储备",
            "mend the lines; until then only local stock can be used",
        );
        Finding::bad(CHECK, found, mend)
    } else if count % 2 == 0 || spare == 0 {
        let mend = Bilingual::fixed(
            "投票节点取奇数且不少于三个：偶数不增加容错，一两个时任一停机即停摆",
            "have an odd number of voters, at least three: an even one adds nothing, and of two none may fail",
        );
        Finding::warning(CHECK, found, mend)
    } else {
        Finding::good(CHECK, found)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::Municipality;
    use crate::exit::{Exit, Failure};
    use crate::serve::check::Report;
    use shouwang_domain::testing::{charter, municipality};

    #[test]
    fn a_disk_is_judged_by_its_room_and_its_syncs() {
        for (room, verdict) in [
            (Ok(SpaceState::Ok(9 << 30)), Verdict::Good),
            (Ok(SpaceState::Low(200 << 20)), Verdict::Warning),
            (Ok(SpaceState::Full(1)), Verdict::Bad),
            (Err("no such folder".to_owned()), Verdict::Bad),
        ] {
            assert_eq!(space(Path::new("/d"), room.clone()).verdict, verdict, "{room:?}");
        }
        let syncs = |ms| Ok(Syncs { p50: Duration::from_millis(1), p99: Duration::from_millis(ms) });
        for (timing, measured, verdict) in [
            (Timing::lan(), syncs(35), Verdict::Good),
            (Timing::lan(), syncs(51), Verdict::Warning),
            (Timing::lan(), syncs(300), Verdict::Bad),
            (Timing::wan(), syncs(300), Verdict::Good),
            (Timing::wan(), Err("read-only".to_owned()), Verdict::Bad),
        ] {
            let finding = fsync(timing, &measured);
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert_eq!(finding.mend.is_none(), verdict == Verdict::Good);
        }
    }

    #[test]
    fn a_store_is_judged_by_its_worst_finding() {
        let found = |outlook| Found {
            code: "STORE_LEDGER_DAMAGED",
            path: "/d/x.sealed".into(),
            record: "乌海市".to_owned(),
            outlook,
            what: Bilingual::fixed("坏", "damaged"),
            mend: Bilingual::fixed("修", "mend it"),
        };
        let read = |outlooks: &[Outlook]| {
            let findings = outlooks.iter().map(|outlook| found(*outlook)).collect();
            Store::Read(Report { findings, ..Report::default() })
        };
        let said = |remedies: &[StoreRemedy]| {
            let one = |remedy: &StoreRemedy| StoreFinding { remedy: (*remedy).into(), ..StoreFinding::default() };
            Store::Told(remedies.iter().map(one).collect())
        };
        let unread = Failure::new(Exit::Damaged, "STORE_IO", Bilingual::fixed("坏", "broken"));
        for (known, verdict) in [
            (read(&[]), Verdict::Good),
            (read(&[Outlook::Mended, Outlook::Fetching]), Verdict::Warning),
            (read(&[Outlook::Mended, Outlook::Operator]), Verdict::Bad),
            (said(&[]), Verdict::Good),
            (said(&[StoreRemedy::Mended]), Verdict::Warning),
            (said(&[StoreRemedy::Fetching, StoreRemedy::Operator]), Verdict::Bad),
            (Store::Unasked("no context".to_owned()), Verdict::Warning),
            (Store::Unread(unread), Verdict::Bad),
        ] {
            let finding = store(&known);
            assert_eq!(finding.verdict, verdict, "{known:?}");
            assert_eq!(finding.mend.is_none(), verdict == Verdict::Good, "{finding:?}");
        }
    }

    #[test]
    fn certificates_are_judged_by_their_days() {
        for (days, verdict) in
            [(365, Verdict::Good), (30, Verdict::Good), (29, Verdict::Warning), (6, Verdict::Bad), (-1, Verdict::Bad)]
        {
            let found = Certificates { node_days: Some(days), ca_days: Some(3000), ..Certificates::default() };
            let findings = certificates(&found);
            assert_eq!(findings.iter().map(|finding| finding.verdict).max(), Some(verdict), "{days}");
        }
        let found = Certificates { trouble: Some("the key does not belong".to_owned()), ..Certificates::default() };
        assert_eq!(certificates(&found)[0].verdict, Verdict::Bad);
        let counted =
            |found: &Certificates| certificates(found).iter().any(|finding| finding.check == "certificate.revoked");
        assert!(!counted(&found), "of a list that cannot be read nothing is known");
        assert!(counted(&Certificates { revoked: Some(0), ..Certificates::default() }));
    }

    #[test]
    fn a_clock_is_judged_by_the_median_of_its_peers() {
        assert_eq!(clock("r", &[]), None);
        for (offsets, verdict) in [
            (&[0, 100, -100][..], Verdict::Good),
            (&[0, 0, 3_600_000], Verdict::Good),
            (&[-1_500, -1_400, -1_600], Verdict::Warning),
            (&[3_600_000, 3_600_100, 20], Verdict::Bad),
        ] {
            assert_eq!(clock("r", offsets).unwrap().verdict, verdict, "{offsets:?}");
        }
    }

    #[test]
    fn a_quorum_is_counted() {
        let parties = [150_300, 150_600, 150_800, 152_900, 640_100, 640_200].map(municipality);
        let name = |code: u32| NodeName { municipality: Municipality::new(code).unwrap(), node: 1 };
        let all = [150_300, 150_600, 150_800, 152_900, 640_100, 640_200].map(name);
        let (five, two) = (charter("r", &parties, None), charter("r", &parties[..2], None));
        for (charter, near, verdict) in [
            (&five, &all[..], Verdict::Good),
            (&five, &all[..3], Verdict::Good),
            (&five, &all[..2], Verdict::Bad),
            (&two, &all[..2], Verdict::Warning),
            (&two, &all[..1], Verdict::Bad),
        ] {
            assert_eq!(quorum("r", charter, near).verdict, verdict, "{} near", near.len());
        }
    }

    #[test]
    fn ports_and_peers_say_what_and_where() {
        let address = "127.0.0.1:7300".parse().unwrap();
        assert_eq!(port("peer.listen", address, &Port::Answers).verdict, Verdict::Good);
        let unusable = port("peer.listen", address, &Port::Unusable("denied".to_owned()));
        assert!(unusable.verdict == Verdict::Bad && unusable.found.en.contains("127.0.0.1:7300"));
        let node = NodeName { municipality: Municipality::new(152_900).unwrap(), node: 1 };
        let alxa = PeerAddress { node, address: "alxa:7300".to_owned() };
        let silent = peer("r", &alxa, Err(&"refused".to_owned()));
        assert!(silent.verdict == Verdict::Warning && silent.found.zh.contains("152900/1"));
    }
}
