from dataclasses import replace
from datetime import timedelta

import pytest

from platform_assets.alerts.incidents import Ack, What
from platform_assets.alerts.matching import Match
from platform_assets.alerts.routing import Escalation
from platform_assets.alerts.signals import Kind, Signal, Standing
from platform_assets_tests.alerting import (
    ERROR,
    INFO,
    START,
    WARN,
    World,
    after,
    failed,
    late,
    over,
    policy,
    route,
    silence,
    whats,
)

WAIT = timedelta(seconds=30)


def test_a_problem_is_said_once_and_its_end_once():
    world = World()
    assert whats(world.at(START, failed())) == [What.BEGUN]
    assert world.at(after(minutes=1), failed(at=after(minutes=1))) == []
    (message,) = world.at(after(minutes=47), over(failed(), after(minutes=47)))
    assert message.what is What.RECOVERED
    assert message.title.endswith("over after 47 minutes")
    assert world.at(after(hours=1)) == []
    assert world.state.incidents == {} == world.state.problems
    assert [each.told["team"].ended for each in world.finished] == [True]


def test_what_ends_without_having_begun_is_nothing():
    assert World().at(START, over(failed(), START)) == []


def test_partitions_of_one_asset_are_one_incident():
    world = World(policy(route(group_wait=WAIT)))
    days = [f"2025-01-{day:02}" for day in range(1, 11)]
    assert world.at(START, *(failed(partition=day) for day in days[:5])) == []
    assert world.at(after(seconds=10), *(failed(partition=day) for day in days[5:])) == []
    (message,) = world.at(after(seconds=30))
    assert message.facts["partitions"] == ["2025-01-01 to 2025-01-10"]
    assert "(10 partitions)" in message.title
    assert world.at(after(hours=1), *(over(failed(partition=d), START) for d in days[:9])) == []
    (end,) = world.at(after(hours=2), over(failed(partition=days[9]), after(hours=2)))
    assert end.what is What.RECOVERED
    assert end.facts["partition_count"] == 10


def test_what_a_late_source_holds_up_is_one_incident_whichever_is_seen_first():
    source = late("source/shop")
    raw = late("raw/orders", cause=source.fingerprint)
    effects = [late(f"aggregated/a{n}", cause=raw.fingerprint) for n in range(50)]
    for order in ([source, raw, *effects], [*effects, raw, source]):
        world = World()
        (message,) = world.at(START, *order)
        assert message.facts["subject"] == "source/shop"
        assert message.facts["follows_count"] == 51
        assert "and 51 that follow" in message.title


def test_effects_seen_before_their_cause_wait_for_it():
    world = World(policy(route(group_wait=WAIT)))
    source = late("source/shop")
    effects = [late(f"raw/a{n}", cause=source.fingerprint) for n in range(3)]
    assert world.at(START, *effects) == []
    assert world.at(after(seconds=20), source) == []
    (message,) = world.at(after(seconds=30))
    assert message.facts["subject"] == "source/shop"
    assert message.facts["follows_count"] == 3


def test_a_problem_whose_cause_becomes_known_moves_unless_it_was_told():
    source = late("source/shop")
    alone, caused = late("raw/a"), late("raw/a", cause=source.fingerprint)
    waiting = World(policy(route(group_wait=WAIT)))
    waiting.at(START, alone)
    waiting.at(after(seconds=5), source, caused)
    assert len(waiting.state.incidents) == 1
    assert whats(waiting.at(after(seconds=30))) == [What.BEGUN]
    told = World()
    told.at(START, alone)
    told.at(after(seconds=5), source, caused)
    assert len(told.state.incidents) == 2


def test_an_effect_of_something_that_is_over_stands_by_itself():
    source = late("source/shop")
    world = World()
    world.at(START, source)
    world.at(after(minutes=1), over(source, after(minutes=1)))
    (message,) = world.at(after(minutes=2), late("raw/a", cause=source.fingerprint))
    assert message.facts["subject"] == "raw/a"


