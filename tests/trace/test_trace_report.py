"""The report: each message once and in its step, what a round trip is, who is to blame; the schema to the letter."""

from dataclasses import replace

from doubles.runs import EID, device, ended, items, n2, seen

from rprov.model.identifiers import UeRadioId
from rprov.model.report import MessageSeen
from rprov.procedure.purpose import Purpose, Step
from rprov.trace.report import STEP_NAMES, DeviceReport, Report, build_report

NAMES = ["attach request", "authenticate", "attach", "session", "provision", "detach", "reattach"]


def names(device: DeviceReport, step: Step) -> list[str]:
    return [message.name for message in device.steps[step - 1].messages]


def test_steps_have_the_names_of_the_procedure() -> None:
    assert list(STEP_NAMES.values()) == NAMES


def test_the_json_is_the_schema_to_the_letter() -> None:
    report = build_report(items(), [device()], 0.2).as_json()
    assert list(report) == ["ok", "devices", "totals"]
    assert report["ok"] is True
    (found,) = report["devices"]
    assert list(found) == ["eid", "ok", "supi", "iccid", "steps"]
    assert found["eid"] == EID
    assert [step["step"] for step in found["steps"]] == [1, 2, 3, 4, 5, 6, 7]
    assert [step["name"] for step in found["steps"]] == NAMES
    for step in found["steps"]:
        assert list(step) == ["step", "name", "ok", "skipped", "ms", "radio_octets", "round_trips", "messages"]
        assert type(step["step"]) is int
        assert isinstance(step["ms"], float)
    assert found["steps"][0]["messages"][0] == {
        "from": "ue",
        "to": "ran",
        "link": "radio",
        "name": "RrcSetupRequest",
        "octets": 10,
        "protected": False,
    }
    assert report["totals"] == {"seconds": 0.2, "radio_octets": 8450, "round_trips": 8}


def test_every_message_of_the_device_stands_in_one_step_in_order() -> None:
    (found,) = build_report(items(), [device()], 0.2).devices
    placed = [message for step in found.steps for message in step.messages]
    expected = [item for item in items() if isinstance(item, MessageSeen) and item.name != "N2SetupRequest"]
    assert sorted(placed, key=repr) == sorted(expected, key=repr)
    for step in found.steps:
        assert list(step.messages) == [item for item in expected if item in step.messages]


def test_messages_on_n2_are_put_where_the_ue_was() -> None:
    (found,) = build_report(items(), [device()], 0.2).devices
    assert names(found, Step.ATTACH_REQUEST) == ["RrcSetupRequest", "RrcSetup", "AttachRequest", "InitialUeMessage"]
    assert names(found, Step.AUTHENTICATE) == [
        "DownlinkNasTransport",
        "AuthenticationRequest",
        "AuthenticationResponse",
        "UplinkNasTransport",
    ]
    assert names(found, Step.ATTACH)[0] == "DownlinkNasTransport"
    assert names(found, Step.PROVISION)[-2:] == ["user packets x45"] * 2
    assert names(found, Step.DETACH)[-1] == "UeContextReleaseCommand"
    assert names(found, Step.REATTACH)[1:] == ["RrcSetup", "AttachRequest", "InitialUeMessage", "AttachAccept"]


def test_a_relay_is_in_the_step_of_what_it_carries_even_when_the_ue_is_further() -> None:
    (found,) = build_report(items(), [device()], 0.2).devices
    # AttachComplete and PduSessionRequest leave the UE together; the RAN relays both afterwards.
    assert names(found, Step.ATTACH).count("UplinkNasTransport") == 2
    assert names(found, Step.SESSION) == ["PduSessionRequest", "UplinkNasTransport", "PduSessionAccept"]
    assert "InitialContextSetupRequest" in names(found, Step.ATTACH)


def test_times_of_steps_add_up_to_the_whole() -> None:
    (found,) = build_report(items(), [device(ended=0.09)], 0.2).devices
    assert [round(step.ms) for step in found.steps] == [2, 6, 4, 3, 5, 3, 67]
    assert round(sum(step.ms for step in found.steps)) == 90


def test_a_round_trip_is_a_message_of_the_ue_that_is_answered() -> None:
    (found,) = build_report(items(), [device()], 0.2).devices
    # Step 1 asked twice: for a connection, and to attach, which the AuthenticationRequest of step 2 answers.
    assert [step.round_trips for step in found.steps] == [2, 1, 1, 1, 0, 1, 2]
    assert found.round_trips == 8


def test_user_packets_count_as_octets_but_not_as_round_trips() -> None:
    (found,) = build_report(items(), [device()], 0.2).devices
    provision = found.steps[Step.PROVISION - 1]
    assert provision.radio_octets == 8000
    assert provision.round_trips == 0


def test_proofs_stand_with_their_step_whoever_gave_them() -> None:
    (found,) = build_report(items(), [device()], 0.2).devices
    assert [proof.text for proof in found.steps[1].proofs] == ["the network is 001-01", "the device is known"]


