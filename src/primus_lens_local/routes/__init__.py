"""The HTTP endpoints, one file per part of the API."""