def test_causes_in_a_circle_end_somewhere():
    a, b = late("raw/a"), late("raw/b")
    world = World()
    world.at(START, replace(a, cause=b.fingerprint), replace(b, cause=a.fingerprint))
    assert {each.what for each in world.said} == {What.BEGUN}


def test_what_was_over_before_it_was_said_is_told_of_errors_only():
    world = World(policy(route(group_wait=WAIT)))
    warning = failed("raw/things", severity=WARN)
    world.at(START, failed(), warning)
    world.at(after(seconds=5), over(failed(), after(seconds=5)), over(warning, after(seconds=5)))
    (message,) = world.at(after(seconds=30))
    assert message.what is What.PASSED
    assert message.facts["subject"] == "cleaned/orders"
    assert world.at(after(hours=1)) == []


def test_it_is_repeated_while_it_is_there_with_what_was_left_unsaid():
    world = World(policy(route(repeat_after=timedelta(hours=4))))
    world.at(START, failed())
    for minute in range(1, 11):
        assert world.at(after(minutes=minute), failed(at=after(minutes=minute))) == []
    (message,) = world.at(after(hours=4))
    assert message.what is What.REPEATED
    assert message.facts["suppressed"] == 10
    assert whats(world.at(after(hours=5))) == []
    assert whats(world.at(after(hours=8))) == [What.REPEATED]


def test_who_was_told_of_a_warning_is_told_that_it_is_an_error():
    world = World()
    world.at(START, late("raw/a", severity=WARN))
    assert world.at(after(minutes=1), late("raw/a", severity=WARN)) == []
    (message,) = world.at(after(minutes=2), late("raw/a"))
    assert message.what is What.WORSE
    assert message.facts["severity_before"] == "warn"
    assert world.at(after(minutes=3), late("raw/a", severity=WARN)) == []
    (end,) = world.at(after(minutes=4), over(late("raw/a"), after(minutes=4)))
    assert end.severity is ERROR


def test_a_route_is_told_of_what_it_takes_and_no_more():
    errors = route("errors", match=Match(severity=ERROR))
    finance = route("finance", match=Match(owners=("team:finance",), datasets=("inv*",)))
    world = World(policy(errors, finance))
    world.at(START, failed(severity=WARN))
    assert world.said == []
    world.at(START, failed("cleaned/invoices", severity=WARN, owners=("team:finance",)))
    assert [each.route for each in world.said] == ["finance"]
    # The incident becomes worse: it is new to one of them.
    world.at(START, failed("cleaned/invoices", "2025-01-02", owners=("team:finance",)))
    assert [(e.route, e.what) for e in world.said[1:]] == [
        ("errors", What.BEGUN),
        ("finance", What.WORSE),
    ]
    signals = [failed("cleaned/invoices", day) for day in ("2025-01-01", "2025-01-02")]
    ends = world.at(after(minutes=1), *(over(each, after(minutes=1)) for each in signals))
    assert sorted(each.route for each in ends) == ["errors", "finance"]


def test_what_no_route_takes_goes_to_the_one_for_the_rest():
    nobody = route("nobody", match=Match(severity=ERROR))
    rest = route("rest", match=None)
    assert World(policy(nobody, rest)).at(START, failed(severity=INFO)) == []
    told = World(policy(nobody, rest, otherwise="rest")).at(START, failed(severity=INFO))
    assert [each.route for each in told] == ["rest"]


def test_three_failures_within_an_hour_page_somebody_else():
    page = Escalation("on-call", failures=3)
    world = World(policy(route(), route("on-call", match=None), escalations=(page,)))
    for number, minute in enumerate((0, 20)):
        run = failed(at=after(minutes=minute), run_id=f"run{number}")
        world.at(after(minutes=minute), run)
        world.at(after(minutes=minute + 1), over(run, after(minutes=minute + 1)))
    third = failed(at=after(minutes=40), run_id="run2")
    told = world.at(after(minutes=40), third)
    assert ("on-call", What.ESCALATED) in [(each.route, each.what) for each in told]
    assert world.at(after(minutes=41), failed(at=after(minutes=41), run_id="run3")) == []
    ends = world.at(after(minutes=60), over(third, after(minutes=50)))
    assert {(each.route, each.what) for each in ends} == {
        ("on-call", What.RECOVERED),
        ("team", What.RECOVERED),
    }


