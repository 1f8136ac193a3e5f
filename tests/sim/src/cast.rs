//! Who takes part in a run: municipalities, their stations, and the regions they found or may join later.

use std::collections::BTreeMap;

use shouwang_domain::charter::{Charter, Member, MemberNode, Rules, Standing};
use shouwang_domain::hash::{Bytes, SignatureAlgorithm};
use shouwang_domain::ids::{MunicipalityCode, NodeId};
use shouwang_domain::registry::state::{RegistryGenesis, RegistryNode};
use shouwang_domain::testing::{Rng, municipality};

/// The cities of the world with the characters of their working numbers. The first is the hub of the first region, the
/// last that takes part the hub of the second.
const CITIES: [(u32, &str); 7] = [
    (150_300, "乌"),
    (150_600, "鄂"),
    (150_800, "巴"),
    (152_900, "阿"),
    (640_100, "银"),
    (640_200, "石"),
    (150_100, "呼"),
];
/// Most stations of a run: one a municipality, and two more of one of them.
pub(crate) const STATIONS_MAX: usize = CITIES.len() + 2;
/// Most voters of a region in the beginning; further nodes are learners.
const VOTERS: usize = 5;

/// A record of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// A region, by position.
    Region(usize),
    /// A registry, by its municipality's position.
    Registry(usize),
}

impl Which {
    /// For the trace.
    pub fn mark(self) -> u64 {
        match self {
            Self::Region(at) => at as u64,
            Self::Registry(at) => 100 + at as u64,
        }
    }

    /// Its place on every disk.
    pub fn slot(self) -> u64 {
        1 + self.mark()
    }
}

/// A municipality.
#[derive(Clone, Debug)]
pub(crate) struct City {
    pub code: MunicipalityCode,
    pub short: &'static str,
    /// Its machines, by position.
    pub stations: Vec<usize>,
    /// How many of them, from the first, keep its registry.
    pub keepers: usize,
}

/// A machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Post {
    /// Of which municipality, by position.
    pub city: usize,
    pub node: NodeId,
    /// Whether it keeps the registry.
    pub keeps_registry: bool,
}

/// A region: who founds it, and who may be admitted later.
#[derive(Clone, Debug)]
pub(crate) struct Federation {
    pub charter: Charter,
    /// Municipalities that may be admitted, by position.
    pub candidates: Vec<(usize, Standing)>,
}

impl Federation {
    /// Whether a municipality takes part, now or perhaps later.
    pub fn concerns(&self, cast: &[City], city: usize) -> bool {
        self.charter.member(cast[city].code).is_some() || self.candidates.iter().any(|(of, _)| *of == city)
    }
}

/// Everybody.
#[derive(Clone, Debug)]
pub(crate) struct Cast {
    pub cities: Vec<City>,
    pub posts: Vec<Post>,
    pub federations: Vec<Federation>,
    by_node: BTreeMap<u64, usize>,
}

/// The first key of a node, or one of those that follow.
pub(crate) fn key_of(node: NodeId, generation: u64) -> Vec<u8> {
    [node.get().to_be_bytes(), generation.to_be_bytes()].concat()
}

impl Cast {
    /// Three to seven municipalities, one or two regions; in a third of the runs one municipality has more machines.
    pub fn drawn(rng: &mut Rng) -> Self {
        let count = 3 + rng.index(CITIES.len() - 2);
        let extra = [0, 0, 0, 0, 1, 2][rng.index(6)];
        let rich = rng.index(count);
        Self::of(rng, count, (rich, extra))
    }

