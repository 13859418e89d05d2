"""Payloads compressed and encrypted at the store, and personal data that can be shredded."""

from cqrs_ddd_advanced_core.codecs.codec import IPayloadCodec, PayloadPlace
from cqrs_ddd_advanced_core.codecs.compression import ZstdCodec
from cqrs_ddd_advanced_core.codecs.encryption import AesGcmCodec
from cqrs_ddd_advanced_core.codecs.event_store import EncodedEventStore
from cqrs_ddd_advanced_core.codecs.key_ring import KeyRing
from cqrs_ddd_advanced_core.codecs.outbox import EncodedOutboxStorage
from cqrs_ddd_advanced_core.codecs.payload_codecs import PayloadCodecs
from cqrs_ddd_advanced_core.codecs.personal_data import Personal, PersonalData, Shredded
from cqrs_ddd_advanced_core.codecs.personal_data_codec import PersonalDataCodec
from cqrs_ddd_advanced_core.codecs.personal_data_service import PersonalDataService, PersonalValue
from cqrs_ddd_advanced_core.codecs.subject_keys import SubjectKeys

__all__ = [
    "AesGcmCodec",
    "EncodedEventStore",
    "EncodedOutboxStorage",
    "IPayloadCodec",
    "KeyRing",
    "PayloadCodecs",
    "PayloadPlace",
    "Personal",
    "PersonalData",
    "PersonalDataCodec",
    "PersonalDataService",
    "PersonalValue",
    "Shredded",
    "SubjectKeys",
    "ZstdCodec",
]