def test_failures_of_one_run_are_one_and_old_ones_do_not_count():
    page = Escalation("on-call", failures=3)
    world = World(policy(route(), route("on-call", match=None), escalations=(page,)))
    world.at(START, *(failed(partition=f"2025-01-0{n}", run_id="run0") for n in range(1, 8)))
    world.at(after(minutes=5), failed(at=after(minutes=5), run_id="run1"))
    world.at(after(minutes=62), failed(at=after(minutes=62), run_id="run2"))
    assert {each.route for each in world.said} == {"team"}


def test_what_nobody_takes_on_is_escalated_and_what_somebody_did_is_left_alone():
    page = Escalation("on-call", unacknowledged=timedelta(minutes=30))
    routes = (route(repeat_after=timedelta(hours=1)), route("on-call", match=None))
    world = World(policy(*routes, escalations=(page,)))
    world.at(START, failed())
    assert world.at(after(minutes=29)) == []
    assert [(e.route, e.what) for e in world.at(after(minutes=30))] == [("on-call", What.ESCALATED)]
    taken = World(policy(*routes, escalations=(page,)))
    taken.at(START, failed())
    acked = replace(taken.incident, ack=Ack(after(minutes=1), "anna", "on it"))
    taken.state = replace(taken.state, incidents={acked.id: acked})
    assert taken.at(after(hours=9)) == []
    assert whats(taken.at(after(hours=10), over(failed(), after(hours=10)))) == [What.RECOVERED]


def test_nothing_is_said_while_it_is_silenced():
    world = World()
    world.state = replace(world.state, silences=(silence(after(hours=2), datasets=("orders",)),))
    (message,) = world.at(START, failed(), failed("cleaned/customers"))
    assert message.facts["subject"] == "cleaned/customers"
    quiet = next(e for e in world.state.incidents.values() if e.id != message.incident)
    assert quiet.silence == "s1"
    assert world.at(after(hours=1, minutes=59)) == []
    (message,) = world.at(after(hours=2))
    assert (message.what, message.facts["subject"]) == (What.BEGUN, "cleaned/orders")
    assert world.state.silences == ()


def test_what_is_over_within_a_silence_is_never_said_and_an_end_is_said_after_it():
    world = World()
    world.at(START, failed("raw/before"))
    quiet = silence(after(hours=1), begins=after(minutes=1))
    world.state = replace(world.state, silences=(quiet,))
    gone = after(minutes=3)
    world.at(after(minutes=2), failed("raw/within", at=after(minutes=2)))
    assert world.at(gone, over(failed("raw/within"), gone), over(failed("raw/before"), gone)) == []
    (message,) = world.at(after(hours=1))
    assert (message.what, message.facts["subject"]) == (What.RECOVERED, "raw/before")


def test_an_incident_of_which_a_part_is_not_silenced_is_said():
    source = late("source/shop")
    effect = late("raw/orders", cause=source.fingerprint)
    world = World()
    world.state = replace(world.state, silences=(silence(after(hours=2), datasets=("orders",)),))
    assert whats(world.at(START, source, effect)) == [What.BEGUN]


def test_what_comes_and_goes_is_one_incident_and_few_messages():
    world = World()
    for minute in range(0, 60, 2):
        world.at(after(minutes=minute), failed(at=after(minutes=minute)))
        world.at(after(minutes=minute + 1), over(failed(), after(minutes=minute + 1)))
    assert whats(world.said) == [What.BEGUN, What.RECOVERED, What.BEGUN]
    assert world.incident.reopened == 29
    assert world.at(after(minutes=68)) == []
    (end,) = world.at(after(minutes=69))
    assert end.what is What.RECOVERED
    assert "came back: 29 times" in end.text


