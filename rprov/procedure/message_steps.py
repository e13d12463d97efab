"""Which step a message belongs to, for reports: the one table that knows."""

from rprov.procedure.purpose import Purpose, Step
from rprov.wire import messages as nas
from rprov.wire import radio

STEP_OF: dict[str, Step] = {
    **dict.fromkeys(("CellInfo", "RrcSetupRequest", "RrcSetup", "RrcReject"), Step.ATTACH_REQUEST),
    **dict.fromkeys(("AttachRequest", "IdentityRequest", "IdentityResponse"), Step.ATTACH_REQUEST),
    **{name: Step.AUTHENTICATE for name in vars(nas) if name.startswith("Authentication")},
    **{name: Step.ATTACH for name in vars(nas) if name.startswith("SecurityMode")},
    **{name: Step.ATTACH for name in vars(radio) if name.startswith("AsSecurityMode")},
    **dict.fromkeys(("AttachAccept", "AttachComplete", "AttachReject"), Step.ATTACH),
    **{name: Step.SESSION for name in vars(nas) if name.startswith("PduSession")},
    **dict.fromkeys(("RrcReconfiguration", "RrcReconfigurationComplete"), Step.SESSION),
    **dict.fromkeys(("DetachRequest", "DetachAccept", "RrcRelease"), Step.DETACH),
}


def step_of(name: str, purpose: Purpose, otherwise: Step) -> Step:
    """The step of a message in a procedure with this purpose; `otherwise` for messages that come at any time."""
    return purpose.step(STEP_OF.get(name, otherwise))