def test_with_several_devices_each_gets_its_own() -> None:
    shift = 1000

    def other(item: MessageSeen) -> MessageSeen:
        ue = UeRadioId(item.ue_radio_id + shift if item.ue_radio_id else 0)
        return replace(item, at=item.at + 0.0005, ue_radio_id=ue)

    mine = [item for item in items() if getattr(item, "name", "") != "N2SetupRequest"]
    theirs = [other(item) for item in mine if isinstance(item, MessageSeen)]
    theirs += [ended(90, 7, ue="9999", role="ue")]
    devices = [device(), device(eid="9999", ue_radio_ids=(UeRadioId(1005), UeRadioId(1006)))]
    report = build_report(sorted([*mine, *theirs], key=lambda item: item.at), devices, 0.2)
    one, two = report.devices
    assert [names(one, step) for step in Step] == [names(two, step) for step in Step]
    assert {message.ue_radio_id for step in two.steps for message in step.messages} == {0, 1005, 1006}
    assert one.steps[1].proofs
    assert not two.steps[1].proofs
    assert one.round_trips == two.round_trips


def test_a_radio_id_that_is_used_again_belongs_to_whom_the_time_says() -> None:
    first = device(ue_radio_ids=(UeRadioId(5),), ended=0.05)
    second = device(eid="9999", ue_radio_ids=(UeRadioId(5),), started=0.06, ended=0.2)
    found = build_report(
        [seen(1, 5, 1, "ue>cp", "AttachRequest"), seen(70, 5, 1, "ue>cp", "AttachRequest", 99)], [first, second], 0.2
    )
    assert [device.radio_octets for device in found.devices] == [10, 99]


def test_the_step_that_failed_says_why_and_what_follows_was_not_reached() -> None:
    log = [item for item in items() if item.at < 0.0065] + [ended(7, 2, False, "no profile is ordered for this EID")]
    report = build_report(log, [device(ok=False, why="NO_ORDER")], 0.2)
    assert not report.ok
    steps = report.as_json()["devices"][0]["steps"]
    assert [(step["ok"], step["skipped"]) for step in steps] == [(True, False), (False, False)] + [(False, True)] * 5
    assert steps[1]["why"] == "no profile is ordered for this EID"
    assert all("why" not in step for step in steps if step["step"] != 2)
    assert report.as_json()["devices"][0]["why"] == "NO_ORDER"


def test_a_step_that_never_ended_is_to_blame() -> None:
    log = [item for item in items() if item.at < 0.0065]
    (found,) = build_report(log, [device(ok=False)], 0.2).devices
    assert [step.why for step in found.steps] == ["", "it did not end", "", "", "", "", ""]
    assert found.why == "it did not end"


def test_a_device_of_which_nothing_was_seen_failed_in_its_first_step() -> None:
    (found,) = build_report([], [device(ok=False, why="no cell")], 0.2).devices
    assert found.steps[0].why == "no cell"
    assert not any(step.ok for step in found.steps)


def test_an_ordinary_attach_skips_six_steps_and_is_whole() -> None:
    log = [item for item in items() if item.at >= 0.029]
    report = build_report(log, [device(purpose=Purpose.ORDINARY, ue_radio_ids=(UeRadioId(6),))], 0.1)
    steps = report.as_json()["devices"][0]["steps"]
    assert [(step["ok"], step["skipped"]) for step in steps] == [(True, True)] * 6 + [(True, False)]
    assert report.ok


def test_asking_in_vain_belongs_to_the_device_that_was_under_way() -> None:
    log = [seen(1, 0, 1, "ue>ran", "RrcSetupRequest"), seen(3, 0, 1, "ue>ran", "RrcSetupRequest")]
    (found,) = build_report(log, [device(ok=False, ue_radio_ids=())], 0.2).devices
    assert names(found, Step.ATTACH_REQUEST) == ["RrcSetupRequest"] * 2


def test_a_device_asks_for_a_connection_only_when_its_last_one_is_over() -> None:
    log = [
        seen(1, 5, 1, "ue>cp", "AttachRequest"),
        seen(2, 15, 1, "ue>cp", "AttachRequest"),
        seen(3, 15, 6, "cp>ue", "DetachAccept"),
        seen(4, 0, 7, "ue>ran", "RrcSetupRequest", 44),
        seen(5, 5, 6, "cp>ue", "DetachAccept"),
        seen(6, 0, 7, "ue>ran", "RrcSetupRequest", 55),
        seen(7, 6, 7, "ue>cp", "AttachRequest"),
        seen(8, 16, 7, "ue>cp", "AttachRequest"),
    ]
    devices = [device(), device(eid="9999", ue_radio_ids=(UeRadioId(15), UeRadioId(16)))]
    one, other = build_report(log, devices, 0.2).devices
    assert [message.octets for message in one.steps[6].messages] == [55, 10]
    assert [message.octets for message in other.steps[6].messages] == [44, 10]


def test_a_link_message_of_nobody_is_left_out() -> None:
    (found,) = build_report([n2(1, 0, "ran>cp", "N2SetupRequest")], [device()], 0.2).devices
    assert all(not step.messages for step in found.steps)


def test_a_run_without_devices_proved_nothing() -> None:
    assert not Report((), 0.0).ok
