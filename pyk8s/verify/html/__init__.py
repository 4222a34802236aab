"""What the HTML report is made of: templates, style and script, and what is drawn."""