    /// So many municipalities, one of them with more machines. With two more all three keep its registry.
    pub fn of(rng: &mut Rng, count: usize, (rich, extra): (usize, usize)) -> Self {
        let mut cast =
            Self { cities: Vec::new(), posts: Vec::new(), federations: Vec::new(), by_node: BTreeMap::new() };
        for (city, (code, short)) in CITIES.into_iter().take(count).enumerate() {
            let machines = if city == rich { 1 + extra } else { 1 };
            let keepers = if machines == 3 { 3 } else { 1 };
            let code = municipality(code);
            let mut stations = Vec::new();
            for number in 0..machines {
                let running = u32::try_from(number).unwrap_or_default() + 1;
                let node = NodeId::new(code, running).expect("a small running number");
                cast.by_node.insert(node.get(), cast.posts.len());
                stations.push(cast.posts.len());
                cast.posts.push(Post { city, node, keeps_registry: number < keepers });
            }
            cast.cities.push(City { code, short, stations, keepers });
        }
        let first = 3 + rng.index(count - 2);
        let all: Vec<usize> = (0..count).collect();
        let regions = if rng.chance(70) { 2 } else { 1 };
        cast.federate("乌海及周边", rng, &all[..first], all[0]);
        if regions == 2 {
            let second = 3 + rng.index((count - 2).min(3));
            cast.federate("呼鄂及周边", rng, &all[count - second..], all[count - 1]);
        }
        cast
    }

    fn federate(&mut self, name: &str, rng: &mut Rng, founders: &[usize], hub: usize) {
        let mut members: Vec<Member> = Vec::new();
        for city in founders {
            // A second machine may be there from the beginning, or come later.
            let mut member = self.member(*city, Standing::Party);
            if rng.chance(50) {
                member.nodes = self.cities[*city].stations.iter().map(|at| self.member_node(*at)).collect();
            }
            members.push(member);
        }
        members.sort_by_key(|member| member.code);
        // An odd number of votes, one node of a member first.
        let nodes = members.iter().flat_map(|member| &member.nodes).count();
        let mut votes = if nodes >= VOTERS && rng.chance(70) { VOTERS } else { 3 };
        for number in 1..=3 {
            for entry in members.iter_mut().flat_map(|member| member.nodes.iter_mut()) {
                if votes > 0 && entry.node.number() == number {
                    (entry.voter, votes) = (true, votes - 1);
                }
            }
        }
        let rules = Rules { hold_minutes_max: 1440, ..Rules::default() };
        let (federation, name) = ("test".to_owned(), name.to_owned());
        let charter = Charter { federation, name, version: 1, hub: self.cities[hub].code, members, rules };
        let mut candidates: Vec<(usize, Standing)> = Vec::new();
        for city in (0..self.cities.len()).filter(|city| !founders.contains(city)) {
            let standing = if rng.chance(40) { Standing::Observer } else { Standing::Party };
            if rng.chance(60) {
                candidates.push((city, standing));
            }
        }
        self.federations.push(Federation { charter, candidates });
    }

    /// A municipality as it would stand in a charter, with its first machine.
    pub fn member(&self, city: usize, standing: Standing) -> Member {
        let City { code, short, ref stations, .. } = self.cities[city];
        Member {
            code,
            name: format!("市{code}"),
            short: short.to_owned(),
            standing,
            superior: None,
            neighbours: Vec::new(),
            nodes: vec![self.member_node(stations[0])],
        }
    }

    /// A machine as it would stand in a charter, as a learner.
    pub fn member_node(&self, station: usize) -> MemberNode {
        let node = self.posts[station].node;
        let (algorithm, public_key) = (SignatureAlgorithm::Ed25519, Bytes(key_of(node, 0)));
        MemberNode { node, algorithm, public_key, retiring: None, voter: false }
    }

    /// The founding document of a municipality's registry.
    pub fn founding(&self, city: usize) -> RegistryGenesis {
        let City { code, short, ref stations, keepers } = self.cities[city];
        let nodes = stations.iter().take(keepers).map(|at| {
            let node = self.posts[*at].node;
            RegistryNode { node, algorithm: SignatureAlgorithm::Ed25519, public_key: Bytes(key_of(node, 0)) }
        });
        RegistryGenesis {
            owner: code,
            name: format!("市{code}"),
            short: short.to_owned(),
            incarnation: 1,
            nodes: nodes.collect(),
        }
    }

    /// The founders of a region, by position.
    pub fn founders(&self, of: usize) -> Vec<usize> {
        let charter = &self.federations[of].charter;
        (0..self.cities.len()).filter(|at| charter.member(self.cities[*at].code).is_some()).collect()
    }

    /// The station with this Raft id.
    pub fn station(&self, id: u64) -> Option<usize> {
        self.by_node.get(&id).copied()
    }
}
