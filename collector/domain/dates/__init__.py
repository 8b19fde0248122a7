"""Date math and time ranges."""
