"""Imports of daily records: what phones, watches and tables of other makers hold, as local days of a participant."""
