"""Wear retention: will a person who wears the watch stop wearing it within 14 days?"""
