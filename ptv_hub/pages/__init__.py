"""The one look of all pages and pictures: a stylesheet, templates, charts in its colours.

A designer edits ``templates``: ``style.css`` holds every colour, ``base.html`` what all pages are.
"""
