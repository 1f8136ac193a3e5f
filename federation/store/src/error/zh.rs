//! The same sentences in Chinese, for those who run a node.

use super::StoreError;

impl StoreError {
    /// What failed, where, and how to mend it, in Chinese; [`std::fmt::Display`] says it in English.
    pub fn zh(&self) -> String {
        match self {
            Self::Io { op, path, source } => {
                format!("无法对 {} 执行 {op}：{source}；请检查磁盘及数据目录权限", path.display())
            }
            Self::Full { path } => format!("{} 所在磁盘已满；腾出空间后自动恢复写入", path.display()),
            Self::SyncFailed { path, detail } => {
                format!("{} 同步落盘失败：{detail}；进程必须停止，重启前请检查磁盘", path.display())
            }
            Self::Poisoned { cause } => format!("此前发生故障（{cause}），已停止写入；请重启进程"),
            Self::LogDamaged { slot, expected, found, dir } => format!(
                "{} 中的日志（{slot}）已损坏：曾落盘至 {expected}，现止于 {found}；本节点须退出该记录，以新编号重新加入",
                dir.display()
            ),
            Self::LogCorrupt { path, detail } => {
                format!("日志 {} 已损坏：{detail}；本节点须以新编号重新加入各记录", path.display())
            }
            Self::LogMarkerTorn { file, unreadable } => {
                format!("日志旁标 {} 有 {unreadable} 处无法读取，已重新写入；若非断电所致，请检查磁盘", file.display())
            }
            Self::LedgerDamaged { file, offset, detail } => format!(
                "账本分段 {} 在第 {offset} 字节处损坏：{detail}；已移开，缺失部分由日志重建或向其他节点索取",
                file.display()
            ),
            Self::LedgerTorn { file, offset, bytes } => format!(
                "账本分段 {} 末尾 {bytes} 字节（自第 {offset} 字节起）未写完整，已截去并由日志重建；若非断电所致，请检查磁盘",
                file.display()
            ),
            Self::LedgerShort { place, last, synced } => format!(
                "{} 处账本止于版次 {last}，曾落盘至 {synced}；缺失部分由日志重建或向其他节点索取",
                place.display()
            ),
            Self::LedgerGap { dir, first, last } => {
                format!("{} 中的账本缺少版次 {first} 至 {last}，其他节点亦无；请由备份恢复", dir.display())
            }
            Self::CheckpointDamaged { file, detail } => {
                format!("检查点 {} 已损坏：{detail}；已移开，改用较早的或其他节点的检查点", file.display())
            }
            Self::CheckpointForeign { file, format } => {
                format!("检查点 {} 由其他版本的程序写成（格式 {format}），已原样保留；请安装该版本", file.display())
            }
            Self::NoUsableCheckpoint { dir, damaged } => {
                format!("{} 中 {damaged} 个检查点均无法通过校验；请向其他节点索取，切勿以空记录启动", dir.display())
            }
            Self::Index { path, detail } => {
                format!("索引 {} 故障：{detail}；若已损坏，将由账本自动重建", path.display())
            }
            Self::Locked { path } => format!("{} 正被另一进程使用；请先停止该进程", path.display()),
            Self::MarkerMissing { dir, .. } => {
                format!("{} 没有存储标记；被清空或换过的磁盘不得投票，请以新编号重新加入", dir.display())
            }
            Self::MarkerMismatch { dir, field, expected, found } => format!(
                "{} 的存储标记中 {field} 不符（应为 {expected}，实为 {found}）；请挂载正确的磁盘",
                dir.display()
            ),
            Self::MarkerDamaged { file, detail } => {
                format!("存储标记 {} 已损坏：{detail}；请恢复该文件，或以新编号重新加入", file.display())
            }
            Self::Invalid(detail) => format!("已拒绝：{detail}；这是调用方的程序错误"),
            Self::TooLarge { what, size, limit } => format!("{what} 为 {size} 字节，超过上限 {limit} 字节"),
            Self::OutOfRange { requested, first, last } => {
                format!("本节点不保存版次 {requested}，现存 {first} 至 {last}")
            }
            Self::WrongOffset { expected, found } => {
                format!("传输已至第 {expected} 字节，收到的分块始于 {found}；请自 {expected} 续传")
            }
        }
    }
}
