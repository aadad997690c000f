"""The HTTP endpoints, one file per part of the API."""

from starlette.convertors import PathConvertor, register_url_convertor


class AnyText(PathConvertor):
    """A workload's id in an address: whatever a job was called, with slashes and line breaks."""

    regex = "(?s:.*)"


register_url_convertor("anytext", AnyText())