def test_a_warning_that_only_flashes_up_is_said_once_it_does_so_again():
    world = World(policy(route(group_wait=WAIT)))
    for minute in (0, 2):
        blink = failed(at=after(minutes=minute), severity=WARN)
        world.at(after(minutes=minute), blink)
        world.at(after(minutes=minute, seconds=5), over(blink, after(minutes=minute, seconds=5)))
        world.at(after(minutes=minute + 1))
    assert whats(world.said) == [What.BEGUN]


def test_what_comes_back_for_less_than_a_step_is_said():
    world = World()
    world.at(START, failed())
    world.at(after(minutes=1), over(failed(), after(minutes=1)))
    again = failed(at=after(minutes=2))
    assert whats(world.at(after(minutes=3), again, over(again, after(minutes=3)))) == [What.BEGUN]
    assert world.incident.reopened == 1
    assert whats(world.at(after(minutes=13))) == [What.RECOVERED]


def test_what_comes_back_much_later_is_another_incident():
    world = World()
    world.at(START, failed())
    world.at(after(minutes=1), over(failed(), after(minutes=1)))
    world.at(after(minutes=12), failed(at=after(minutes=12)))
    assert whats(world.said) == [What.BEGUN, What.RECOVERED, What.BEGUN]
    assert len({each.incident for each in world.said}) == 2


def test_what_has_no_end_is_said_once():
    done = Signal(
        Kind.BACKFILL_FINISHED, "backfill/b1", START, Standing.ONCE, severity=INFO, title="done"
    )
    world = World()
    (message,) = world.at(START, done)
    assert message.what is What.HAPPENED
    assert world.at(after(minutes=1), done) == []
    assert world.at(after(hours=1)) == []
    again = replace(done, at=after(hours=2))
    assert whats(world.at(after(hours=2), again)) == [What.HAPPENED]


def test_things_that_happen_to_one_subject_at_once_are_one_message():
    drift = [
        Signal(Kind.SCHEMA_DRIFT, "raw/a", START, Standing.ONCE, part=f"c{n}") for n in range(5)
    ]
    world = World(policy(route(group_wait=WAIT)))
    world.at(START, *drift[:3])
    world.at(after(seconds=5), *drift[3:])
    (message,) = world.at(after(seconds=30))
    assert message.facts["problems"] == 5


@pytest.mark.parametrize("standing", [Standing.OPEN, Standing.ONCE])
def test_a_storm_makes_few_messages_and_counts_all(standing):
    world = World(policy(route("a"), route("b")))
    storm = [failed(f"cleaned/a{n}", standing=standing) for n in range(1000)]
    world.at(START, *storm)
    for minute in range(1, 30):
        world.at(after(minutes=minute))
    for name in ("a", "b"):
        sent = [each for each in world.said if each.route == name and not each.waits]
        assert len(sent) <= 10
        (digest,) = [each for each in sent if each.what is What.DIGEST]
        assert digest.facts["messages"] + len(sent) - 1 == 1000
        folded = {each.id for each in world.said if each.route == name and each.waits}
        assert folded == set(digest.parts)


def test_a_storm_that_goes_on_is_told_in_digests_that_keep_their_distance():
    world = World()
    for second in range(0, 1200, 5):
        world.at(after(seconds=second), failed(f"cleaned/a{second}", at=after(seconds=second)))
    sent = [each for each in world.said if not each.waits]
    for number, message in enumerate(sent):
        within = [e for e in sent[number:] if e.at < message.at + timedelta(minutes=10)]
        assert len(within) <= 10
    world.at(after(seconds=1320))
    told = {part for each in world.said for part in each.parts}
    assert {each.id for each in world.said if each.waits} == told


def test_the_worst_is_said_by_itself_in_a_storm():
    world = World()
    told = world.at(
        START,
        *(failed(f"cleaned/a{n}", severity=WARN) for n in range(50)),
        failed("cleaned/worst"),
    )
    assert told[0].facts["subject"] == "cleaned/worst"
