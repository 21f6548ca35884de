"""The report: one page a person likes to read, and the same facts for machines."""

from jobkit_contract.report.json_file import as_json
from jobkit_contract.report.junit import as_junit
from jobkit_contract.report.markdown import as_markdown
from jobkit_contract.report.model import Report
from jobkit_contract.report.text import as_text

__all__ = ["Report", "as_json", "as_junit", "as_markdown", "as_text"]
