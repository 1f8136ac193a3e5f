//! What people do at a station, on what their own node shows them: the day's business, contended stock, the charter.

use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::code;
use shouwang_domain::command::Envelope;
use shouwang_domain::machine::Machine;
use shouwang_domain::region::command::RegionCommand;
use shouwang_domain::registry::Registry;
use shouwang_domain::testing::{Said, View, actor, random_commands};

use crate::affairs;
use crate::node::Node;
use crate::people::Crew;
use crate::reading::Reader;
use crate::scene::Scene;
use crate::station::Keys;
use crate::stock::Ask;
use crate::truth::COURIER;

impl Node {
    /// Somebody does something, if people act at all and anybody has patience for more.
    pub fn talk(&mut self, keys: &mut Keys, crew: &mut Crew, scene: &mut Scene<'_>) {
        if scene.habits.talk == 0 || !crew.has_room() || !scene.rng.chance(scene.habits.talk) {
            return;
        }
        let regions = self.regions.iter().flatten();
        let member =
            regions.filter(|host| host.machine().is_some_and(|region| region.charter().member(crew.code).is_some()));
        let here: Vec<usize> = member.map(|host| host.of).collect();
        if here.is_empty() {
            return;
        }
        let of = here[scene.rng.index(here.len())];
        let (affairs, contest) = (scene.habits.affairs, scene.habits.contest);
        match scene.rng.below(100) {
            drawn if drawn < affairs => self.mind_the_charter(of, keys, crew, scene),
            drawn if drawn < affairs + contest => self.contend(of, crew, scene),
            _ => self.do_business(of, keys, crew, scene),
        }
    }

    fn do_business(&mut self, of: usize, keys: &Keys, crew: &mut Crew, scene: &mut Scene<'_>) {
        let (Some(registry), Some(Some(host))) = (&mut self.registry, self.regions.get(of)) else { return };
        let (Some(books), Some(region)) = (registry.machine(), host.machine()) else { return };
        let parties: Vec<_> = region.charter().members.iter().map(|member| member.code).collect();
        let view = View {
            now: scene.clock,
            me: crew.code,
            parties: &parties,
            registry: books,
            region_id: scene.oracle.region_id(of),
            region,
        };
        let valid_until = scene.clock.plus_ms(scene.habits.validity_ms);
        let mut repeatable = Vec::new();
        for said in random_commands(&view, scene.rng) {
            if scene.oracle.contests.are_touched_by(region, &said) {
                continue;
            }
            match said {
                // Has no effect a second time and is not remembered: nobody waits for what comes of it.
                Said::Registry(actor, body) if Registry::is_numbered(&body) => {
                    let id = crew.next_id(COURIER);
                    repeatable.push(code::encode(&Envelope { id, actor, valid_until, body }));
                }
                Said::Registry(actor, body) => {
                    let id = crew.next_id(0);
                    crew.registry.ask(&Envelope { id, actor, valid_until, body });
                }
                Said::Region(actor, body) => {
                    let id = crew.next_id(0);
                    crew.regions[of].ask(&Envelope { id, actor, valid_until, body });
                }
            }
        }
        registry.forward(repeatable, keys.node, &keys.list, scene);
    }

    /// A client of contended stock holds, releases, or looks.
    fn contend(&mut self, of: usize, crew: &mut Crew, scene: &mut Scene<'_>) {
        let Some(Some(host)) = self.regions.get_mut(of) else { return };
        let Some(region) = host.machine().cloned() else { return };
        let contests = &mut scene.oracle.contests;
        let here: Vec<usize> = (0..contests.list.len()).filter(|at| contests.list[*at].region == of).collect();
        if here.is_empty() || !host.has_room_for_reads() {
            return;
        }
        let contest = here[scene.rng.index(here.len())];
        let Some((ask, command)) = contests.list[contest].next(crew.city, &region, scene.rng) else { return };
        let place = contests.ask(contest, ask);
        match (ask, command) {
            (Ask::Look, _) => host.ask_read(Reader::Client(place), scene),
            (_, Some(body)) => {
                let envelope = self::envelope(crew, actor(crew.code, Role::Coordinator, 1), body, scene);
                let key = crew.regions[of].ask(&envelope);
                scene.oracle.contests.wait(key, place, &envelope.body);
            }
            (_, None) => {}
        }
    }

    fn mind_the_charter(&mut self, of: usize, keys: &mut Keys, crew: &mut Crew, scene: &mut Scene<'_>) {
        let Some(region) = self.regions.get(of).and_then(Option::as_ref).and_then(|host| host.machine()) else {
            return;
        };
        let Some((role, body)) = affairs::next(of, region, keys, crew, scene) else { return };
        let envelope = self::envelope(crew, actor(crew.code, role, 1), body, scene);
        crew.regions[of].ask(&envelope);
    }
}

fn envelope(crew: &mut Crew, actor: Actor, body: RegionCommand, scene: &Scene<'_>) -> Envelope<RegionCommand> {
    let valid_until = scene.clock.plus_ms(scene.habits.validity_ms);
    Envelope { id: crew.next_id(0), actor, valid_until, body }
}
