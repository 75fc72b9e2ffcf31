"""Answers made from records: findings, tables, figures, the page."""
