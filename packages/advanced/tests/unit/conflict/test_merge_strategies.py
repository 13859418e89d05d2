"""Two states become one: by field, by item, by time; never by accident."""

from __future__ import annotations

import copy
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cqrs_ddd_advanced_core.conflict import (
    ConflictResolutionPolicy,
    ConflictResolver,
    DeepMergeStrategy,
    FieldLevelMergeStrategy,
    IMergeStrategy,
    LastWinsStrategy,
    MergeStrategyRegistry,
    TimestampLastWinsStrategy,
    UnionListMergeStrategy,
)
from cqrs_ddd_advanced_core.domain.exceptions import MergeConflictError
from cqrs_ddd_core.primitives.exceptions import ConfigurationError

EARLY = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATE = EARLY + timedelta(seconds=1)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["", "a", "b"])
    | st.decimals(0, 2, places=1)
    | st.sampled_from([EARLY, LATE])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "name", "lines", "qty"]), inner, max_size=4)
    ),
    max_leaves=6,
)
STATES = st.dictionaries(st.sampled_from(["id", "name", "lines", "address"]), VALUES, max_size=4)
STRATEGIES: list[IMergeStrategy] = [
    LastWinsStrategy(),
    FieldLevelMergeStrategy(),
    FieldLevelMergeStrategy(include_fields=["name", "lines"]),
    FieldLevelMergeStrategy(exclude_fields=["name"]),
    DeepMergeStrategy(),
    DeepMergeStrategy(append_lists=True),
    DeepMergeStrategy(append_lists=True, list_identity_key=None),
    DeepMergeStrategy(list_identity_key=None),
    TimestampLastWinsStrategy("stamp"),
    TimestampLastWinsStrategy("stamp", fallback_to_incoming=True),
    UnionListMergeStrategy(),
    ConflictResolver(policy=ConflictResolutionPolicy.FIRST_WINS),
    ConflictResolver(policy=ConflictResolutionPolicy.LAST_WINS),
    ConflictResolver(DeepMergeStrategy()),
]
any_strategy = pytest.mark.parametrize(
    "strategy", STRATEGIES, ids=lambda strategy: type(strategy).__name__
)


def mutable_parts(value: Any) -> set[int]:
    """The ids of everything in a value that can be changed."""
    if isinstance(value, dict):
        inner = set[int]().union(*map(mutable_parts, value.values()))
        return inner | {id(value)}
    if isinstance(value, list | tuple):
        inner = set[int]().union(*map(mutable_parts, value))
        return inner | ({id(value)} if isinstance(value, list) else set())
    return set()


@any_strategy
@settings(max_examples=40)
@given(existing=STATES, incoming=STATES)
def test_merging_the_same_again_changes_nothing(
    strategy: IMergeStrategy, existing: dict[str, Any], incoming: dict[str, Any]
) -> None:
    merged = strategy.merge(existing, incoming)
    assert strategy.merge(merged, incoming) == merged


@any_strategy
@settings(max_examples=40)
@given(existing=STATES, incoming=STATES)
def test_merging_gives_the_same_in_the_same_order_each_time(
    strategy: IMergeStrategy, existing: dict[str, Any], incoming: dict[str, Any]
) -> None:
    first, second = (strategy.merge(existing, incoming) for _ in range(2))
    assert repr(first) == repr(second)


@any_strategy
@settings(max_examples=40)
@given(existing=STATES, incoming=STATES)
def test_inputs_stay_as_they_are_and_share_nothing_with_the_result(
    strategy: IMergeStrategy, existing: dict[str, Any], incoming: dict[str, Any]
) -> None:
    before = copy.deepcopy((existing, incoming))
    merged = strategy.merge(existing, incoming)
    assert repr((existing, incoming)) == repr(before)
    assert not mutable_parts(merged) & (mutable_parts(existing) | mutable_parts(incoming))


@given(existing=STATES, incoming=STATES)
def test_a_three_way_merge_with_nothing_changed_by_them_takes_all_of_mine(
    existing: dict[str, Any], incoming: dict[str, Any]
) -> None:
    merged = FieldLevelMergeStrategy().merge(existing, incoming, base=existing)
    assert merged == {**existing, **incoming}


