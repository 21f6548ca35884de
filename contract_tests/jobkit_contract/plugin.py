"""Joins the contract suite to pytest."""
