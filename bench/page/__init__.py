"""Results in, one page out: HTML that needs nothing else, Markdown, or CSV.

groups: which runs stand together -> told: a run as sections of the view -> render: the view as a document
                                       |-> headline, table, lineage, conditions, reproduce
                                       '-> scatter, ridges: geometry (axis, marks)
view: what the templates are given, as frozen values

Another section is one more function in told.py that makes a `Section`, and a template of its name for each format.
"""