@given(existing=STATES, incoming=STATES)
def test_a_three_way_merge_with_nothing_changed_by_me_keeps_all_of_theirs(
    existing: dict[str, Any], incoming: dict[str, Any]
) -> None:
    assert FieldLevelMergeStrategy().merge(existing, incoming, base=incoming) == existing


def test_last_wins_takes_the_incoming_state_whole() -> None:
    existing = {"name": "John", "tags": {"a": 1}}
    assert LastWinsStrategy().merge(existing, {"tags": {"b": 2}}) == {"tags": {"b": 2}}


class TestFieldLevel:
    def test_each_incoming_field_replaces_the_existing_one_whole(self) -> None:
        merged = FieldLevelMergeStrategy().merge(
            {"name": "John", "address": {"city": "Rome", "zip": "00100"}},
            {"address": {"city": "Oslo"}, "phone": "1"},
        )
        assert merged == {"name": "John", "address": {"city": "Oslo"}, "phone": "1"}

    def test_an_explicit_none_is_a_value(self) -> None:
        assert FieldLevelMergeStrategy().merge({"name": "John"}, {"name": None}) == {"name": None}

    def test_only_included_fields_are_taken(self) -> None:
        strategy = FieldLevelMergeStrategy(include_fields=["name"])
        assert strategy.merge({"name": "a", "total": 1}, {"name": "b", "total": 2}) == {
            "name": "b",
            "total": 1,
        }

    def test_excluded_fields_are_never_taken(self) -> None:
        strategy = FieldLevelMergeStrategy(include_fields=["a", "b"], exclude_fields=["b", "new"])
        assert strategy.merge({"a": 1, "b": 1}, {"a": 2, "b": 2, "new": 2}) == {"a": 2, "b": 1}

    def test_with_a_base_changes_of_different_fields_are_both_kept(self) -> None:
        merged = FieldLevelMergeStrategy().merge(
            {"name": "theirs", "price": Decimal("1.00"), "note": "n"},
            {"name": "base", "price": Decimal("2.00"), "note": "n"},
            base={"name": "base", "price": Decimal("1.00"), "note": "n"},
        )
        assert merged == {"name": "theirs", "price": Decimal("2.00"), "note": "n"}

    def test_with_a_base_a_field_both_changed_is_a_conflict(self) -> None:
        with pytest.raises(MergeConflictError, match="name, note") as caught:
            FieldLevelMergeStrategy().merge(
                {"name": "theirs", "note": "t"},
                {"name": "mine", "note": "m"},
                base={"name": "base"},
            )
        assert caught.value.fields == ("name", "note")

    def test_a_field_they_removed_and_i_changed_is_a_conflict(self) -> None:
        with pytest.raises(MergeConflictError, match="name"):
            FieldLevelMergeStrategy().merge({}, {"name": "mine"}, base={"name": "base"})

    def test_both_changing_a_field_to_the_same_value_is_none(self) -> None:
        merged = FieldLevelMergeStrategy().merge({"n": [2]}, {"n": [2]}, base={"n": [1]})
        assert merged == {"n": [2]}

    def test_ignored_conflicts_go_to_the_incoming_value(self) -> None:
        strategy = FieldLevelMergeStrategy(ignore_conflicts=True)
        assert strategy.merge({"n": 2}, {"n": 3}, base={"n": 1}) == {"n": 3}

    def test_true_is_not_one(self) -> None:
        assert FieldLevelMergeStrategy().merge({"n": 1}, {"n": True}, base={"n": 1})["n"] is True


