import pytest

from collector.domain.project.client_settings import NEW_PROJECT_SETTINGS
from collector.domain.project.rules import DEFAULT_RULES, ProjectRules


def test_settings_are_parsed_into_rules() -> None:
    rules = ProjectRules(
        {
            "@@DataExclusions": " password, *card* ,,",
            "@@UserAgentBotPatterns": "*bot*",
            "@@IncludePrivateInformation": " False ",
        },
        delete_bot_data=True,
    )

    assert rules.exclusions.match("password")
    assert rules.exclusions.match("CreditCardNumber")
    assert rules.bot_patterns.match("Googlebot/2.1")
    assert not rules.exclusions.match("Googlebot/2.1")
    assert not rules.include_private_information
    assert rules.delete_bot_data


@pytest.mark.parametrize(
    ("settings", "leave_data_alone"),
    [
        pytest.param({}, True, id="none"),
        pytest.param(NEW_PROJECT_SETTINGS, True, id="those of a new project"),
        pytest.param({"@@IncludePrivateInformation": "true"}, True, id="private information is wanted"),
        pytest.param({"@@IncludePrivateInformation": ""}, True, id="not set"),
        pytest.param({"@@IncludePrivateInformation": "FALSE"}, False, id="without private information"),
        pytest.param({"@@DataExclusions": "password"}, False, id="exclusions"),
        pytest.param({"@@DataExclusions": " , "}, True, id="empty exclusions"),
    ],
)
def test_only_exclusions_and_privacy_require_changes_to_plain_events(
    settings: dict[str, str], *, leave_data_alone: bool
) -> None:
    assert ProjectRules(settings).leave_data_alone is leave_data_alone
    assert DEFAULT_RULES.leave_data_alone
