"""Tools of the workspace; nothing here is shipped."""