class TestDeepMerge:
    def test_append_lists_is_honoured_without_identities(self) -> None:
        """H-4: it was ignored, so that False appended."""
        existing, incoming = {"tags": ["a", "b"]}, {"tags": ["b", "c"]}
        assert DeepMergeStrategy().merge(existing, incoming) == {"tags": ["b", "c"]}
        appending = DeepMergeStrategy(append_lists=True)
        assert appending.merge(existing, incoming) == {"tags": ["a", "b", "c"]}

    @pytest.mark.parametrize("key", ["id", None])
    def test_scalars_in_lists_are_told_apart_by_value(self, key: str | None) -> None:
        """H-4: they were by object identity, so that equal ones were doubled."""
        strategy = DeepMergeStrategy(append_lists=True, list_identity_key=key)
        existing = {"n": [1000, Decimal("1.10"), EARLY, [1], {"a": 1}]}
        incoming = {"n": [int("1000"), Decimal("1.1"), EARLY.replace(), [1], {"a": 1}, True]}
        assert strategy.merge(existing, incoming) == {"n": [*existing["n"], True]}

    @pytest.mark.parametrize("identity", [0, "", False, Decimal(0), (1, 2)])
    def test_zero_and_empty_text_are_identities(self, identity: object) -> None:
        """H-4: they counted as missing, and such items were doubled."""
        merged = DeepMergeStrategy().merge(
            {"items": [{"id": identity, "qty": 1, "name": "x"}]},
            {"items": [{"id": identity, "qty": 2}]},
        )
        assert merged == {"items": [{"id": identity, "qty": 2, "name": "x"}]}

    def test_items_without_identity_are_never_merged_with_each_other(self) -> None:
        merged = DeepMergeStrategy().merge(
            {"items": [{"id": None, "qty": 1}, {"id": 1}]},
            {"items": [{"id": None, "qty": 2}, {"qty": 3}]},
        )
        assert merged["items"] == [
            {"id": None, "qty": 1},
            {"id": 1},
            {"id": None, "qty": 2},
            {"qty": 3},
        ]

    def test_false_and_zero_and_text_are_different_identities(self) -> None:
        items = [{"id": 0}, {"id": False}, {"id": "0"}, {"id": ""}]
        merged = DeepMergeStrategy().merge({"items": items[:1]}, {"items": items[1:]})
        assert merged["items"] == items
        assert [type(item["id"]) for item in merged["items"]] == [int, bool, str, str]

    def test_items_keep_their_places_and_new_ones_come_last(self) -> None:
        merged = DeepMergeStrategy().merge(
            {"items": [{"id": 2, "a": 1}, {"id": 1, "a": 1}]},
            {"items": [{"id": 3}, {"id": 1, "b": 2}, {"id": 2, "b": 2}]},
        )
        assert merged["items"] == [{"id": 2, "a": 1, "b": 2}, {"id": 1, "a": 1, "b": 2}, {"id": 3}]

    def test_lists_in_items_of_lists_are_merged_by_identity_too(self) -> None:
        existing = {"orders": [{"id": 1, "lines": [{"id": "x", "qty": 1}, {"id": "y"}]}]}
        incoming = {"orders": [{"id": 1, "lines": [{"id": "x", "qty": 2}, {"id": "z"}]}]}
        assert DeepMergeStrategy().merge(existing, incoming) == {
            "orders": [{"id": 1, "lines": [{"id": "x", "qty": 2}, {"id": "y"}, {"id": "z"}]}]
        }

    def test_an_empty_incoming_list_removes_no_identified_items(self) -> None:
        assert DeepMergeStrategy().merge({"i": [{"id": 1}]}, {"i": []}) == {"i": [{"id": 1}]}
        assert DeepMergeStrategy().merge({"i": ["a"]}, {"i": []}) == {"i": []}

    def test_duplicates_of_one_identity_are_merged_into_the_first(self) -> None:
        incoming = {"items": [{"id": 1, "a": 1}, {"id": 1, "b": [{"id": 2}, {"id": 2, "c": 1}]}]}
        merged = DeepMergeStrategy().merge({}, incoming)
        assert merged == {"items": [{"id": 1, "a": 1, "b": [{"id": 2, "c": 1}]}]}
        assert DeepMergeStrategy().merge(merged, incoming) == merged

    def test_identities_may_have_another_name_or_none(self) -> None:
        existing, incoming = {"i": [{"sku": 1, "a": 1}]}, {"i": [{"sku": 1, "b": 1}]}
        by_sku = DeepMergeStrategy(list_identity_key="sku")
        assert by_sku.merge(existing, incoming) == {"i": [{"sku": 1, "a": 1, "b": 1}]}
        assert DeepMergeStrategy().merge(existing, incoming) == incoming
        without = DeepMergeStrategy(list_identity_key=None)
        assert without.merge({"i": [{"id": 1, "a": 1}]}, {"i": [{"id": 1}]}) == {"i": [{"id": 1}]}

    @pytest.mark.parametrize(
        "existing, incoming", [({"a": 1}, [1]), ([1], {"a": 1}), ({"a": 1}, None), (1, "1")]
    )
    def test_of_different_types_the_incoming_value_wins(
        self, existing: object, incoming: object
    ) -> None:
        assert DeepMergeStrategy().merge({"v": existing}, {"v": incoming}) == {"v": incoming}

    def test_exact_values_stay_exact(self) -> None:
        merged = DeepMergeStrategy().merge(
            {"money": {"amount": Decimal("10.10")}}, {"money": {"at": LATE}}
        )
        assert merged == {"money": {"amount": Decimal("10.10"), "at": LATE}}
        assert str(merged["money"]["amount"]) == "10.10"

    def test_mappings_of_other_kinds_are_merged_as_well(self) -> None:
        merged = DeepMergeStrategy().merge(
            MappingProxyType({"a": OrderedDict(x=1)}), {"a": MappingProxyType({"y": (1, 2)})}
        )
        assert merged == {"a": {"x": 1, "y": (1, 2)}}


