//! Times the pieces of the hot path: `cargo bench --locked --workspace --features shouwang-micro/timing --bench micro`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shouwang_micro::works;

fn micro(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder for what is indexed");
    let mut group = criterion.benchmark_group("micro");
    for mut work in works::steady().into_iter().chain([works::index_page(folder.path())]) {
        group.throughput(Throughput::Elements(work.units));
        group.bench_function(work.name, |bencher| bencher.iter(|| (work.round)()));
    }
    group.finish();
}

criterion_group!(benches, micro);
criterion_main!(benches);
