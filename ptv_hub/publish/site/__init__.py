"""The whole manifest as static pages: a table to sort and filter, charts, a page for each model.

Every figure is the manifest's, and marked as published; parameters and FLOPs are counted anew
for the pages, which say what came of it. Of weights they claim nothing: nobody looked at any.
"""