class TestTimestamp:
    def test_the_later_state_wins_whole(self) -> None:
        strategy = TimestampLastWinsStrategy()
        older, newer = {"modified_at": EARLY, "a": 1}, {"modified_at": LATE, "b": 2}
        assert strategy.merge(older, newer) == newer
        assert strategy.merge(newer, older) == newer

    def test_at_equal_times_the_existing_state_wins(self) -> None:
        existing = {"modified_at": EARLY, "a": 1}
        assert TimestampLastWinsStrategy().merge(existing, {"modified_at": EARLY}) == existing

    def test_times_are_compared_as_times_whatever_their_zone_or_form(self) -> None:
        strategy = TimestampLastWinsStrategy("at")
        in_tokyo = LATE.astimezone(timezone(timedelta(hours=9)))
        as_text = {"at": "2026-03-01T11:00:00.5-01:00"}
        assert strategy.merge({"at": EARLY}, {"at": in_tokyo}) == {"at": in_tokyo}
        assert strategy.merge({"at": EARLY}, as_text) == as_text
        assert strategy.merge({"at": LATE}, as_text) == {"at": LATE}
        assert strategy.merge({"at": 1.5}, {"at": 2}) == {"at": 2}

    @pytest.mark.parametrize("missing", [{}, {"modified_at": None}])
    def test_without_a_timestamp_the_fallback_wins(self, missing: dict[str, Any]) -> None:
        there = {"modified_at": LATE}
        to_incoming = TimestampLastWinsStrategy(fallback_to_incoming=True)
        for existing, incoming in [(there, missing), (missing, there), (missing, missing)]:
            assert TimestampLastWinsStrategy().merge(existing, incoming) == existing
            assert to_incoming.merge(existing, incoming) == incoming

    @pytest.mark.parametrize(
        "incoming", [EARLY.replace(tzinfo=None), 7, "yesterday"], ids=["naive", "number", "text"]
    )
    def test_times_that_cannot_be_compared_are_refused(self, incoming: object) -> None:
        with pytest.raises(MergeConflictError, match="cannot merge modified_at: "):
            TimestampLastWinsStrategy().merge({"modified_at": EARLY}, {"modified_at": incoming})


class TestUnion:
    def test_lists_get_what_they_lack(self) -> None:
        merged = UnionListMergeStrategy().merge(
            {"tags": ["a", "b"], "items": [{"id": 1, "qty": 1, "old": True}], "name": "x"},
            {"tags": ["b", "c"], "items": [{"id": 1, "qty": 2}, {"id": 0}], "name": "y"},
        )
        assert merged == {
            "tags": ["a", "b", "c"],
            "items": [{"id": 1, "qty": 2}, {"id": 0}],
            "name": "y",
        }

    def test_lists_in_nested_states_are_united_too(self) -> None:
        merged = UnionListMergeStrategy("sku").merge(
            {"cart": {"lines": [{"sku": "a"}], "owner": "o"}}, {"cart": {"lines": [{"sku": "b"}]}}
        )
        assert merged == {"cart": {"lines": [{"sku": "a"}, {"sku": "b"}], "owner": "o"}}


