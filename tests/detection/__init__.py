"""Tests of framework detection and redaction."""
