"""The landing page as text."""

from string import Template

from collector.api.pages.landing import landing_page, load_template

PLAIN = Template("$address|$state")


def test_problems_are_shown_in_words() -> None:
    """By the name of the check, in the words of the health route."""
    found: dict[str, dict[str, str | None]] = {
        "Events are taken": {"tokens": "is a worker running?", "clock": None},
        "Read": {"database": None},
    }

    page = landing_page(PLAIN, "http://localhost", found)

    assert "not now: tokens: is a worker running?" in page
    assert page.count('class="good"') == page.count('class="bad"') == 1


def test_a_servers_error_text_is_not_shown() -> None:
    """It may contain addresses and user names."""
    text = "Postgres is unavailable: OSError: Connect call failed ('10.1.2.3', 5432)"

    page = landing_page(PLAIN, "http://localhost", {"Read": {"database": text}})

    assert "not now: database: Postgres is unavailable<" in page
    assert "10.1.2.3" not in page


def test_substituted_values_are_escaped() -> None:
    """Addresses as well as server messages."""
    page = landing_page(PLAIN, 'http://"<b>', {"<i>": {"x": "<script>"}})

    assert "<b>" not in page
    assert "<i>" not in page
    assert "<script>" not in page


def test_every_placeholder_of_the_page_is_substituted() -> None:
    template = Template(
        load_template("landing.html").safe_substitute(mark_svg="", page_css="", landing_js="")
    )

    left = Template(landing_page(template, None, {})).get_identifiers()
    assert left == ["REFERENCE"]  # the shell's