class TestRegistry:
    def test_the_stock_strategies_have_their_names(self) -> None:
        registry = MergeStrategyRegistry.get_stock_registry()
        for name, strategy in {
            "last_wins": LastWinsStrategy,
            "field": FieldLevelMergeStrategy,
            "deep": DeepMergeStrategy,
            "timestamp": TimestampLastWinsStrategy,
            "union": UnionListMergeStrategy,
        }.items():
            assert registry.get(name) is strategy
            assert type(registry.create(name)) is strategy

    def test_options_reach_the_strategy(self) -> None:
        strategy = MergeStrategyRegistry.get_stock_registry().create("deep", append_lists=True)
        assert strategy.merge({"t": [1]}, {"t": [2]}) == {"t": [1, 2]}

    def test_strategies_of_your_own_can_be_registered_in_one_registry_only(self) -> None:
        class Mine(LastWinsStrategy): ...

        registry = MergeStrategyRegistry.get_stock_registry()
        registry.register("mine", Mine)
        registry.register("mine", Mine)
        assert isinstance(registry.create("mine"), Mine)
        with pytest.raises(ConfigurationError, match="'mine'; registered: deep, field"):
            MergeStrategyRegistry.get_stock_registry().create("mine")

    def test_a_name_that_is_taken_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="'deep' is registered already"):
            MergeStrategyRegistry.get_stock_registry().register("deep", LastWinsStrategy)

    def test_options_a_strategy_does_not_take_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match=r"'union'.*append"):
            MergeStrategyRegistry.get_stock_registry().create("union", append=True)


class TestResolver:
    EXISTING = {"name": "theirs", "address": {"city": "Rome"}}  # noqa: RUF012 - never changed
    INCOMING = {"address": {"zip": "1"}}  # noqa: RUF012 - never changed

    def test_first_wins_keeps_theirs(self) -> None:
        resolver = ConflictResolver(policy=ConflictResolutionPolicy.FIRST_WINS)
        assert resolver.merge(self.EXISTING, self.INCOMING) == self.EXISTING

    def test_last_wins_is_last_wins_and_no_merge(self) -> None:
        """H-2: it used to be a deep merge."""
        resolver = ConflictResolver(policy=ConflictResolutionPolicy.LAST_WINS)
        assert resolver.merge(self.EXISTING, self.INCOMING) == self.INCOMING

    def test_a_given_strategy_merges(self) -> None:
        merged = ConflictResolver(DeepMergeStrategy()).merge(self.EXISTING, self.INCOMING)
        assert merged == {"name": "theirs", "address": {"city": "Rome", "zip": "1"}}

    def test_custom_calls_the_given_function(self) -> None:
        """H-2: a dotted path to it was never imported; it is a function now."""
        resolver = ConflictResolver(custom=lambda existing, incoming: {**incoming, **existing})
        assert resolver.policy is ConflictResolutionPolicy.CUSTOM
        assert resolver.merge({"a": 1}, {"a": 2, "b": 2}) == {"a": 1, "b": 2}

    def test_a_custom_function_cannot_change_the_inputs(self) -> None:
        def spoil(existing: Any, incoming: Any) -> Any:
            existing["address"]["city"] = incoming["address"]["zip"] = "spoilt"
            return existing

        before = copy.deepcopy((self.EXISTING, self.INCOMING))
        ConflictResolver(custom=spoil).merge(self.EXISTING, self.INCOMING)
        assert before == (self.EXISTING, self.INCOMING)

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"policy": ConflictResolutionPolicy.CUSTOM},
            {"policy": ConflictResolutionPolicy.MERGE},
            {"strategy": LastWinsStrategy(), "policy": ConflictResolutionPolicy.FIRST_WINS},
            {"strategy": LastWinsStrategy(), "custom": max},
        ],
    )
    def test_a_policy_without_what_it_needs_is_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError, match="MERGE takes a strategy"):
            ConflictResolver(**options)
