"""Runs the whole of Headrace under one process, with a real Valkey and Postgres that come as wheels."""
