"""What rounds and courses came to, as a page: figures from records, then a document, then its two forms.

Left out: fetching records, writing files (`commands/report.py`), drawing (`commands/plot_report.py`).
"""
