"""The report: what every room found about one network, as one JSON object and one HTML page.

``collect`` gathers, ``page`` renders. The page reads the JSON object only.
"""
